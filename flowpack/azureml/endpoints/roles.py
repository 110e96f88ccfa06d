"""Which roles a user-assigned identity needs before an endpoint is made with it, and which of them it has.

The table: docs/reference/deployments.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flowpack.azureml.resource_manager import ResourceManager

_AUTHORIZATION_API = "2022-04-01"
_OWNER, _CONTRIBUTOR = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "b24988ac-6180-42a0-ab88-20f7382dd24c"


@dataclass(frozen=True, slots=True)
class Role:
    """``by`` holds the ids of the built-in roles that allow it, the least one first; ``name`` is that one's name."""

    name: str
    why: str
    by: tuple[str, ...]


SECRETS = Role(
    "Azure Machine Learning Workspace Connection Secrets Reader",
    "reads the workspace's connections",
    ("ea01e6af-a1c1-4350-9563-ad00f8c72ec5", "f6c7c914-8db3-469d-8ca1-694a8f32e121", _CONTRIBUTOR, _OWNER),
)
PULL = Role(
    "AcrPull",
    "pulls the image",
    ("7f951dda-4ed3-4680-a7ca-43fe172d538d", "8311e382-0749-4cb8-b61a-304f252e45ec", _CONTRIBUTOR, _OWNER),
)
MODEL = Role(
    "Storage Blob Data Reader",
    "loads the model",
    (
        "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
        "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
        "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    ),
)


def missing_roles(
    resources: ResourceManager, principal: str, workspace: Any, *, image: str, asks_workspace: bool
) -> list[str]:
    """A command for each role that the identity seems to lack; one that a custom role gives is not seen."""
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
        if scope and not _assigned(resources, principal, scope) & set(role.by)
    ]


def _assigned(resources: ResourceManager, principal: str, scope: str) -> set[str]:
    """The ids of the roles at this scope and above it, those of the identity's groups among them."""
    path = f"{scope}/providers/Microsoft.Authorization/roleAssignments"
    filtered = {"$filter": f"assignedTo('{principal}')"}
    return {
        each["properties"]["roleDefinitionId"].rsplit("/", 1)[-1].lower()
        for each in resources.listed_at(path, _AUTHORIZATION_API, **filtered)
        if scope.lower().startswith(each["properties"]["scope"].lower())
    }
