"""``flowpack build --azureml``, started as in a deployment: its real lock, and a workspace that stands in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flowpack.errors import ServingError
from flowpack.running.processes import serve_in_environment
from flowpack.running.scoring import score
from tests.azure_stand_in import AzureStandIn, api_key, custom_keys
from tests.commands import flowpack
from tests.openai_stub import OpenAIStub
from tests.paths import FLOWS
from tests.running.builds import PYTHON

pytestmark = [pytest.mark.network, pytest.mark.skipif(sys.platform != "linux", reason="images are Linux")]


def test_an_llm_flow_asks_with_the_key_that_the_workspace_has(tmp_path: Path) -> None:
    flowpack("build", FLOWS / "llm-chat", "--output", tmp_path / "build", "--azureml", "--python", PYTHON)
    with OpenAIStub(key="k-1") as model, AzureStandIn(tmp_path) as azure:
        with (
            pytest.raises(ServingError) as caught,
            serve_in_environment(tmp_path / "build", python=PYTHON, environment=azure.environment),
        ):
            pass
        told = (caught.value.detail or "").splitlines()
        assert told[0] == "cannot start: 2 settings are missing, 1 is wrong"
        assert "workspace 'prod'" in told[3]
        azure.connections["open_ai_connection"] = api_key("AzureOpenAI", model.url, "k-1", ApiVersion="2024-10-21")
        with serve_in_environment(tmp_path / "build", python=PYTHON, environment=azure.environment) as served:
            assert score(served.url, {"question": "Who?"}).answer == {"answer": "echo: Who?"}
        [request] = model.requests
        assert (request.key, "api-version=2024-10-21" in request.path) == ("k-1", True)


def test_a_custom_connection_and_one_field_of_it(tmp_path: Path) -> None:
    flowpack("build", FLOWS / "custom-connection", "--output", tmp_path / "build", "--azureml", "--python", PYTHON)
    held = {"weather service": custom_keys({"api_key": "s"}, endpoint="https://w.example", region="north")}
    with AzureStandIn(tmp_path, held) as azure:
        environment = {**azure.environment, "WEATHER_SERVICE_REGION": "south"}
        with serve_in_environment(tmp_path / "build", python=PYTHON, environment=environment) as served:
            report = score(served.url, {"city": "Delft"}).answer
    assert report == {"report": "Delft by https://w.example, region south, signed True"}
