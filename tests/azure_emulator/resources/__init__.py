"""The resources, one module a kind: its ``ROUTES``, and ``provision`` where it is there from the start."""

from __future__ import annotations

from tests.azure_emulator.arm import Route
from tests.azure_emulator.resources import datastores, models, subscriptions, workspaces
from tests.azure_emulator.setup import Setup
from tests.azure_emulator.store import Store

ROUTES: list[Route] = [*subscriptions.ROUTES, *workspaces.ROUTES, *datastores.ROUTES, *models.ROUTES]


def provision(setup: Setup, store: Store) -> None:
    with store.lock:
        if store.get(setup.workspace_id) is None:
            workspaces.provision(setup, store)
            datastores.provision(setup, store)
