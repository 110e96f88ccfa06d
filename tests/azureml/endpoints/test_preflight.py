"""What the preflight refuses and what it lets pass: connections, quota and instance types."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from flowpack.azureml.endpoints.preflight import check_ready
from flowpack.azureml.endpoints.states import SUCCEEDED, Deployment
from flowpack.azureml.resource_manager import ResourceManager
from flowpack.errors import AzureError
from tests.azureml.endpoints.examples import WORKSPACE, planned
from tests.azureml.models.examples import flow_folder
from tests.paths import FLOWS
from tests.recording import Recording

REGION = "Microsoft.MachineLearningServices/dedicatedCores/usages"


class Region:
    """A region with one instance type of 4 cores. ``refusal`` is the status with which it refuses to show its quota."""

    workspace = WORKSPACE

    def __init__(self, free: int = 99, refusal: int | None = None, connections: tuple[str, ...] = ()) -> None:
        self._free, self._refusal, self._connections = free, refusal, connections

    def get(self, *parts: str) -> Any:
        return {"location": "westeurope", "id": "w", "properties": {}}

    def get_at(self, path: str) -> Any:
        return {"value": [{"name": "Standard_DS3_v2", "vCPUs": 4, "family": "standardDSv2Family"}]}

    def listed(self, *parts: str) -> Iterator[Any]:
        assert parts == ("connections",)
        return iter([{"name": name} for name in self._connections])

    def listed_at(self, path: str) -> Iterator[Any]:
        if self._refusal:
            error = AzureError("no")
            error.status = self._refusal
            raise error
        usage = {"name": {"value": "Total Cores"}, "type": REGION, "limit": 100, "currentValue": 100 - self._free}
        return iter([usage])


def check(tmp_path: Path, region: Region, existing: Deployment | None = None, **asked: Any) -> list[str]:
    plan = planned(flow_folder(tmp_path / "chat"), **asked)
    document = plan.deployment.with_model("chat:1").named("blue", WORKSPACE)
    said = Recording()
    check_ready(cast(ResourceManager, region), plan, document, existing, said)
    return said


def test_a_fifth_more_instances_have_to_be_free(tmp_path: Path) -> None:
    assert check(tmp_path, Region(free=8)) == []
    with pytest.raises(AzureError, match="would fail") as caught:
        check(tmp_path / "second", Region(free=7))
    assert "7 of 100 are free" in (caught.value.detail or "")


def test_an_update_in_place_counts_the_cores_that_it_has(tmp_path: Path) -> None:
    existing = Deployment(
        name="blue",
        state=SUCCEEDED,
        model="chat:1",
        environment="e",
        instance_type="standard_ds3_V2",
        instance_count=1,
        tags={},
    )
    assert check(tmp_path, Region(free=0), existing) == []


def test_an_unknown_instance_type_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(AzureError) as caught:
        check(tmp_path, Region(free=99), instance_type="Standard_DS3_v3")
    assert "'Standard_DS3_v2'?" in (caught.value.detail or "")


def test_quota_that_may_not_be_read_is_a_warning(tmp_path: Path) -> None:
    (warning,) = check(tmp_path, Region(free=0, refusal=403))
    assert warning.startswith("warning: the quota could not be looked at")


def test_an_expired_sign_in_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AzureError, match="no"):
        check(tmp_path, Region(free=0, refusal=401))


WEATHER = {"WEATHER_SERVICE_ENDPOINT": "e", "WEATHER_SERVICE_REGION": "r", "WEATHER_SERVICE_API_KEY": "k"}


def weather(region: Region, *, asks_workspace: bool | None = True, **variables: str) -> str:
    """What the preflight says of a flow with the connection 'weather service'; "" where nothing is missing."""
    plan = replace(planned(FLOWS / "custom-connection", variables=variables), asks_workspace=asks_workspace)
    document = plan.deployment.with_model("weather:1").named("blue", WORKSPACE)
    try:
        check_ready(cast(ResourceManager, region), plan, document, None, Recording())
    except AzureError as error:
        return error.detail or ""
    return ""


def test_a_connection_that_the_workspace_lacks_names_the_nearest() -> None:
    said = weather(Region(connections=("weather-service",)))
    assert "the workspace has no connection 'weather service': did you mean 'weather-service'?" in said
    assert weather(Region(connections=("weather service",))) == ""


def test_variables_that_give_the_whole_connection_need_no_workspace() -> None:
    assert weather(Region(), **WEATHER) == ""
    assert weather(Region(), weather_service='{"type": "custom", "configs": {}}') == ""
    assert "has no connection" in weather(Region(), weather_service='{"region": "r"}'), "JSON of a single field"


@pytest.mark.parametrize("override", ["other", "${{azureml://connections/other}}"])
def test_another_connection_that_an_override_names_has_to_be_there(override: str) -> None:
    said = weather(Region(connections=("weather service", "others")), weather_service=override)
    assert "which weather_service replaces: the workspace has no connection 'other': did you mean 'others'?" in said
    assert weather(Region(connections=("other",)), weather_service=override) == ""


def test_a_part_of_a_connection_that_a_variable_refers_to_has_to_be_there() -> None:
    variables = {**WEATHER, "WEATHER_SERVICE_API_KEY": "${{azureml://connections/wether/credentials/key}}"}
    said = weather(Region(connections=("weather",)), **variables)
    assert "variable WEATHER_SERVICE_API_KEY: the workspace has no connection 'wether': did you mean 'weather'?" in said


def test_an_image_that_cannot_ask_the_workspace_needs_every_variable() -> None:
    region = Region(connections=("weather service", "other"))
    without_key = {name: value for name, value in WEATHER.items() if "KEY" not in name}
    assert "WEATHER_SERVICE_API_KEY is not set" in weather(region, asks_workspace=False, **without_key)
    said = weather(region, asks_workspace=False, weather_service="other")
    assert "give its JSON, or ${{azureml://connections/other}}" in said
    assert weather(region, asks_workspace=False, weather_service="${{azureml://connections/other}}") == ""
