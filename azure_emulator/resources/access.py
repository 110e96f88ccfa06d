"""User-assigned identities, role definitions, and who has which role where."""

from __future__ import annotations

import re
import uuid

from azure_emulator.arm import ANY, GROUP, SUBSCRIPTION, WORKSPACE, Call, Route
from azure_emulator.messages import Answer, Refusal
from azure_emulator.resources.workspaces import MADE
from azure_emulator.roles import ASSIGNMENTS, AUTHORIZATION, DEFINITIONS, assignment, definition_id
from azure_emulator.setup import Setup
from azure_emulator.store import Document, Store

MSI = "Microsoft.ManagedIdentity/userAssignedIdentities"
IDENTITIES = f"{GROUP}/providers/{MSI}"
SCOPES = (
    SUBSCRIPTION,
    GROUP,
    WORKSPACE,
    f"{WORKSPACE}/onlineEndpoints/{{endpoint}}",
    f"{GROUP}/providers/Microsoft.Storage/storageAccounts/{{account}}",
    f"{GROUP}/providers/Microsoft.ContainerRegistry/registries/{{registry}}",
    f"{GROUP}/providers/Microsoft.CognitiveServices/accounts/{{account}}",
)


def provision(setup: Setup, store: Store) -> None:
    for name in setup.identities:
        store.put(identity(setup, name))
    scope = setup.resource_group_id if setup.roles_on_group else setup.subscription_path
    for one in setup.principals:
        for role in one.roles:
            store.put(assignment(setup, one.object_id, role, scope, made=MADE))


def identity(setup: Setup, name: str) -> Document:
    identifier = setup.identity_id(name)
    client, thing = (str(uuid.uuid5(uuid.NAMESPACE_URL, f"{identifier}/{what}")) for what in ("client", "principal"))
    return {
        "id": identifier,
        "name": name,
        "type": MSI,
        "location": setup.location,
        "tags": {},
        "properties": {"tenantId": setup.tenant_id, "clientId": client, "principalId": thing},
        "systemData": MADE,
    }


def get_identity(call: Call) -> Answer:
    document = call.store.get(call.identifier)
    if document is None:
        raise Refusal(
            404,
            "ResourceNotFound",
            f"The Resource '{MSI}/{call.names['name']}' under resource group '{call.setup.resource_group}' was not "
            "found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
        )
    return Answer.of(document)


def list_identities(call: Call) -> Answer:
    return Answer.of({"value": call.store.children(call.identifier)})


def put_identity(call: Call) -> Answer:
    known = call.store.get(call.identifier)
    if known is None:
        call.store.put(identity(call.setup, call.names["name"]))
    return Answer.of(call.store.get(call.identifier), 200 if known else 201)


def list_assignments(call: Call) -> Answer:
    """Those at the scope, above it and below it, the last not where the filter asks for this scope."""
    scope = call.identifier.partition(f"/providers/{AUTHORIZATION}/")[0].lower()
    asked = call.request.query.get("$filter", "")
    whose = re.search(r"(?:assignedTo\('|principalId eq ')([^']+)'", asked)
    found = []
    for one in call.store.containing(ASSIGNMENTS):
        properties = one["properties"]
        here = properties["scope"].lower()
        above, below = f"{scope}/".startswith(f"{here}/"), f"{here}/".startswith(f"{scope}/")
        fits = above or (below and "atScope()" not in asked)
        if fits and (whose is None or properties["principalId"] == whose[1]):
            found.append(one)
    return Answer.of({"value": found})


def put_assignment(call: Call) -> Answer:
    scope = call.identifier.partition(f"/providers/{AUTHORIZATION}/")[0]
    properties = call.body.get("properties", {})
    definition = str(properties.get("roleDefinitionId", "")).rpartition("/")[2].lower()
    role = next((name for name, known in DEFINITIONS.items() if known == definition), None)
    if role is None:
        message = f"The specified role definition with ID '{definition}' does not exist."
        raise Refusal(400, "RoleDefinitionDoesNotExist", message)
    principal = str(properties.get("principalId", ""))
    with call.store.lock:
        if role in call.services.roles.at(principal, scope):
            raise Refusal(409, "RoleAssignmentExists", "The role assignment already exists.")
        made = assignment(call.setup, principal, role, scope, made=call.stamp(), name=call.names["name"])
        call.store.put(made)
    return Answer.of(made, 201)


def delete_assignment(call: Call) -> Answer:
    document = call.store.get(call.identifier)
    call.store.delete(call.identifier)
    return Answer.of(document) if document else Answer(204)


def list_definitions(call: Call) -> Answer:
    asked = re.search(r"roleName eq '([^']+)'", call.request.query.get("$filter", ""))
    return Answer.of({"value": [_definition(call.setup, one) for one in DEFINITIONS if not asked or one == asked[1]]})


def get_definition(call: Call) -> Answer:
    name = next((name for name, known in DEFINITIONS.items() if known == call.names["name"].lower()), None)
    if name is None:
        raise Refusal(404, "RoleDefinitionDoesNotExist", f"There is no role definition {call.names['name']}.")
    return Answer.of(_definition(call.setup, name))


def _definition(setup: Setup, role: str) -> Document:
    definition = DEFINITIONS[role]
    return {
        "id": definition_id(setup, definition),
        "name": definition,
        "type": f"{AUTHORIZATION}/roleDefinitions",
        "properties": {"roleName": role, "type": "BuiltInRole", "assignableScopes": ["/"]},
    }


def _of_scope(scope: str) -> list[Route]:
    assignments = f"{scope}/providers/{AUTHORIZATION}/roleAssignments"
    definitions = f"{scope}/providers/{AUTHORIZATION}/roleDefinitions"
    action, about = f"{AUTHORIZATION}/roleAssignments", f"{AUTHORIZATION}/roleDefinitions/read"
    return [
        Route("GET", assignments, f"{action}/read", list_assignments),
        Route("PUT", f"{assignments}/{{name}}", f"{action}/write", put_assignment, ANY),
        Route("DELETE", f"{assignments}/{{name}}", f"{action}/delete", delete_assignment),
        Route("GET", definitions, about, list_definitions),
        Route("GET", f"{definitions}/{{name}}", about, get_definition),
    ]


ROUTES = [
    Route("GET", IDENTITIES, f"{MSI}/read", list_identities),
    Route("GET", f"{IDENTITIES}/{{name}}", f"{MSI}/read", get_identity),
    Route("PUT", f"{IDENTITIES}/{{name}}", f"{MSI}/write", put_identity, ANY),
    *(route for scope in SCOPES for route in _of_scope(scope)),
]
