"""The resources, one module a kind: its ``ROUTES``, and ``provision`` where it is there from the start."""

from __future__ import annotations

from azure_emulator.arm import Route
from azure_emulator.resources import (
    access,
    computes,
    connections,
    data,
    datastores,
    deployments,
    endpoints,
    environments,
    models,
    operations,
    quota,
    subscriptions,
    workspaces,
)
from azure_emulator.setup import Setup
from azure_emulator.store import Store

_KINDS = (
    subscriptions,
    workspaces,
    datastores,
    computes,
    models,
    environments,
    data,
    connections,
    endpoints,
    deployments,
    operations,
    quota,
    access,
)
ROUTES: list[Route] = [route for kind in _KINDS for route in kind.ROUTES]


def provision(setup: Setup, store: Store) -> None:
    with store.lock:
        if store.get(setup.workspace_id) is None:
            for kind in (workspaces, datastores, computes, access):
                kind.provision(setup, store)
