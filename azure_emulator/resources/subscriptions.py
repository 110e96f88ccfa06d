"""The subscription and the resource group."""

from __future__ import annotations

from azure_emulator.arm import GROUP, SUBSCRIPTION, Call, Route
from azure_emulator.messages import Answer


def get_subscription(call: Call) -> Answer:
    setup = call.setup
    return Answer.of(
        {
            "id": call.identifier,
            "subscriptionId": setup.subscription_id,
            "tenantId": setup.tenant_id,
            "displayName": "flowpack tests",
            "state": "Enabled",
        }
    )


def get_group(call: Call) -> Answer:
    return Answer.of(
        {
            "id": call.identifier,
            "name": call.setup.resource_group,
            "type": "Microsoft.Resources/resourceGroups",
            "location": call.setup.location,
            "properties": {"provisioningState": "Succeeded"},
        }
    )


ROUTES = [
    Route("GET", SUBSCRIPTION, "Microsoft.Resources/subscriptions/read", get_subscription),
    Route("GET", GROUP, "Microsoft.Resources/subscriptions/resourceGroups/read", get_group),
]
