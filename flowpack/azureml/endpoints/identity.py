"""The user-assigned identity of an endpoint. promptflow needs its client ID in a variable."""

from __future__ import annotations

import re
from typing import Any

from flowpack.azureml.endpoints.documents import DeploymentDocument, EndpointDocument
from flowpack.azureml.resource_manager import ResourceManager
from flowpack.errors import AzureError, InputError

CLIENT_ID = "AZURE_CLIENT_ID"
_API = "2023-01-31"
_IDENTIFIER = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.ManagedIdentity/userAssignedIdentities/[^/]+", re.I
)


def check_identifier(endpoint: EndpointDocument) -> None:
    """It is a path, which comes right behind the host that the account's token goes to."""
    identifier = endpoint.user_assigned_identity
    if identifier is not None and not _IDENTIFIER.fullmatch(identifier):
        raise InputError(
            f"'{identifier}' is not the resource ID of a user-assigned identity",
            hint="`az identity show --query id` tells it: /subscriptions/…/userAssignedIdentities/NAME",
        )


def lacks_client_id(endpoint: EndpointDocument, deployment: DeploymentDocument) -> bool:
    return bool(endpoint.user_assigned_identity) and not deployment.variables.get(CLIENT_ID)


def with_client_id(
    resources: ResourceManager, endpoint: EndpointDocument, deployment: DeploymentDocument
) -> DeploymentDocument:
    """The document as it is where the identity is the system's, or where it says the client id already."""
    if not lacks_client_id(endpoint, deployment):
        return deployment
    identity = identity_at(resources, str(endpoint.user_assigned_identity))
    return deployment.with_variables({CLIENT_ID: identity["properties"]["clientId"]})


def identity_at(resources: ResourceManager, identifier: str) -> Any:
    try:
        found = resources.get_at(identifier, _API)
    except AzureError as error:
        error.hint = f"{error.hint}; or tell its client id: -e {CLIENT_ID}=..."
        raise
    if found is None:
        raise InputError(f"there is no identity {identifier}", hint="--identity takes its resource id")
    return found
