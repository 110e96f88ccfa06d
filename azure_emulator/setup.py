"""Who and what there is in the emulator's Azure: one subscription, resource group and workspace, and the principals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DOMAIN = "azure.test"
"""Reserved for tests: a program that is not told of the emulator finds no such host, and never the real Azure."""

MANAGEMENT = f"management.{DOMAIN}"
PUBLIC_MANAGEMENT = "management.azure.com"
"""The same service for what runs in a deployment: a server there is told of no cloud, and asks the public one."""

LOGIN = f"login.{DOMAIN}"
PUBLIC_LOGIN = "login.microsoftonline.com"
"""MSAL asks here whether it may trust an authority it does not know; nothing else is answered under this name."""

STORAGE_SUFFIX = f"core.{DOMAIN}"

OWNER = "Owner"
CONTRIBUTOR = "Contributor"
READER = "Reader"
DATA_SCIENTIST = "AzureML Data Scientist"
SECRETS_READER = "Azure Machine Learning Workspace Connection Secrets Reader"
BLOB_CONTRIBUTOR = "Storage Blob Data Contributor"
BLOB_READER = "Storage Blob Data Reader"


@dataclass(frozen=True)
class Principal:
    """An application that signs in with a secret; ``roles`` are its roles on the subscription."""

    name: str
    client_id: str
    secret: str
    object_id: str
    roles: tuple[str, ...]


def principal(name: str, number: int, *roles: str) -> Principal:
    client, thing = (f"{digit * 8}-0000-4000-8000-{number:012}" for digit in "12")
    return Principal(name, client, f"secret-of-{name}", thing, roles)


PRINCIPALS = (
    principal("contributor", 1, CONTRIBUTOR, BLOB_CONTRIBUTOR),
    principal("data-scientist", 2, DATA_SCIENTIST),
    principal("reader", 3, READER),
    principal("nobody", 4),
    principal("owner", 5, OWNER, BLOB_CONTRIBUTOR),
)

QUOTA = {
    "standardDSv2Family": 100,
    "standardDSv3Family": 100,
    "standardESv3Family": 100,
    "standardFSv2Family": 100,
    "standardNCADSA100v4Family": 24,
}
"""Cores of each family of machines that the subscription may use in its region."""


@dataclass(frozen=True)
class Setup:
    tenant_id: str = "33333333-0000-4000-8000-000000000001"
    subscription_id: str = "44444444-0000-4000-8000-000000000001"
    resource_group: str = "flowpack-tests"
    workspace: str = "flowpack-workspace"
    workspace_guid: str = "55555555-0000-4000-8000-000000000001"
    location: str = "westeurope"
    storage_account: str = "flowpackteststorage"
    storage_key: str = "Zm9yIHRlc3RzIG9ubHk6IG5vdCBhIHNlY3JldCBvZiBhbnlvbmU="
    container: str = "azureml-blobstore"
    identity_based_datastore: bool = False
    """Whoever uploads needs a role on the storage, as the datastore has no key."""
    token_seconds: int = 3600
    page_size: int = 100
    principals: tuple[Principal, ...] = PRINCIPALS
    roles_on_group: bool = False
    """The principals have their roles on the resource group, and none above it: they may not see the quota."""
    identities: tuple[str, ...] = ("flow-identity",)
    """The user-assigned identities of the resource group; they have no roles."""
    clusters: tuple[str, ...] = ("flow-cluster",)
    """Kubernetes clusters that are attached to the workspace."""
    quota: Mapping[str, int] = field(default_factory=lambda: dict(QUOTA))
    operation_seconds: float = 0.1
    """How long an operation on an endpoint or a deployment takes at the least."""
    retry_after: float = 0.05
    """How long a client is asked to wait before it looks at an operation again."""
    runs_containers: bool = True
    """Else a deployment is ready at once, and echoes the requests: see azure_emulator/echo.py."""
    ready_seconds: float = 120
    """How long a container may take to get ready, where its probes allow more."""
    docker_config: Path | None = None
    """The client's configuration for pulls, where the registry wants a login."""

    @property
    def subscription_path(self) -> str:
        return f"/subscriptions/{self.subscription_id}"

    @property
    def resource_group_id(self) -> str:
        return f"{self.subscription_path}/resourceGroups/{self.resource_group}"

    @property
    def workspace_id(self) -> str:
        return f"{self.resource_group_id}/providers/Microsoft.MachineLearningServices/workspaces/{self.workspace}"

    @property
    def storage_id(self) -> str:
        return f"{self.resource_group_id}/providers/Microsoft.Storage/storageAccounts/{self.storage_account}"

    @property
    def registry_id(self) -> str:
        return f"{self.resource_group_id}/providers/Microsoft.ContainerRegistry/registries/flowpacktestsregistry"

    def identity_id(self, name: str) -> str:
        return f"{self.resource_group_id}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"

    @property
    def scoring_domain(self) -> str:
        return f"{self.location}.inference.{DOMAIN}"

    @property
    def blob_host(self) -> str:
        return f"{self.storage_account}.blob.{STORAGE_SUFFIX}"

    def principal(self, name: str) -> Principal:
        return next(one for one in self.principals if one.name == name)
