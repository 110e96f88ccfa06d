"""Datastores and their secrets. There is one: the workspace's own, in Azurite."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from azure_emulator.arm import WORKSPACE, Call, Route
from azure_emulator.messages import Answer, user_error
from azure_emulator.resources.workspaces import MADE
from azure_emulator.roles import ML
from azure_emulator.setup import STORAGE_SUFFIX, Setup
from azure_emulator.store import Document, Store

DEFAULT = "workspaceblobstore"
COLLECTION = f"{WORKSPACE}/datastores"


def provision(setup: Setup, store: Store) -> None:
    store.put(
        {
            "id": f"{setup.workspace_id}/datastores/{DEFAULT}",
            "name": DEFAULT,
            "type": f"{ML}/datastores",
            "properties": {
                "description": None,
                "tags": None,
                "properties": None,
                "isDefault": True,
                "datastoreType": "AzureBlob",
                "credentials": {"credentialsType": "None" if setup.identity_based_datastore else "AccountKey"},
                "subscriptionId": setup.subscription_id,
                "resourceGroup": setup.resource_group,
                "accountName": setup.storage_account,
                "containerName": setup.container,
                "endpoint": STORAGE_SUFFIX,
                "protocol": "https",
                "serviceDataAccessAuthIdentity": "None",
            },
            "systemData": MADE,
        }
    )


def listed(call: Call) -> Answer:
    found = call.store.children(call.identifier)
    if call.request.query.get("isDefault", "").lower() == "true":
        found = [one for one in found if one["properties"]["isDefault"]]
    return Answer.of({"value": found})


def get(call: Call) -> Answer:
    return Answer.of(_existing(call))


def secrets(call: Call) -> Answer:
    """The key, or a signature of an hour where the caller can do with what ends."""
    datastore = _existing(call)
    if datastore["properties"]["credentials"]["credentialsType"] == "None":
        raise user_error(f"Datastore {datastore['name']} has no secrets: it is accessed with the identity of its user.")
    if not call.body.get("expirableSecret"):
        return Answer.of({"secretsType": "AccountKey", "key": call.setup.storage_key})
    signature = generate_container_sas(
        call.setup.storage_account,
        call.setup.container,
        account_key=call.setup.storage_key,
        permission=ContainerSasPermissions(read=True, add=True, create=True, write=True, delete=True, list=True),
        expiry=datetime.now(timezone.utc) + timedelta(hours=call.body.get("expireAfterHours") or 1),
    )
    return Answer.of({"secretsType": "Sas", "sasToken": signature})


def _existing(call: Call) -> Document:
    name = call.names["name"]
    document = call.store.get(f"{call.setup.workspace_id}/datastores/{name}")
    if document is None:
        raise user_error(f"Could not find datastore: {name}", status=404)
    return document


ROUTES = [
    Route("GET", COLLECTION, f"{ML}/datastores/read", listed),
    Route("GET", f"{COLLECTION}/{{name}}", f"{ML}/datastores/read", get),
    Route("POST", f"{COLLECTION}/{{name}}/listSecrets", f"{ML}/datastores/listSecrets/action", secrets, "SecretExpiry"),
]
