"""Online endpoints: where requests come in, and how they are shared out among deployments."""

from __future__ import annotations

import re
import secrets
import time
import uuid
from typing import Any

from azure_emulator.arm import WORKSPACE, Call, Route, not_authorized
from azure_emulator.messages import Answer, invalid, service_refusal, user_error
from azure_emulator.operations import Operation
from azure_emulator.resources.versioned_assets import page
from azure_emulator.resources.workspaces import MADE
from azure_emulator.roles import LIST_SECRETS, ML, assignment
from azure_emulator.setup import BLOB_READER, SECRETS_READER
from azure_emulator.store import Document

COLLECTION = f"{WORKSPACE}/onlineEndpoints"
ONE = f"{COLLECTION}/{{endpoint}}"
KIND = f"{ML}/onlineEndpoints"

NAME = re.compile(r"[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?")
MOST = 100
SYSTEM, USER = "SystemAssigned", "UserAssigned"
ENFORCES = "enforce_access_to_default_secret_stores"
TOKEN_SECONDS = 3600


def audience(identifier: str) -> str:
    """Of a token that opens one endpoint."""
    return f"endpoint:{identifier}"


def check_name(name: str, what: str, *, doing: str) -> None:
    if not 3 <= len(name) <= 32 or not NAME.fullmatch(name):
        raise invalid(
            "Name",
            f"The {what} name '{name}' is invalid: it has 3 to 32 letters, digits and hyphens, begins with a letter "
            "and does not end with a hyphen.",
            doing=doing,
        )


def listed(call: Call) -> Answer:
    return page(call, call.store.children(call.identifier), "count")


def get(call: Call) -> Answer:
    return Answer.of(existing(call))


def put(call: Call) -> Answer:
    operations, identifier = call.services.operations, call.identifier
    with call.store.lock:
        operations.check_free(identifier)
        before = call.store.get(identifier)
        _check(call, before)
        document = _document(call, before)
        operation = operations.start("oe", "write", identifier, lambda: _finish(call, document))
        document["properties"]["properties"]["AzureAsyncOperationUri"] = _headers(call, operation)[
            "Azure-AsyncOperation"
        ]
        if before is None:
            _grant(call, document)
            _put_keys(call, call.body["properties"].get("keys") or {})
        call.store.put(document)
    return Answer.of(document, 200 if before else 201, _headers(call, operation))


def patch(call: Call) -> Answer:
    """Tags and the identity: what there is of it in this version of the API. Traffic is PUT."""
    operations = call.services.operations
    with call.store.lock:
        document = existing(call)
        operations.check_free(document["id"])
        document["tags"] = call.body.get("tags", document["tags"])
        document["properties"]["provisioningState"] = "Updating"
        document["systemData"] = call.stamp(document)
        operation = operations.start("oe", "write", document["id"], lambda: _finish(call, document))
        call.store.put(document)
    return Answer.of(document, 202, _headers(call, operation))


def delete(call: Call) -> Answer:
    """The endpoint with all its deployments."""
    operations = call.services.operations
    with call.store.lock:
        document = call.store.get(call.identifier)
        if document is None:
            return Answer(204)
        operations.check_free(document["id"], and_below=True)
        document["properties"]["provisioningState"] = "Deleting"
        operation = operations.start("oe", "delete", document["id"], lambda: _delete(call))
        call.store.put(document)
    return Answer(202, b"", _headers(call, operation))


def _delete(call: Call) -> None:
    for one in call.store.children(f"{call.identifier}/deployments"):
        call.services.instances.end(one["id"])
        call.store.delete(one["id"])
    call.store.delete(f"{call.identifier}/keys/keys")
    call.store.delete(call.identifier)


def list_keys(call: Call) -> Answer:
    endpoint = existing(call)
    if endpoint["properties"]["authMode"] != "Key":
        raise user_error(f"Keys are not available for the auth mode {endpoint['properties']['authMode']}.")
    keys = call.store.get(f"{endpoint['id']}/keys/keys") or {}
    return Answer.of({name: keys[name] for name in ("primaryKey", "secondaryKey")})


def regenerate_keys(call: Call) -> Answer:
    """To the value that is given, where that is another than the key has: azure-ai-ml gives the present one."""
    operations = call.services.operations
    with call.store.lock:
        endpoint = existing(call)
        operations.check_free(endpoint["id"])
        name = f"{call.body['keyType'].lower()}Key"
        keys = call.store.get(f"{endpoint['id']}/keys/keys") or {}
        given = call.body.get("keyValue")
        value = given if given and given != keys[name] else _key()
        operation = operations.start("oe", "write", endpoint["id"], lambda: call.store.put({**keys, name: value}))
    return Answer(202, b"", _headers(call, operation))


def token(call: Call) -> Answer:
    endpoint = existing(call)
    if endpoint["properties"]["authMode"] != "AMLToken":
        raise user_error(f"Tokens are not available for the auth mode {endpoint['properties']['authMode']}.")
    now = int(time.time())
    made = call.services.identity.issue(call.caller, audience=audience(endpoint["id"]), seconds=TOKEN_SECONDS)
    return Answer.of(
        {
            "accessToken": made,
            "tokenType": "Bearer",
            "expiryTimeUtc": now + TOKEN_SECONDS,
            "refreshAfterTimeUtc": now + TOKEN_SECONDS // 2,
        }
    )


def existing(call: Call) -> Document:
    name = call.names["endpoint"]
    document = call.store.get(f"{call.setup.workspace_id}/onlineEndpoints/{name}")
    if document is None:
        raise user_error(f"Endpoint {name} does not exist.", ("EndpointNotFound", f"{name}"), status=404)
    return document


def _headers(call: Call, operation: Operation) -> dict[str, str]:
    request = call.request
    return call.services.operations.headers(operation, request.host, request.query["api-version"])


def _check(call: Call, before: Document | None) -> None:
    name, wanted = call.names["endpoint"], call.body["properties"]
    check_name(name, "endpoint", doing="CreateEndpoint")
    if call.body["location"].lower() != call.setup.location:
        raise invalid(
            "Location", f"The location is not the workspace's: {call.setup.location}.", doing="CreateEndpoint"
        )
    if before is None and len(call.store.children(f"{call.setup.workspace_id}/onlineEndpoints")) >= MOST:
        text = (
            f"Endpoint Quota reached for subscription {call.setup.subscription_id}. Current usage/limit: {MOST}/{MOST}."
        )
        raise service_refusal(400, "BadRequest", "The request is invalid.", ("InferencingClientCallFailed", text))
    compute = wanted.get("compute")
    if compute and _named(call, compute, "computes") is None:
        raise user_error(f"Compute {compute} not found.", status=404)
    if before and before["properties"]["compute"] != _named(call, compute, "computes"):
        raise invalid("Compute", "The compute of an endpoint cannot be changed.", doing="UpdateEndpoint")
    _check_identity(call, before)
    _check_traffic(call, wanted)
    grants = (wanted.get("properties") or {}).get(ENFORCES) == "enabled"
    if grants and not call.services.roles.allow(call.caller, LIST_SECRETS, call.setup.workspace_id):
        raise not_authorized(call.caller, LIST_SECRETS, call.setup.workspace_id)


def _check_identity(call: Call, before: Document | None) -> None:
    given = call.body.get("identity") or {"type": SYSTEM}
    if given["type"] not in (SYSTEM, USER):
        raise invalid("Identity", f"The identity's type is {SYSTEM} or {USER}.", doing="CreateEndpoint")
    named = [one.lower() for one in given.get("userAssignedIdentities") or {}]
    if (given["type"] == USER) != bool(named) or len(named) > 1:
        raise invalid("Identity", f"{USER} goes with exactly one identity, {SYSTEM} with none.", doing="CreateEndpoint")
    for one in named:
        if _user_assigned(call, one) is None:
            raise user_error(f"The identity {one} was not found.", status=404)
    if before:
        known = before["identity"]
        now = (given["type"], sorted(named))
        if now != (known["type"], sorted(one.lower() for one in known.get("userAssignedIdentities", {}))):
            raise invalid("Identity", "The identity of an endpoint cannot be changed.", doing="UpdateEndpoint")


def _check_traffic(call: Call, wanted: Document) -> None:
    there = {one["name"] for one in call.store.children(f"{call.identifier}/deployments")}
    traffic, mirror = _lower(wanted.get("traffic")), _lower(wanted.get("mirrorTraffic"))
    problem = None
    for name, percent in {**traffic, **mirror}.items():
        if name not in there:
            problem = f"Traffic is given to the deployment '{name}', which the endpoint does not have."
        elif not 0 <= percent <= 100:
            problem = f"{percent} is no percentage."
    if sum(traffic.values()) > 100:
        problem = f"Traffic must not exceed 100 percent; it is {sum(traffic.values())}."
    if len(mirror) > 1 or any(percent > 50 for percent in mirror.values()):
        problem = "Mirrored traffic goes to one deployment, and is at most 50 percent."
    if any(traffic.get(name) for name in mirror):
        problem = "A deployment that gets mirrored traffic gets no other."
    if problem:
        raise invalid("Traffic", problem, doing="UpdateEndpoint")


def _document(call: Call, before: Document | None) -> Document:
    body, name, setup = call.body, call.names["endpoint"], call.setup
    wanted = body["properties"]
    base = f"https://{name}.{setup.scoring_domain}"
    own = before["properties"]["properties"] if before else {"azureml.onlineendpointid": call.identifier}
    compute = wanted.get("compute")
    return {
        "id": call.identifier,
        "name": name,
        "type": KIND,
        "location": setup.location,
        "kind": "K8S" if compute else "Managed",
        "tags": body.get("tags") or {},
        "identity": before["identity"] if before else _identity(call),
        "properties": {
            "authMode": wanted["authMode"],
            "description": wanted.get("description"),
            "compute": _named(call, compute, "computes"),
            "properties": {**own, **(wanted.get("properties") or {})},
            "traffic": _lower(wanted.get("traffic")),
            "mirrorTraffic": _lower(wanted.get("mirrorTraffic")),
            "publicNetworkAccess": wanted.get("publicNetworkAccess") or "Enabled",
            "scoringUri": f"{base}/score",
            "swaggerUri": f"{base}/swagger.json",
            "provisioningState": "Updating" if before else "Creating",
        },
        "systemData": call.stamp(before),
    }


def _identity(call: Call) -> dict[str, Any]:
    given = call.body.get("identity") or {"type": SYSTEM}
    if given["type"] == SYSTEM:
        return {"type": SYSTEM, "principalId": str(uuid.uuid4()), "tenantId": call.setup.tenant_id}
    found = [_user_assigned(call, one) or {} for one in given["userAssignedIdentities"]]
    about = {one["id"]: {what: one["properties"][what] for what in ("clientId", "principalId")} for one in found}
    return {"type": USER, "userAssignedIdentities": about}


def _user_assigned(call: Call, identifier: str) -> Document | None:
    known = call.store.containing("/providers/Microsoft.ManagedIdentity/userAssignedIdentities/")
    return next((one for one in known if one["id"].lower() == identifier.lower()), None)


def _named(call: Call, identifier: str | None, collection: str) -> str | None:
    known = call.store.children(f"{call.setup.workspace_id}/{collection}")
    return next((one["id"] for one in known if one["id"].lower() == (identifier or "").lower()), None)


def _grant(call: Call, endpoint: Document) -> None:
    """What Azure gives to a system-assigned identity by itself."""
    identity, setup = endpoint["identity"], call.setup
    if identity["type"] != SYSTEM:
        return
    given = {"AcrPull": setup.registry_id, BLOB_READER: setup.storage_id}
    if endpoint["properties"]["properties"].get(ENFORCES) == "enabled":
        given[SECRETS_READER] = setup.workspace_id
    for role, scope in given.items():
        call.store.put(assignment(setup, identity["principalId"], role, scope, made=MADE))


def _finish(call: Call, document: Document) -> None:
    with call.store.lock:
        document["properties"]["provisioningState"] = "Succeeded"
        call.store.put(document)


def _put_keys(call: Call, given: dict[str, str]) -> None:
    keys = {name: given.get(name) or _key() for name in ("primaryKey", "secondaryKey")}
    call.store.put({"id": f"{call.identifier}/keys/keys", **keys, "systemData": MADE})


def _key() -> str:
    return secrets.token_urlsafe(24)


def _lower(percentages: dict[str, int] | None) -> dict[str, int]:
    return {name.lower(): percent for name, percent in (percentages or {}).items()}


ROUTES = [
    Route("GET", COLLECTION, f"{KIND}/read", listed),
    Route("GET", ONE, f"{KIND}/read", get),
    Route("PUT", ONE, f"{KIND}/write", put, "OnlineEndpoint"),
    Route("PATCH", ONE, f"{KIND}/write", patch, "PartialMinimalTrackedResourceWithIdentity"),
    Route("DELETE", ONE, f"{KIND}/delete", delete),
    Route("POST", f"{ONE}/listKeys", f"{KIND}/listKeys/action", list_keys),
    Route(
        "POST",
        f"{ONE}/regenerateKeys",
        f"{KIND}/regenerateKeys/action",
        regenerate_keys,
        "RegenerateEndpointKeysRequest",
    ),
    Route("POST", f"{ONE}/token", f"{KIND}/token/action", token),
]
