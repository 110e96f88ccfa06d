"""``flowpack build --azureml``, started as in a deployment: its real lock, and the tests' own workspace."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from azure_emulator import AzureEmulator, Setup
from azure_emulator.connections import api_key
from azure_emulator.resources.endpoints import ENFORCES
from flowpack.errors import ServingError
from flowpack.running.processes import serve_in_environment
from flowpack.running.scoring import score
from tests.commands import flowpack
from tests.openai_stub import OpenAIStub
from tests.paths import FLOWS
from tests.running.builds import PYTHON

pytestmark = [pytest.mark.network, pytest.mark.skipif(sys.platform != "linux", reason="images are Linux")]


ENABLED = {ENFORCES: "enabled"}


@pytest.fixture
def azure() -> Iterator[AzureEmulator]:
    with AzureEmulator(setup=Setup(runs_containers=False)) as running:
        yield running


def test_an_llm_flow_asks_with_the_key_that_the_workspace_has(azure: AzureEmulator, tmp_path: Path) -> None:
    flowpack("build", FLOWS / "llm-chat", "--output", tmp_path / "build", "--azureml", "--python", PYTHON)
    azure.make_endpoint("chat", **ENABLED)
    environment = azure.deployment_variables("chat")
    with OpenAIStub(key="k-1") as model:
        with (
            pytest.raises(ServingError) as caught,
            serve_in_environment(tmp_path / "build", python=PYTHON, environment=environment),
        ):
            pass
        told = (caught.value.detail or "").splitlines()
        assert told[0] == "cannot start: 2 settings are missing, 1 is wrong"
        assert f"workspace '{azure.setup.workspace}'" in told[3]
        azure.connect("open_ai_connection", api_key("AzureOpenAI", model.url, "k-1", ApiVersion="2024-10-21"))
        with serve_in_environment(tmp_path / "build", python=PYTHON, environment=environment) as served:
            assert score(served.url, {"question": "Who?"}).answer == {"answer": "echo: Who?"}
        [request] = model.requests
        assert (request.key, "api-version=2024-10-21" in request.path) == ("k-1", True)
