"""Which roles a user-assigned identity needs before an endpoint is made with it, and which of them it has.

The table: docs/reference/deployments.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from flowpack.azureml.resource_manager import ResourceManager

_AUTHORIZATION_API = "2022-04-01"
_OWNER, _CONTRIBUTOR = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "b24988ac-6180-42a0-ab88-20f7382dd24c"


@dataclass(frozen=True, slots=True)
class Role:
    """A built-in role. ``by`` holds the ids of the built-in roles that allow ``action``, this one first."""

    name: str
    why: str
    action: str
    by: tuple[str, ...]
    on_data: bool = False
    """Whether ``action`` is one of the dataActions of a role definition."""


SECRETS = Role(
    "Azure Machine Learning Workspace Connection Secrets Reader",
    "reads the workspace's connections",
    "Microsoft.MachineLearningServices/workspaces/connections/listsecrets/action",
    ("ea01e6af-a1c1-4350-9563-ad00f8c72ec5", "f6c7c914-8db3-469d-8ca1-694a8f32e121", _CONTRIBUTOR, _OWNER),
)
PULL = Role(
    "AcrPull",
    "pulls the image",
    "Microsoft.ContainerRegistry/registries/pull/read",
    ("7f951dda-4ed3-4680-a7ca-43fe172d538d", "8311e382-0749-4cb8-b61a-304f252e45ec", _CONTRIBUTOR, _OWNER),
)
MODEL = Role(
    "Storage Blob Data Reader",
    "loads the model",
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
    (
        "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
        "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
        "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    ),
    on_data=True,
)


def missing_roles(
    resources: ResourceManager, principal: str, workspace: Any, *, image: str, asks_workspace: bool
) -> list[str]:
    """A command for each role that the identity lacks, whether it has it from a built-in or a custom role."""
    stated = workspace["properties"]
    needed = [(MODEL, stated.get("storageAccount"))]
    if asks_workspace:
        needed.append((SECRETS, workspace["id"]))
    registry = stated.get("containerRegistry")
    if registry and image.startswith(f"{registry.rsplit('/', 1)[-1]}."):
        needed.append((PULL, registry))
    return [
        f"{role.name}, which {role.why}: az role assignment create --role '{role.name}' "
        f"--assignee-object-id {principal} --assignee-principal-type ServicePrincipal --scope {scope}"
        for role, scope in needed
        if scope and not _allows(resources, _assigned(resources, principal, scope), role)
    ]


def _allows(resources: ResourceManager, assigned: Mapping[str, str], role: Role) -> bool:
    if assigned.keys() & set(role.by):
        return True
    return any(_definition_allows(resources.get_at(path, _AUTHORIZATION_API), role) for path in assigned.values())


def _definition_allows(definition: Any, role: Role) -> bool:
    allowed, denied = ("dataActions", "notDataActions") if role.on_data else ("actions", "notActions")
    permissions = definition["properties"].get("permissions", ()) if definition else ()
    return any(
        _matches(role.action, each.get(allowed) or ()) and not _matches(role.action, each.get(denied) or ())
        for each in permissions
    )


def _matches(action: str, patterns: Iterable[str]) -> bool:
    """Azure compares actions without regard to case; ``*`` stands for any number of characters."""
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)


def _assigned(resources: ResourceManager, principal: str, scope: str) -> dict[str, str]:
    """The roles at this scope and above it, those of the identity's groups among them: paths of definitions by id."""
    path = f"{scope}/providers/Microsoft.Authorization/roleAssignments"
    filtered = {"$filter": f"assignedTo('{principal}')"}
    found = [each["properties"] for each in resources.listed_at(path, _AUTHORIZATION_API, **filtered)]
    definitions = [each["roleDefinitionId"] for each in found if _is_above(each["scope"], scope)]
    return {each.rsplit("/", 1)[-1].lower(): each for each in definitions}


def _is_above(assigned: str, scope: str) -> bool:
    """Whether an assignment at ``assigned`` holds for ``scope``: there, above it, or in a management group."""
    above = assigned.lower().rstrip("/")
    if above.startswith("/providers/microsoft.management/managementgroups/"):
        return True  # Azure lists those that the scope is in, and no others
    return scope.lower() == above or scope.lower().startswith(f"{above}/")
