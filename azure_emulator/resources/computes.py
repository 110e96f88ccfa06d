"""Kubernetes clusters that are attached to the workspace."""

from __future__ import annotations

from azure_emulator.arm import WORKSPACE, Call, Route
from azure_emulator.messages import Answer, user_error
from azure_emulator.resources.workspaces import MADE
from azure_emulator.roles import ML
from azure_emulator.setup import Setup
from azure_emulator.store import Store

COLLECTION = f"{WORKSPACE}/computes"


def provision(setup: Setup, store: Store) -> None:
    for name in setup.clusters:
        store.put(
            {
                "id": f"{setup.workspace_id}/computes/{name}",
                "name": name,
                "type": f"{ML}/computes",
                "location": setup.location,
                "properties": {
                    "computeType": "Kubernetes",
                    "computeLocation": setup.location,
                    "provisioningState": "Succeeded",
                    "isAttachedCompute": True,
                    "properties": {"namespace": "default", "defaultInstanceType": "defaultinstancetype"},
                },
                "systemData": MADE,
            }
        )


def listed(call: Call) -> Answer:
    return Answer.of({"value": call.store.children(call.identifier)})


def get(call: Call) -> Answer:
    document = call.store.get(call.identifier)
    if document is None:
        raise user_error(f"Compute with name {call.names['name']} not found.", status=404)
    return Answer.of(document)


ROUTES = [
    Route("GET", COLLECTION, f"{ML}/computes/read", listed),
    Route("GET", f"{COLLECTION}/{{name}}", f"{ML}/computes/read", get),
]
