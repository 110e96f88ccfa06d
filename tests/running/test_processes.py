from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import pytest

from flowpack.errors import ServingError
from flowpack.running.processes import ProcessServer, serve_in_environment
from flowpack.running.scoring import score
from flowpack.running.variables import server_environment
from tests.openai_stub import OpenAIStub
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
        environment = server_environment(chat_build, explicit={"OPEN_AI_CONNECTION_API_BASE": stub.url})
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


def test_the_host_s_other_variables_stay_outside(
    python_build: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for a flow")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with serve_in_environment(python_build, python=PYTHON, environment={"EXTRA": "1"}) as served:
        [pid] = [each.name for each in Path("/proc").iterdir() if _serves(each.name, served.url)]
        names = {entry.partition("=")[0] for entry in Path(f"/proc/{pid}/environ").read_text().split("\0")}
    assert {"PATH", "EXTRA", "PROMPTFLOW_PROJECT_PATH"} <= names
    assert not names & {"AWS_SECRET_ACCESS_KEY", "PYTHONPATH", "FLOWPACK_CACHE_DIR"}


def _serves(pid: str, url: str) -> bool:
    """The launcher's own process: its workers have it as their parent."""
    try:
        environ = Path(f"/proc/{pid}/environ").read_text()
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
    except OSError:
        return False
    return f"FLOWPACK_PORT={url.rpartition(':')[2]}\0" in environ and int(parent) == os.getpid()


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
