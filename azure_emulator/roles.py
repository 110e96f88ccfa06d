"""Which role allows what, as Azure's built-in roles say it, and who has which where."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from fnmatch import fnmatchcase

from azure_emulator.setup import (
    BLOB_CONTRIBUTOR,
    BLOB_READER,
    CONTRIBUTOR,
    DATA_SCIENTIST,
    OWNER,
    READER,
    SECRETS_READER,
    Principal,
    Setup,
)
from azure_emulator.store import Document, Store

ML = "Microsoft.MachineLearningServices/workspaces"
BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
REGISTRIES = "Microsoft.ContainerRegistry/registries"
AUTHORIZATION = "Microsoft.Authorization"
ASSIGNMENTS = f"/providers/{AUTHORIZATION}/roleAssignments/"
LIST_SECRETS = f"{ML}/connections/listsecrets/action"

# A role's actions, and what is taken out of them. Actions on data are none that "*" is about.
ROLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    OWNER: (("*",), ()),
    CONTRIBUTOR: (("*",), (f"{AUTHORIZATION}/*/Write", f"{AUTHORIZATION}/*/Delete")),
    READER: (("*/read",), ()),
    "User Access Administrator": (("*/read", f"{AUTHORIZATION}/*"), ()),
    DATA_SCIENTIST: (
        (f"{ML}/*/read", f"{ML}/*/action", f"{ML}/*/delete", f"{ML}/*/write"),
        (f"{ML}/delete", f"{ML}/write", f"{ML}/computes/*/write", f"{ML}/computes/*/delete", f"{ML}/listKeys/action"),
    ),
    SECRETS_READER: ((f"{ML}/connections/read", LIST_SECRETS, f"{ML}/read"), ()),
    "AzureML Metrics Writer (preview)": ((f"{ML}/metrics/*/write",), ()),
    "AcrPull": ((f"{REGISTRIES}/pull/read",), ()),
    "AcrPush": ((f"{REGISTRIES}/pull/read", f"{REGISTRIES}/push/write"), ()),
    BLOB_CONTRIBUTOR: ((), ()),
    BLOB_READER: ((), ()),
    "Storage Blob Data Owner": ((), ()),
    "Storage Table Data Contributor": ((), ()),
    "Cognitive Services OpenAI User": (("Microsoft.CognitiveServices/*/read",), ()),
}
DATA_ROLES = {
    BLOB_CONTRIBUTOR: (f"{BLOBS}/*",),
    BLOB_READER: (f"{BLOBS}/read",),
    "Storage Blob Data Owner": (f"{BLOBS}/*",),
}

# The same in every tenant of Azure.
DEFINITIONS = {
    OWNER: "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    CONTRIBUTOR: "b24988ac-6180-42a0-ab88-20f7382dd24c",
    READER: "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    "User Access Administrator": "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
    DATA_SCIENTIST: "f6c7c914-8db3-469d-8ca1-694a8f32e121",
    SECRETS_READER: "ea01e6af-a1c1-4350-9563-ad00f8c72ec5",
    "AzureML Metrics Writer (preview)": "635dd51f-9968-44d3-b7fb-6d9a6bd613ae",
    "AcrPush": "8311e382-0749-4cb8-b61a-304f252e45ec",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    BLOB_CONTRIBUTOR: "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    BLOB_READER: "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "Cognitive Services OpenAI User": "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd",
}
_NAMES = {definition: name for name, definition in DEFINITIONS.items()}


def assignment(
    setup: Setup, principal_id: str, role: str, scope: str, *, made: Document, name: str | None = None
) -> Document:
    definition = DEFINITIONS[role]
    name = name or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{scope}/{principal_id}/{definition}"))
    return {
        "id": f"{scope}{ASSIGNMENTS}{name}",
        "name": name,
        "type": f"{AUTHORIZATION}/roleAssignments",
        "properties": {
            "roleDefinitionId": definition_id(setup, definition),
            "principalId": principal_id,
            "principalType": "ServicePrincipal",
            "scope": scope,
        },
        "systemData": made,
    }


def definition_id(setup: Setup, definition: str) -> str:
    return f"/subscriptions/{setup.subscription_id}/providers/{AUTHORIZATION}/roleDefinitions/{definition}"


class Roles:
    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, object_id: str, scope: str) -> set[str]:
        """The names of the roles that one has at a scope, or above it."""
        given = self._given(object_id)
        return {role for role, at in given if f"{scope}/".lower().startswith(f"{at}/".lower())}

    def at(self, object_id: str, scope: str) -> set[str]:
        """Those that were given at this very scope."""
        return {role for role, at in self._given(object_id) if at.lower() == scope.lower()}

    def _given(self, object_id: str) -> list[tuple[str, str]]:
        properties = [one["properties"] for one in self._store.containing(ASSIGNMENTS)]
        return [
            (_NAMES[one["roleDefinitionId"].rpartition("/")[2].lower()], one["scope"])
            for one in properties
            if one["principalId"] == object_id
        ]

    def allow(self, who: Principal, action: str, scope: str) -> bool:
        roles = self.of(who.object_id, scope)
        return any(_has(ROLES[one][0], action) and not _has(ROLES[one][1], action) for one in roles)

    def allow_data(self, who: Principal, action: str, scope: str) -> bool:
        return any(_has(DATA_ROLES.get(one, ()), action) for one in self.of(who.object_id, scope))


def _has(patterns: Iterable[str], action: str) -> bool:
    return any(fnmatchcase(action.lower(), one.lower()) for one in patterns)
