"""The workspace's connections. What is secret in one is told to those alone who may list its secrets."""

from __future__ import annotations

from azure_emulator.arm import WORKSPACE, Call, Route
from azure_emulator.messages import Answer, user_error
from azure_emulator.roles import LIST_SECRETS, ML
from azure_emulator.store import Document

COLLECTION = f"{WORKSPACE}/connections"
ONE = f"{COLLECTION}/{{name}}"
KIND = f"{ML}/connections"


def listed(call: Call) -> Answer:
    return Answer.of({"value": [_without_secrets(one) for one in call.store.children(call.identifier)]})


def get(call: Call) -> Answer:
    return Answer.of(_without_secrets(_existing(call)))


def secrets(call: Call) -> Answer:
    return Answer.of(_existing(call))


def put(call: Call) -> Answer:
    with call.store.lock:
        before = call.store.get(call.identifier)
        document = {
            "id": call.identifier,
            "name": call.names["name"],
            "type": KIND,
            "properties": {"isSharedToAll": True, "metadata": {}, **call.body["properties"]},
            "systemData": call.stamp(before),
        }
        call.store.put(document)
    return Answer.of(_without_secrets(document))


def delete(call: Call) -> Answer:
    call.store.delete(_existing(call)["id"])
    return Answer(200)


def _existing(call: Call) -> Document:
    name = call.names["name"]
    document = call.store.get(f"{call.setup.workspace_id}/connections/{name}")
    if document is None:
        raise user_error(f"Connection {name} can't be found in the workspace", status=404)
    return document


def _without_secrets(document: Document) -> Document:
    return document | {"properties": {**document["properties"], "credentials": None}}


ROUTES = [
    Route("GET", COLLECTION, f"{KIND}/read", listed),
    Route("GET", ONE, f"{KIND}/read", get),
    Route("PUT", ONE, f"{KIND}/write", put, "WorkspaceConnectionPropertiesV2BasicResource"),
    Route("DELETE", ONE, f"{KIND}/delete", delete),
    Route("POST", f"{ONE}/listsecrets", LIST_SECRETS, secrets),
]
