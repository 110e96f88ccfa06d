"""The workspace."""

from __future__ import annotations

from azure_emulator.arm import WORKSPACE, WORKSPACES, Call, Route
from azure_emulator.messages import Answer
from azure_emulator.roles import ML
from azure_emulator.setup import DOMAIN, Setup
from azure_emulator.store import Store

MADE = {
    f"{verb}{name}": value
    for verb in ("created", "lastModified")
    for name, value in {"By": "provisioner", "ByType": "User", "At": "2024-01-01T00:00:00+00:00"}.items()
}


def provision(setup: Setup, store: Store) -> None:
    providers = f"{setup.resource_group_id}/providers"
    service = f"{setup.location}.api.{DOMAIN}"
    store.put(
        {
            "id": setup.workspace_id,
            "name": setup.workspace,
            "type": ML,
            "location": setup.location,
            "kind": "Default",
            "tags": {},
            "sku": {"name": "Basic", "tier": "Basic"},
            "identity": {
                "type": "SystemAssigned",
                "principalId": "22222222-0000-4000-8000-000000000099",
                "tenantId": setup.tenant_id,
            },
            "properties": {
                "friendlyName": setup.workspace,
                "description": "",
                "workspaceId": setup.workspace_guid,
                "tenantId": setup.tenant_id,
                "discoveryUrl": f"https://{service}/discovery",
                "mlFlowTrackingUri": f"azureml://{service}/mlflow/v1.0{setup.workspace_id}",
                "storageAccount": setup.storage_id,
                "containerRegistry": setup.registry_id,
                "keyVault": f"{providers}/Microsoft.KeyVault/vaults/flowpack-tests-vault",
                "applicationInsights": f"{providers}/Microsoft.Insights/components/flowpack-tests-insights",
                "hbiWorkspace": False,
                "publicNetworkAccess": "Enabled",
                "v1LegacyMode": False,
                "systemDatastoresAuthMode": "identity" if setup.identity_based_datastore else "accessKey",
                "provisioningState": "Succeeded",
            },
            "systemData": MADE,
        }
    )


def get(call: Call) -> Answer:
    return Answer.of(call.store.get(call.identifier))


def listed(call: Call) -> Answer:
    return Answer.of({"value": call.store.children(call.identifier)})


ROUTES = [Route("GET", WORKSPACE, f"{ML}/read", get), Route("GET", WORKSPACES, f"{ML}/read", listed)]
