"""Who and what there is in the emulator's Azure: one subscription, resource group and workspace, and the principals."""

from __future__ import annotations

from dataclasses import dataclass

DOMAIN = "azure.test"
"""Reserved for tests: a program that is not told of the emulator finds no such host, and never the real Azure."""

MANAGEMENT = f"management.{DOMAIN}"
LOGIN = f"login.{DOMAIN}"
PUBLIC_LOGIN = "login.microsoftonline.com"
"""MSAL asks here whether it may trust an authority it does not know; nothing else is answered under this name."""

STORAGE_SUFFIX = f"core.{DOMAIN}"

CONTRIBUTOR = "Contributor"
READER = "Reader"
DATA_SCIENTIST = "AzureML Data Scientist"
BLOB_CONTRIBUTOR = "Storage Blob Data Contributor"


@dataclass(frozen=True)
class Principal:
    """An application that signs in with a secret; ``roles`` are its roles on the resource group."""

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
)


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

    @property
    def resource_group_id(self) -> str:
        return f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"

    @property
    def workspace_id(self) -> str:
        return f"{self.resource_group_id}/providers/Microsoft.MachineLearningServices/workspaces/{self.workspace}"

    @property
    def blob_host(self) -> str:
        return f"{self.storage_account}.blob.{STORAGE_SUFFIX}"

    def principal(self, name: str) -> Principal:
        return next(one for one in self.principals if one.name == name)
