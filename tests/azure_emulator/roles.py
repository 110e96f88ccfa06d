"""Which role allows what, as Azure's built-in roles say it."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from tests.azure_emulator.setup import BLOB_CONTRIBUTOR, CONTRIBUTOR, DATA_SCIENTIST, READER

ML = "Microsoft.MachineLearningServices/workspaces"
BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"

# A role's actions, and what is taken out of them. Actions on data are none that "*" is about.
ROLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    CONTRIBUTOR: (("*",), ("Microsoft.Authorization/*/Write", "Microsoft.Authorization/*/Delete")),
    READER: (("*/read",), ()),
    DATA_SCIENTIST: (
        (f"{ML}/*/read", f"{ML}/*/action", f"{ML}/*/delete", f"{ML}/*/write"),
        (f"{ML}/delete", f"{ML}/write", f"{ML}/computes/*/write", f"{ML}/computes/*/delete", f"{ML}/listKeys/action"),
    ),
    BLOB_CONTRIBUTOR: ((), ()),
}
DATA_ROLES = {BLOB_CONTRIBUTOR: (f"{BLOBS}/*",)}


def allows(roles: Iterable[str], action: str) -> bool:
    return any(_has(ROLES[one][0], action) and not _has(ROLES[one][1], action) for one in roles)


def allows_data(roles: Iterable[str], action: str) -> bool:
    return any(_has(DATA_ROLES.get(one, ()), action) for one in roles)


def _has(patterns: Iterable[str], action: str) -> bool:
    return any(fnmatchcase(action.lower(), one.lower()) for one in patterns)
