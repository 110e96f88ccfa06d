from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from pathlib import Path

import pytest

from flowpack.errors import ServingError
from flowpack.running.processes import ProcessServer, serve_in_environment
from flowpack.running.scoring import score
from flowpack.running.variables import server_variables
from tests.openai_stub import OpenAIStub
from tests.paths import write_tree
from tests.running.builds import PYTHON

pytestmark = pytest.mark.network


@pytest.mark.parametrize("engine", ["flask", "fastapi"])
def test_a_build_is_served_scored_and_stopped(python_build: Path, cache: Path, engine: str) -> None:
    environment = {"PROMPTFLOW_SERVING_ENGINE": engine}
    with serve_in_environment(python_build, python=PYTHON, environment=environment) as served:
        assert served.engine == "venv"
        assert score(served.url, {"text": "to be or not"}).answer == {"word_count": 4}
        assert "serving" in served.server.logs()
    assert not served.server.alive()
    with pytest.raises(ServingError):
        score(served.url, {"text": ""})


def test_an_llm_flow_against_the_stub(chat_build: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAIStub(key="k-1") as stub:
        monkeypatch.setenv("OPEN_AI_CONNECTION_API_KEY", "k-1")
        environment = server_variables(chat_build, explicit={"OPEN_AI_CONNECTION_API_BASE": stub.url}).values
        with serve_in_environment(chat_build, python=PYTHON, environment=environment) as served:
            assert score(served.url, {"question": "Hello?"}).answer == {"answer": "echo: Hello?"}
        assert [request.key for request in stub.requests] == ["k-1"]


def test_what_is_missing_is_the_error(chat_build: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPEN_AI_CONNECTION_API_KEY", raising=False)
    environment = {"OPEN_AI_CONNECTION_API_BASE": "http://127.0.0.1:1"}
    with (
        pytest.raises(ServingError) as caught,
        serve_in_environment(chat_build, python=PYTHON, environment=environment),
    ):
        pass
    assert (caught.value.detail or "").splitlines()[:2] == [
        "cannot start: 1 setting is missing",
        "  OPEN_AI_CONNECTION_API_KEY  (connection 'open_ai_connection', api_key)",
    ]


TELLS = """\
import json, os
from promptflow.core import tool


@tool
def tell(text: str) -> dict:
    return {"environment": dict(os.environ), "home": os.listdir(os.path.expanduser("~")), "cwd": os.listdir(".")}
"""


@pytest.fixture(scope="module")
def telling_build(python_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flow that answers with the variables that it was given, and with what is in its home."""
    build = tmp_path_factory.mktemp("telling") / "build"
    shutil.copytree(python_build, build)
    write_tree(build / "flow", {"flow.dag.yaml": TELLING, "tell.py": TELLS})
    return build


TELLING = """\
environment_variables: {GITHUB_TOKEN: "", GREETING: hello}
inputs: {text: {type: string, default: a}}
outputs: {told: {type: object, reference: "${tell.output}"}}
nodes:
- name: tell
  type: python
  source: {type: code, path: tell.py}
  inputs: {text: "${inputs.text}"}
"""

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "planted",
    "GITHUB_TOKEN": "planted",
    "AZURE_CLIENT_SECRET": "planted",
    "SOMETHING_ELSE": "planted",
    "OTEL_EXPORTER_OTLP_HEADERS": "planted",
}


@pytest.mark.attack("run: variables")
def test_a_flow_gets_the_variables_it_was_given_and_no_others(
    telling_build: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = write_tree(tmp_path / "home", {".netrc": "planted", ".aws/credentials": "planted"})
    for name, value in {**SECRETS, "HOME": str(home), "PYTHONPATH": str(tmp_path), "GREETING": "hi"}.items():
        monkeypatch.setenv(name, value)
    variables = server_variables(telling_build, explicit={"EXTRA": "1"})
    with serve_in_environment(telling_build, python=PYTHON, environment=variables.values) as served:
        told = score(served.url, {"text": ""}).answer["told"]
    environment = told["environment"]
    assert environment["EXTRA"] == "1"
    assert environment["GREETING"] == "hi"
    assert "planted" not in str(environment).replace(environment["PATH"], "")
    assert not environment.keys() & {"PYTHONPATH", "FLOWPACK_CACHE_DIR"}
    assert environment["HOME"] != str(home)
    assert not {".netrc", ".aws"} & {*told["home"]}


def test_a_port_that_is_taken_is_told_before_anything_starts(python_build: Path, cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(ServingError) as caught,
            serve_in_environment(python_build, python=PYTHON, environment={}, port=port),
        ):
            pass
    assert f"port {port}" in caught.value.message
    assert "--port" in (caught.value.hint or "")


def test_following_gives_every_line_and_the_exit_status(tmp_path: Path) -> None:
    code = "import time\nprint('one', flush=True)\ntime.sleep(0.3)\nprint('two')\nprint('three', end='')\nexit(4)"
    server = ProcessServer([sys.executable, "-c", code], os.environ, tmp_path / "log")
    lines: list[str] = []
    assert server.follow(lines.append) == 4
    assert lines == ["one", "two", "three"]
    server.stop()


def test_a_server_that_will_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowpack.running.processes._PATIENCE_AT_THE_END", 0.3)
    code = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(600)"
    server = ProcessServer([sys.executable, "-c", code], os.environ, tmp_path / "log")
    while "up" not in server.logs():
        time.sleep(0.01)
    server.stop()
    assert not server.alive()
    server.stop()
