"""From a deployment's document to what runs."""

from __future__ import annotations

import json
import re
from typing import Any

from azure_emulator.instances import Logs, Model, NotReady, Plan, Route
from azure_emulator.resources.deployment_rules import asset, seconds
from azure_emulator.roles import BLOBS, LIST_SECRETS
from azure_emulator.services import Services
from azure_emulator.setup import Principal, Setup
from azure_emulator.store import Document, Store

# What Azure's own inference images answer; an environment without routes is one of theirs.
HEALTH = {"path": "/", "port": 5001}
SCORE = {"path": "/score", "port": 5001}

_REFERENCE = re.compile(r"\$\{\{azureml://connections/(?P<name>[^/}]+)(?P<path>/[^}]+)?\}\}")


def plan(setup: Setup, store: Store, services: Services, endpoint: Document, document: Document) -> Plan:
    properties = document["properties"]
    environment = asset(setup, store, "environments", properties["environmentId"]) or {"properties": {}}
    routes = environment["properties"].get("inferenceConfig") or {}
    image = environment["properties"].get("image")
    if not image:
        raise NotReady("EnvironmentBuildFailure: the emulator builds no environments.", Logs())
    model = _model(setup, store, services, endpoint, properties["model"])
    probe = properties["readinessProbe"]
    allowed = seconds(probe["initialDelay"]) + seconds(probe["period"]) * probe["failureThreshold"]
    return Plan(
        endpoint=endpoint["id"],
        deployment=document["name"],
        image=image,
        variables={
            **services.variables(endpoint),
            **_with_secrets(setup, store, services, endpoint, properties["environmentVariables"]),
        },
        model=model,
        model_mount_path=properties["modelMountPath"] or "/var/azureml-app",
        liveness=Route(**(routes.get("livenessRoute") or HEALTH)),
        readiness=Route(**(routes.get("readinessRoute") or HEALTH)),
        scoring=Route(**(routes.get("scoringRoute") or SCORE)),
        ready_seconds=min(setup.ready_seconds, allowed),
    )


def _with_secrets(
    setup: Setup, store: Store, services: Services, endpoint: Document, variables: dict[str, str]
) -> dict[str, str]:
    """``${{azureml://connections/NAME}}`` and a path in it, in place of the value itself."""
    found = {}
    for variable, value in variables.items():
        match = _REFERENCE.fullmatch(value)
        found[variable] = value
        if match:
            connection = store.get(f"{setup.workspace_id}/connections/{match['name']}")
            allowed = any(services.roles.allow(one, LIST_SECRETS, setup.workspace_id) for one in _identities(endpoint))
            if connection is None or not allowed:
                problem = "may not be read by the endpoint's identity" if connection else "was not found"
                raise NotReady(f"BadArgument: the connection {match['name']} of {variable} {problem}.", Logs())
            found[variable] = _part(connection, match["path"])
    return found


def _part(connection: Document, path: str | None) -> str:
    value: Any = connection
    for step in ["properties", *path.strip("/").split("/")] if path else []:
        value = value[step]
    return value if isinstance(value, str) else json.dumps(value)


def _identities(endpoint: Document) -> list[Principal]:
    identities = endpoint["identity"].get("userAssignedIdentities") or {"": endpoint["identity"]}
    return [Principal("", "", "", one["principalId"], ()) for one in identities.values()]


def _model(setup: Setup, store: Store, services: Services, endpoint: Document, identifier: str | None) -> Model | None:
    version = asset(setup, store, "models", identifier)
    if version is None:
        return None
    name = version["id"].split("/")[-3]
    _check_may_load(setup, services, endpoint)
    return Model(name, version["name"], version["properties"]["modelUri"].partition("/paths/")[2])


def _check_may_load(setup: Setup, services: Services, endpoint: Document) -> None:
    read = f"{BLOBS}/read"
    if not any(services.roles.allow_data(one, read, setup.storage_id) for one in _identities(endpoint)):
        text = "This request is not authorized to perform this operation using this permission."
        raise NotReady(
            "ResourceNotReady: Model download failed: the identity of the endpoint is not authorized to read the "
            f"storage account {setup.storage_account}. Please see troubleshooting guide, available here: "
            "https://aka.ms/oe-tsg#authorization-error",
            Logs(storage=f"ErrorCode:AuthorizationPermissionMismatch\n{text}\n"),
        )
