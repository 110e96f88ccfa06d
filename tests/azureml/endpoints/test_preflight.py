"""What the preflight refuses and what it lets pass: quota and instance types."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from flowpack.azureml.endpoints.preflight import check_ready
from flowpack.azureml.endpoints.states import SUCCEEDED, Deployment
from flowpack.azureml.resource_manager import ResourceManager
from flowpack.errors import AzureError
from tests.azureml.endpoints.examples import WORKSPACE, planned
from tests.azureml.models.examples import flow_folder
from tests.recording import Recording

REGION = "Microsoft.MachineLearningServices/dedicatedCores/usages"


class Region:
    """A region with one instance type of 4 cores. ``refusal`` is the status with which it refuses to show its quota."""

    workspace = WORKSPACE

    def __init__(self, free: int, refusal: int | None = None) -> None:
        self._free, self._refusal = free, refusal

    def get(self, *parts: str) -> Any:
        return {"location": "westeurope", "id": "w", "properties": {}}

    def get_at(self, path: str) -> Any:
        return {"value": [{"name": "Standard_DS3_v2", "vCPUs": 4, "family": "standardDSv2Family"}]}

    def listed(self, *parts: str) -> Iterator[Any]:
        return iter(())

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
