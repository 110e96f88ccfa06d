"""Deployments of an online endpoint: each runs an image with a model."""

from __future__ import annotations

from azure_emulator.arm import Call, Route
from azure_emulator.instances import NotReady
from azure_emulator.messages import Answer, invalid, user_error
from azure_emulator.operations import Operation, OperationFailed
from azure_emulator.resources import endpoints
from azure_emulator.resources.deployment_plan import plan
from azure_emulator.resources.deployment_rules import check
from azure_emulator.resources.versioned_assets import page
from azure_emulator.store import Document

COLLECTION = f"{endpoints.ONE}/deployments"
ONE = f"{COLLECTION}/{{deployment}}"
KIND = f"{endpoints.KIND}/deployments"

PROBE: Document = {
    "failureThreshold": 30,
    "successThreshold": 1,
    "initialDelay": "PT10S",
    "period": "PT10S",
    "timeout": "PT2S",
}
REQUESTS: Document = {
    "maxConcurrentRequestsPerInstance": 1,
    "maxQueueWait": "PT0.5S",
    "requestTimeout": "PT5S",
}
# azure-ai-ml cannot read a deployment on Kubernetes that is without it.
RESOURCES: Document = {
    "containerResourceRequests": {"cpu": "0.1", "memory": "0.5Gi"},
    "containerResourceLimits": {"cpu": "2", "memory": "1Gi"},
}


def listed(call: Call) -> Answer:
    endpoints.existing(call)
    return page(call, call.store.children(call.identifier), "$top")


def get(call: Call) -> Answer:
    return Answer.of(_existing(call))


def put(call: Call) -> Answer:
    operations, identifier = call.services.operations, call.identifier
    with call.store.lock:
        endpoint = endpoints.existing(call)
        operations.check_free(endpoint["id"])
        operations.check_free(identifier)
        before = call.store.get(identifier)
        check(call, endpoint, before)
        document = _document(call, before)
        operation = operations.start("od", "write", identifier, lambda: _roll_out(call, document))
        headers = _headers(call, operation)
        document["properties"]["properties"]["AzureAsyncOperationUri"] = headers["Azure-AsyncOperation"]
        call.store.put(document)
    return Answer.of(document, 200 if before else 201, headers)


def patch(call: Call) -> Answer:
    """Tags and the number of instances: what there is of it in the API."""
    operations = call.services.operations
    with call.store.lock:
        document = _existing(call)
        operations.check_free(document["id"])
        before = dict(document)
        document["tags"] = call.body.get("tags", document["tags"])
        document["sku"] = {**document["sku"], **(call.body.get("sku") or {})}
        check(call, endpoints.existing(call), before, document)
        document["properties"]["provisioningState"] = "Updating"
        document["systemData"] = call.stamp(document)
        operation = operations.start("od", "write", document["id"], lambda: _roll_out(call, document))
        call.store.put(document)
    return Answer.of(document, 202, _headers(call, operation))


def delete(call: Call) -> Answer:
    operations = call.services.operations
    with call.store.lock:
        document = call.store.get(call.identifier)
        if document is None:
            return Answer(204)
        operations.check_free(document["id"])
        of_endpoint = endpoints.existing(call)["properties"]
        if of_endpoint["traffic"].get(document["name"]) or of_endpoint["mirrorTraffic"].get(document["name"]):
            raise invalid(
                "Traffic",
                f"Cannot delete deployment '{document['name']}' as it has traffic assigned to it: set its traffic to 0 "
                "first.",
                doing="DeleteDeployment",
            )
        document["properties"]["provisioningState"] = "Deleting"
        operation = operations.start("od", "delete", document["id"], lambda: _delete(call))
        call.store.put(document)
    return Answer(202, b"", _headers(call, operation))


def logs(call: Call) -> Answer:
    document = _existing(call)
    found = call.services.instances.logs(document["id"])
    text = found.storage if call.body.get("containerType") == "StorageInitializer" else found.server
    lines = text.splitlines()
    tail = call.body.get("tail")
    return Answer.of({"content": "\n".join(lines[-tail:] if tail else lines)})


def _delete(call: Call) -> None:
    call.services.instances.end(call.identifier)
    call.store.delete(call.identifier)


def _roll_out(call: Call, document: Document) -> None:
    failure = ""
    try:
        endpoint = endpoints.existing(call)
        call.services.instances.ensure(document["id"], plan(call.setup, call.store, call.services, endpoint, document))
    except NotReady as error:
        failure = error.reason
        call.services.instances.failed(document["id"], error.logs)
    with call.store.lock:
        document["properties"]["provisioningState"] = "Failed" if failure else "Succeeded"
        call.store.put(document)
    if failure:
        raise OperationFailed(failure)


def _existing(call: Call) -> Document:
    endpoint, name = endpoints.existing(call), call.names["deployment"]
    document = call.store.get(f"{endpoint['id']}/deployments/{name}")
    if document is None:
        raise user_error(
            f"Deployment {name} does not exist in endpoint {endpoint['name']}.",
            ("DeploymentNotFound", name),
            status=404,
        )
    return document


def _headers(call: Call, operation: Operation) -> dict[str, str]:
    request = call.request
    return call.services.operations.headers(operation, request.host, request.query["api-version"])


def _document(call: Call, before: Document | None) -> Document:
    body, wanted = call.body, call.body["properties"]
    managed = wanted["endpointComputeType"] == "Managed"
    own = before["properties"]["properties"] if before else {}
    return {
        "id": call.identifier,
        "name": call.names["deployment"],
        "type": KIND,
        "location": call.setup.location,
        "kind": "Managed" if managed else "K8S",
        "tags": body.get("tags") or {},
        "sku": {"name": "Default", "tier": "Standard", "capacity": (body.get("sku") or {}).get("capacity") or 1},
        "properties": {
            "description": None,
            "codeConfiguration": None,
            "environmentId": None,
            "model": None,
            "modelMountPath": None,
            "instanceType": None,
            "appInsightsEnabled": False,
            "egressPublicNetworkAccess": "Enabled" if managed else None,
            "dataCollector": None,
            "scaleSettings": {"scaleType": "Default"},
            **({} if managed else {"containerResourceRequirements": RESOURCES}),
            **wanted,
            "environmentVariables": wanted.get("environmentVariables") or {},
            "requestSettings": REQUESTS | (wanted.get("requestSettings") or {}),
            "livenessProbe": PROBE | (wanted.get("livenessProbe") or {}),
            "readinessProbe": PROBE | (wanted.get("readinessProbe") or {}),
            "properties": {**own, **(wanted.get("properties") or {})},
            "provisioningState": "Updating" if before else "Creating",
        },
        "systemData": call.stamp(before),
    }


ROUTES = [
    Route("GET", COLLECTION, f"{KIND}/read", listed),
    Route("GET", ONE, f"{KIND}/read", get),
    Route("PUT", ONE, f"{KIND}/write", put, "OnlineDeployment"),
    Route("PATCH", ONE, f"{KIND}/write", patch, "PartialMinimalTrackedResourceWithSku"),
    Route("DELETE", ONE, f"{KIND}/delete", delete),
    Route("POST", f"{ONE}/getLogs", f"{KIND}/getLogs/action", logs, "DeploymentLogsRequest"),
]
