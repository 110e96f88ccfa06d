"""Which roles an identity lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, cast

import pytest

from flowpack.azureml.endpoints.roles import MODEL, PULL, SECRETS, Role, missing_roles
from flowpack.azureml.resource_manager import ResourceManager

GROUP = "/subscriptions/s/resourceGroups/g"
STORAGE, REGISTRY, ML = f"{GROUP}/storage", f"{GROUP}/registries/images", f"{GROUP}/workspaces/w"
WORKSPACE = {"id": ML, "properties": {"storageAccount": STORAGE, "containerRegistry": REGISTRY}}


class Assignments:
    """Roles by the scope at which they are assigned."""

    def __init__(self, *assigned: tuple[str, Role]) -> None:
        self._assigned = assigned

    definitions: Mapping[str, Any] = MappingProxyType({})

    def get_at(self, path: str, api_version: str) -> Any:
        return self.definitions.get(path)

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


@pytest.mark.parametrize("above", ["/", "/providers/Microsoft.Management/managementGroups/root"])
def test_a_role_above_the_subscription_holds(above: str) -> None:
    assert missing((above, MODEL), (above, SECRETS), (above, PULL)) == []


def test_a_role_of_a_group_whose_name_begins_alike_does_not_hold() -> None:
    beside = STORAGE[:-1]
    assert missing((beside, MODEL), (GROUP, SECRETS), (REGISTRY, PULL)) == [MODEL.name]


@pytest.mark.parametrize(
    ("permissions", "holds"),
    [
        ({"actions": ["microsoft.machinelearningservices/workspaces/*"]}, True),
        ({"actions": ["*"], "notActions": ["*/listsecrets/action"]}, False),
        ({"actions": ["*/read"]}, False),
        ({"dataActions": ["*"]}, False),
    ],
)
def test_a_custom_role_holds_by_what_it_allows(permissions: Mapping[str, Any], holds: bool) -> None:
    custom = Role("Custom", "is a team's own", "", ("11111111-2222-3333-4444-555555555555",))
    assignments = Assignments((STORAGE, MODEL), (REGISTRY, PULL), (ML, custom))
    path = f"/x/roleDefinitions/{custom.by[0]}"
    assignments.definitions = {path: {"properties": {"permissions": [permissions]}}}
    found = missing_roles(
        cast(ResourceManager, assignments), "person", WORKSPACE, image="images.azurecr.io/chat", asks_workspace=True
    )
    assert bool(found) is not holds
