from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from flowpack.azureml.workspace import GROUP, NAME, SUBSCRIPTION, Workspace, find_workspace
from flowpack.errors import InputError, UsageError
from tests.paths import write_tree

PROFILE = json.dumps({"subscriptions": [{"id": "other"}, {"id": "s-az", "isDefault": True}]})
Find = Callable[..., Workspace | None]


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """Looks from tmp_path/project/flow, with tmp_path/home/.azure as az's own folder."""

    def find_from(environ: dict[str, str] | None = None, **options: str) -> Workspace | None:
        start = tmp_path / "project" / "flow"
        start.mkdir(parents=True, exist_ok=True)
        az = {"AZURE_CONFIG_DIR": str(tmp_path / "home" / ".azure")}
        keys = {"subscription": SUBSCRIPTION, "group": GROUP, "name": NAME}
        return find_workspace({keys[key]: value for key, value in options.items()}, {**az, **(environ or {})}, start)

    return find_from


def parts(found: Workspace | None) -> tuple[str, str, str] | None:
    return (found.subscription, found.resource_group, found.name) if found else None


def az(tmp_path: Path, config: str = "[defaults]\ngroup = g-az\nworkspace = w-az\n", profile: str = PROFILE) -> None:
    # az writes its profile with a byte order mark.
    write_tree(tmp_path / "home/.azure", {"config": config, "azureProfile.json": profile.encode("utf-8-sig")})


def config_json(place: Path, **fields: str) -> None:
    stated = {"subscription_id": "s-json", "resource_group": "g-json", "workspace_name": "w-json", **fields}
    write_tree(place.parent, {place.name: json.dumps(stated)})


def test_without_anything_there_is_none(find: Find) -> None:
    assert find() is None


def test_options(find: Find) -> None:
    found = find(subscription="s", group="g", name="w")
    assert parts(found) == ("s", "g", "w")
    assert found and str(found) == "workspace 'w' (resource group 'g', from options)"


def test_the_variables_of_azure_ml_s_jobs_go_before_those_of_the_samples(find: Find) -> None:
    jobs = {"AZUREML_ARM_SUBSCRIPTION": "s1", "AZUREML_ARM_RESOURCEGROUP": "g1", "AZUREML_ARM_WORKSPACE_NAME": "w1"}
    samples = {"AZURE_SUBSCRIPTION_ID": "s2", "AZURE_RESOURCE_GROUP": "g2", "AZUREML_WORKSPACE_NAME": "w2"}
    assert parts(find({**jobs, **samples})) == ("s1", "g1", "w1")
    assert parts(find(samples)) == ("s2", "g2", "w2")
    assert parts(find(samples, name="w")) == ("s2", "g2", "w")


def test_az_s_defaults_with_the_subscription_of_its_login(find: Find, tmp_path: Path) -> None:
    az(tmp_path)
    assert parts(find()) == ("s-az", "g-az", "w-az")
    assert parts(find({"AZURE_DEFAULTS_WORKSPACE": "w"})) == ("s-az", "g-az", "w")
    assert parts(find(name="w", group="g")) == ("s-az", "g", "w")


def test_the_nearest_az_folder_goes_before_the_user_s_own(find: Find, tmp_path: Path) -> None:
    az(tmp_path)
    write_tree(tmp_path / "project/.azure", {"config": "[defaults]\nworkspace = w-near\n"})
    assert parts(find()) == ("s-az", "g-az", "w-near")


def test_a_config_json_as_from_config_finds_it(find: Find, tmp_path: Path) -> None:
    config_json(tmp_path / "project" / "config.json")
    assert parts(find()) == ("s-json", "g-json", "w-json")
    config_json(tmp_path / "project" / ".azureml" / "config.json", workspace_name="w-azureml")
    found = find()
    assert parts(found) == ("s-json", "g-json", "w-azureml")
    assert found and found.origin.endswith("config.json")


def test_a_config_json_with_a_scope(find: Find, tmp_path: Path) -> None:
    scope = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
    write_tree(tmp_path / "project/aml_config", {"project.json": json.dumps({"Scope": scope})})
    assert parts(find()) == ("s", "g", "w")


def test_the_environment_goes_before_az_and_az_before_a_config_json(find: Find, tmp_path: Path) -> None:
    config_json(tmp_path / "project/config.json")
    az(tmp_path)
    assert parts(find()) == ("s-az", "g-az", "w-az")
    assert parts(find({"AZUREML_WORKSPACE_NAME": "w", "AZURE_RESOURCE_GROUP": "g"})) == ("s-az", "g", "w")


def test_the_names_of_two_workspaces_are_not_mixed(find: Find, tmp_path: Path) -> None:
    az(tmp_path, config="[defaults]\nlocation = west\n")
    config_json(tmp_path / "project/config.json")
    assert parts(find({"AZURE_SUBSCRIPTION_ID": "of-another-tool"})) == ("s-json", "g-json", "w-json")


def test_another_tool_s_config_json_is_passed_over(find: Find, tmp_path: Path) -> None:
    write_tree(tmp_path / "project", {"flow/config.json": "{// no JSON", "project.json": '["name"]'})
    assert find() is None
    config_json(tmp_path / "config.json")
    assert parts(find()) == ("s-json", "g-json", "w-json")


def test_a_workspace_that_is_named_in_part_is_refused(find: Find) -> None:
    with pytest.raises(UsageError) as caught:
        find(name="w")
    assert (
        caught.value.message == "which workspace is meant is not clear: no subscription and no resource group is given"
    )
    assert caught.value.hint and caught.value.hint.startswith("give --subscription and --resource-group")
    with pytest.raises(UsageError):
        find({"AZUREML_WORKSPACE_NAME": "w"})


def test_az_s_broken_configuration_is_named(find: Find, tmp_path: Path) -> None:
    az(tmp_path, config="workspace = outside of a section\n")
    with pytest.raises(InputError) as caught:
        find()
    assert caught.value.location and caught.value.location.path.name == "config"
