"""What the service asks of a deployment before it begins to make it."""

from __future__ import annotations

import re
from typing import Any

from azure_emulator.arm import Call
from azure_emulator.messages import invalid, user_error
from azure_emulator.resources import quota
from azure_emulator.resources.endpoints import check_name
from azure_emulator.setup import Setup
from azure_emulator.store import Document, Store

MOST, MOST_INSTANCES = 20, 50
PROMPT_FLOW = "azureml.promptflow.source_flow_id"

_ASSET = re.compile(
    r"(?P<workspace>/subscriptions/.+)/(?P<kind>models|environments)/(?P<name>[^/]+)/versions/(?P<version>[^/]+)"
)
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?")


def seconds(duration: str) -> float:
    """Of an ISO 8601 duration such as PT1M30S."""
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise invalid("RequestSettings", f"'{duration}' is no duration.")
    return sum(float(part or 0) * unit for part, unit in zip(match.groups(), (86400, 3600, 60, 1), strict=True))


def asset(setup: Setup, store: Store, kind: str, identifier: str | None) -> Document | None:
    """The version that an ARM identifier names, in whatever case."""
    match = _ASSET.fullmatch(identifier or "")
    if match is None or match["kind"] != kind or match["workspace"].lower() != setup.workspace_id.lower():
        return None
    return store.get(f"{setup.workspace_id}/{kind}/{match['name']}/versions/{match['version']}")


def check(call: Call, endpoint: Document, before: Document | None, document: Document | None = None) -> None:
    """``document`` is the deployment as it is to be, where that is not the request's body."""
    wanted: Document = document or call.body
    properties = wanted["properties"]
    name = call.names["deployment"]
    check_name(name, "deployment", doing="CreateDeployment")
    if before is None and len(call.store.children(f"{endpoint['id']}/deployments")) >= MOST:
        raise invalid("Deployments", f"An endpoint has at most {MOST} deployments.")
    managed = properties["endpointComputeType"] == "Managed"
    if managed == bool(endpoint["properties"]["compute"]):
        raise invalid("EndpointComputeType", "A deployment runs on what its endpoint runs on: Managed, or Kubernetes.")
    if not managed and not 6 <= len(endpoint["name"]) + len(name) <= 62:
        raise invalid("Name", "On Kubernetes the names of endpoint and deployment have 6 to 62 characters together.")
    model = _asset(call, "models", properties.get("model"))
    if _asset(call, "environments", properties.get("environmentId")) is None:
        raise invalid("EnvironmentId", "A deployment has an environment.")
    _check_requests(properties.get("requestSettings") or {}, model, managed=managed)
    count = (wanted.get("sku") or {}).get("capacity")
    if not isinstance(count, int) or not 1 <= count <= (MOST_INSTANCES if managed else 1000):
        raise invalid("InstanceCount", f"The number of instances is 1 to {MOST_INSTANCES}, not {count}.")
    if managed:
        _check_quota(call, properties.get("instanceType") or "Standard_F4s_v2", count)


def _asset(call: Call, kind: str, identifier: str | None) -> Document | None:
    if not identifier:
        return None
    found = asset(call.setup, call.store, kind, identifier)
    if found is None:
        title = kind[:-1].capitalize()
        raise user_error(
            "The specified resource was not found.",
            (f"{title}NotFound", f"{title} {identifier} not found."),
            status=404,
        )
    return found


def _check_requests(settings: dict[str, Any], model: Document | None, *, managed: bool) -> None:
    is_flow = model is not None and PROMPT_FLOW in model["properties"]["properties"]
    most = 300 if is_flow or not managed else 180
    timeout = seconds(settings.get("requestTimeout") or "PT5S")
    if not 0 < timeout <= most:
        problem = f"The request timeout is at most {most * 1000} ms, not {int(timeout * 1000)}."
        raise invalid("RequestSettings.RequestTimeout", problem)
    concurrent = settings.get("maxConcurrentRequestsPerInstance")
    if concurrent is not None and concurrent < 1:
        raise invalid("RequestSettings.MaxConcurrentRequestsPerInstance", f"It is 1 or more, not {concurrent}.")


def _check_quota(call: Call, instance_type: str, count: int) -> None:
    size = quota.size(instance_type)
    if size is None:
        raise invalid("VmSize", f"Instance type {instance_type} is not supported in {call.setup.location}.")
    limit = call.setup.quota.get(size.family, 0)
    used = quota.used(call.setup, call.store, size.family, but=call.identifier)
    needed = quota.needed(size.name, count)
    if used + needed > limit:
        raise invalid(
            "VmSize",
            f"Not enough quota available for {size.name} in SubscriptionId {call.setup.subscription_id}. Current "
            f"usage/limit: {used}/{limit}. Additional needed: {needed} Please see troubleshooting guide, available "
            "here: https://aka.ms/oe-tsg#error-outofquota",
        )
