"""Which roles an identity lacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from flowpack.azureml.endpoints.roles import MODEL, PULL, SECRETS, Role, missing_roles
from flowpack.azureml.resource_manager import ResourceManager

GROUP = "/subscriptions/s/resourceGroups/g"
STORAGE, REGISTRY, ML = f"{GROUP}/storage", f"{GROUP}/registries/images", f"{GROUP}/workspaces/w"
WORKSPACE = {"id": ML, "properties": {"storageAccount": STORAGE, "containerRegistry": REGISTRY}}


class Assignments:
    """Roles by the scope at which they are assigned."""

    def __init__(self, *assigned: tuple[str, Role]) -> None:
        self._assigned = assigned

    def listed_at(self, path: str, api_version: str, **query: str) -> Iterator[Any]:
        assert query["$filter"] == "assignedTo('person')"
        for scope, role in self._assigned:
            yield {"properties": {"roleDefinitionId": f"/x/roleDefinitions/{role.by[0].upper()}", "scope": scope}}


def missing(
    *assigned: tuple[str, Role], image: str = "images.azurecr.io/chat", asks_workspace: bool = True
) -> list[str]:
    resources = cast(ResourceManager, Assignments(*assigned))
    found = missing_roles(resources, "person", WORKSPACE, image=image, asks_workspace=asks_workspace)
    return [each.partition(", which")[0] for each in found]


def test_an_identity_without_roles_lacks_all_and_each_comes_with_a_command() -> None:
    assert missing() == [MODEL.name, SECRETS.name, PULL.name]
    resources = cast(ResourceManager, Assignments())
    first = missing_roles(resources, "person", WORKSPACE, image="x", asks_workspace=False)[0]
    assert f"az role assignment create --role '{MODEL.name}' --assignee-object-id person" in first
    assert first.endswith(f"--scope {STORAGE}")


def test_roles_of_the_scope_and_above_it_count_and_those_beside_it_do_not() -> None:
    assert missing((STORAGE, MODEL), (GROUP, SECRETS), (REGISTRY, PULL)) == []
    assert missing((ML, MODEL), (GROUP, SECRETS), (REGISTRY, PULL)) == [MODEL.name]


def test_only_what_the_deployment_uses_is_needed() -> None:
    assert missing(image="other.azurecr.io/chat", asks_workspace=False) == [MODEL.name]
