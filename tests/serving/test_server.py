"""The launcher with what a lock installs: promptflow-core alone, and the full SDK with promptflow-tools."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.openai_stub import OpenAIStub
from tests.paths import FLOWS, write_tree
from tests.running.builds import AZURE_OPEN_AI, SLOW
from tests.serving.conftest import Launch, Launched, workers_of

pytestmark = [pytest.mark.network, pytest.mark.skipif(sys.platform != "linux", reason="images are Linux")]

ENGINES = ("flask", "fastapi")
DAG = (FLOWS / "python-only" / "flow.dag.yaml").read_text()
CUSTOM = (
    "type: custom\nname: weather service\n"
    "configs:\n  endpoint: ${env:WEATHER_SERVICE_ENDPOINT}\n  region: ${env:WEATHER_SERVICE_REGION}\n"
    "secrets:\n  api_key: ${env:WEATHER_SERVICE_API_KEY}\n"
)

SLEEP = SLOW.replace('    if text == "slow":\n        time.sleep(1)\n', "    time.sleep(int(text))\n")


@pytest.fixture
def llm_connections(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "connections", {"open_ai_connection.yaml": AZURE_OPEN_AI})


@pytest.mark.parametrize("engine", ENGINES)
def test_a_python_flow_with_promptflow_core_alone(launch: Launch, engine: str) -> None:
    launched = launch(FLOWS / "python-only", PROMPTFLOW_SERVING_ENGINE=engine, PROMPTFLOW_WORKER_NUM="2").healthy()
    for _ in range(6):
        assert launched.score({"text": "a b c"}) == {"word_count": 3}
    assert len(workers_of(launched, at_least=2)) == 2
    assert launched.terminate() == 0


def test_neither_the_development_kit_nor_openai_is_loaded_for_it(launch: Launch, tmp_path: Path) -> None:
    """The kit also where it is installed; openai unless promptflow-tools is there, which promptflow always loads."""
    report = (
        "import sys\nfrom promptflow.core import tool\n\n\n@tool\ndef count(text: str) -> list:\n"
        "    heavy = ('promptflow._sdk', 'azure', 'sqlalchemy')\n"
        "    heavy += () if 'promptflow.tools' in sys.modules else ('openai',)\n"
        "    return [name for name in sys.modules if name.startswith(heavy)]\n"
    )
    flow = write_tree(tmp_path / "flow", {"flow.dag.yaml": DAG, "count.py": report})
    for packages in ("core", "tools"):
        launched = launch(flow, packages=packages, PROMPTFLOW_WORKER_NUM="1").healthy()
        for _ in range(2):
            assert launched.score({"text": ""}) == {"word_count": []}


@pytest.mark.parametrize("engine", ENGINES)
def test_an_llm_flow_with_its_connection_from_variables_alone(
    launch: Launch, llm_connections: Path, engine: str
) -> None:
    with OpenAIStub(key="the-key") as stub:
        launched = launch(
            FLOWS / "llm-chat",
            packages="tools",
            connections=llm_connections,
            PROMPTFLOW_SERVING_ENGINE=engine,
            PROMPTFLOW_WORKER_NUM="2",
            OPEN_AI_CONNECTION_API_BASE=stub.url,
            OPEN_AI_CONNECTION_API_KEY="the-key",
        ).healthy()
        assert launched.score({"question": "Who are you?"}) == {"answer": "echo: Who are you?"}
        [request] = stub.requests
        assert request.key == "the-key"
        assert request.path.startswith("/openai/deployments/gpt-4o/chat/completions?api-version=2024-02-01")
        assert "the-key" not in launched.said
        assert "cannot share" not in launched.said, "the tools must not start the development kit's threads"
        assert launched.terminate() == 0


def test_a_connection_that_only_the_code_names_is_told_like_the_others(launch: Launch, tmp_path: Path) -> None:
    """Of a flow that was not built by flowpack, say: no document tells of it."""
    tool = (
        "from promptflow.connections import CustomConnection\nfrom promptflow.core import tool\n\n\n"
        "@tool\ndef count(text: CustomConnection) -> int:\n    return len(text.words)\n"
    )
    dag = DAG.replace("text: ${inputs.text}", "text: word list")
    assert dag != DAG
    flow = write_tree(tmp_path / "flow", {"flow.dag.yaml": dag, "count.py": tool})
    launched = launch(flow)
    assert launched.ended() == 1
    assert "Traceback" not in launched.said
    assert "cannot start: 1 setting is missing\n  word_list  (connection 'word list'" in launched.said
    launched = launch(flow, FLOWPACK_PRELOAD="0")
    assert launched.ended() == 3
    assert "cannot start: 1 setting is missing\n  word_list  (connection 'word list'" in launched.said
    whole = json.dumps({"type": "custom", "configs": {"words": "abc"}})
    assert launch(flow, word_list=whole).healthy().score({"text": ""}) == {"word_count": 3}


@pytest.mark.parametrize(
    ("engine", "threads", "limit", "lasts"),
    [("flask", "1", "4", "3"), ("flask", "2", "2", "5"), ("fastapi", "1", "2", "5")],
)
def test_a_long_request_is_not_cut(
    launch: Launch, tmp_path: Path, engine: str, threads: str, limit: str, lasts: str
) -> None:
    """In small: the limit is 330 s unless told otherwise, and counts for a worker that does one request at a time.

    A real one of 300 s, with both engines: docs/reference/serving.md.
    """
    flow = write_tree(tmp_path / "flow", {"flow.dag.yaml": DAG, "count.py": SLEEP})
    launched = launch(
        flow,
        PROMPTFLOW_SERVING_ENGINE=engine,
        PROMPTFLOW_WORKER_NUM="1",
        PROMPTFLOW_WORKER_THREADS=threads,
        FLOWPACK_TIMEOUT=limit,
        GUNICORN_CMD_ARGS="--keep-alive 1",
    ).healthy()
    assert launched.score({"text": lasts}) == {"word_count": 1}
    assert "TIMEOUT" not in launched.said


@pytest.mark.parametrize("engine", ENGINES)
def test_a_streaming_answer_streams(launch: Launch, llm_connections: Path, engine: str) -> None:
    rest = threading.Event()
    with OpenAIStub(hold=rest) as stub:
        launched = launch(
            FLOWS / "llm-chat",
            packages="tools",
            connections=llm_connections,
            PROMPTFLOW_SERVING_ENGINE=engine,
            OPEN_AI_CONNECTION_API_BASE=stub.url,
            OPEN_AI_CONNECTION_API_KEY="k",
        ).healthy()
        response = launched.post({"question": "one two three"}, accept="text/event-stream")
        assert response.getheader("content-type", "").startswith("text/event-stream")
        first = json.loads(response.readline()[len(b"data:") :])["answer"]
        assert first == "echo: ", "it comes while the model still holds back the rest"
        rest.set()
        others = [json.loads(line[5:])["answer"] for line in response.read().splitlines() if line]
    assert first + "".join(others) == "echo: one two three"


def test_everything_that_is_missing_is_told_before_anything_starts(launch: Launch, llm_connections: Path) -> None:
    launched = launch(FLOWS / "llm-chat", packages="tools", connections=llm_connections, PROMPTFLOW_WORKER_NUM="x")
    assert launched.ended() == 1
    launched = launch(FLOWS / "llm-chat", packages="tools", connections=llm_connections)
    assert launched.ended() == 1
    assert launched.said.splitlines() == [
        "cannot start: 2 settings are missing",
        "  OPEN_AI_CONNECTION_API_BASE  (connection 'open_ai_connection', api_base)",
        "  OPEN_AI_CONNECTION_API_KEY   (connection 'open_ai_connection', api_key)",
        "Set what is missing in the environment, for instance: docker run --env OPEN_AI_CONNECTION_API_BASE=... IMAGE",
    ]


def test_a_connection_that_the_flow_names_and_the_image_does_not_have(launch: Launch) -> None:
    launched = launch(FLOWS / "llm-chat", packages="tools")
    assert launched.ended() == 1
    assert "open_ai_connection  (connection 'open_ai_connection' is not in the image" in launched.said


def test_a_custom_connection_and_a_variable_of_the_flow_that_takes_a_field_of_it(
    launch: Launch, tmp_path: Path
) -> None:
    connections = write_tree(tmp_path / "connections", {"weather_service.yaml": CUSTOM})
    given = {"WEATHER_SERVICE_ENDPOINT": "https://w.example", "WEATHER_SERVICE_REGION": "north"}
    launched = launch(FLOWS / "custom-connection", connections=connections, WEATHER_SERVICE_API_KEY="s", **given)
    report = launched.healthy().score({"city": "Delft"})["report"]
    assert report == "Delft by https://w.example, region north, signed True"
    whole = {"configs": {"endpoint": "e", "region": "r"}, "secrets": {"api_key": ""}, "type": "custom"}
    launched = launch(FLOWS / "custom-connection", weather_service=json.dumps(whole))
    assert launched.healthy().score({"city": "Delft"})["report"] == "Delft by e, region r, signed False"


def test_an_error_in_the_flow_s_own_code_is_shown_and_ends_the_start(launch: Launch, tmp_path: Path) -> None:
    flow = write_tree(tmp_path / "flow", {"flow.dag.yaml": DAG, "count.py": "import not_installed_anywhere\n"})
    launched = launch(flow)
    assert launched.ended() == 1
    assert "No module named 'not_installed_anywhere'" in launched.said
    assert launched.said.splitlines()[-1].startswith("cannot start: the flow does not load")


@pytest.mark.parametrize(("engine", "threads"), [("flask", "1"), ("flask", "3"), ("fastapi", "1")])
def test_sigterm_under_load_loses_no_request(launch: Launch, tmp_path: Path, engine: str, threads: str) -> None:
    """Every request that a client could send is answered; who comes later is refused at the door."""
    flow = write_tree(tmp_path / "flow", {"flow.dag.yaml": DAG, "count.py": SLOW})
    launched = launch(
        flow, PROMPTFLOW_SERVING_ENGINE=engine, PROMPTFLOW_WORKER_NUM="2", PROMPTFLOW_WORKER_THREADS=threads
    ).healthy()
    load = Load(launched)
    load.start(clients=8)
    slow = threading.Thread(target=lambda: load.request("slow"))
    time.sleep(1)
    slow.start()
    time.sleep(0.3)
    assert launched.terminate() == 0
    slow.join()
    load.join()
    assert load.answered > 20
    assert not load.lost, load.lost[:3]
    assert load.refused == 8, "each client went on until it was refused"


class Load:
    def __init__(self, launched: Launched) -> None:
        self._port = launched.port
        self._clients: list[threading.Thread] = []
        self.answered = self.refused = 0
        self.lost: list[str] = []

    def start(self, clients: int) -> None:
        self._clients = [threading.Thread(target=self._until_refused) for _ in range(clients)]
        for client in self._clients:
            client.start()

    def join(self) -> None:
        for client in self._clients:
            client.join()

    def _until_refused(self) -> None:
        while self.request("a b c"):
            pass
        self.refused += 1

    def request(self, text: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.connect()
        except OSError:
            return False
        try:
            connection.request("POST", "/score", json.dumps({"text": text}), {"content-type": "application/json"})
            response = connection.getresponse()
            body = json.loads(response.read())
            assert (response.status, body) == (200, {"word_count": len(text.split())})
            self.answered += 1
        except Exception as error:
            self.lost.append(repr(error))
        finally:
            connection.close()
        return True


@pytest.mark.parametrize("engine", ENGINES)
def test_sigterm_at_any_moment_of_the_start_ends_it(launch: Launch, tmp_path: Path, engine: str) -> None:
    """Whatever it is doing: importing, forking, or serving already."""
    for moment in (0.15, 0.5, 0.9, 1.3):
        launched = launch(FLOWS / "python-only", PROMPTFLOW_SERVING_ENGINE=engine)
        time.sleep(moment)
        assert launched.terminate() in (0, -signal.SIGTERM), moment  # the latter while Python itself starts
    launched = launch(FLOWS / "python-only", PROMPTFLOW_SERVING_ENGINE=engine)
    while "Booting worker" not in launched.said:
        time.sleep(0.001)
    assert launched.terminate() == 0
    assert not list(tmp_path.glob("flowpack-*")), "nothing is left behind"


def test_a_worker_that_is_killed_is_replaced(launch: Launch) -> None:
    launched = launch(FLOWS / "python-only", PROMPTFLOW_WORKER_NUM="1").healthy()
    launched.score({"text": "a"})
    [worker] = workers_of(launched)
    os.kill(worker, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while workers_of(launched) == [worker] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert launched.score({"text": "a b"}) == {"word_count": 2}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "import threading, time\n"
            "threading.Thread(target=time.sleep, args=(999,), daemon=True, name='poller').start()\n",
            "poller",
        ),
        ("import socket\nkept = socket.create_connection(('127.0.0.1', {port}))\n", "opens connections"),
    ],
    ids=["thread", "connection"],
)
def test_a_flow_that_cannot_be_shared_by_forks_is_loaded_by_each_worker(
    launch: Launch, tmp_path: Path, code: str, reason: str
) -> None:
    with OpenAIStub() as stub:
        source = code.replace("{port}", str(stub.port)) + SLOW
        flow = write_tree(tmp_path / "flow", {"flow.dag.yaml": DAG, "count.py": source})
        launched = launch(flow, PROMPTFLOW_WORKER_NUM="2").healthy()
        assert launched.score({"text": "a b"}) == {"word_count": 2}
        assert "the workers cannot share the flow, since it" in launched.said
        assert reason in launched.said
        assert launched.terminate() == 0


def test_the_mounted_model_of_azure_ml_is_served(launch: Launch, tmp_path: Path) -> None:
    other = DAG.replace("word_count", "words")
    write_tree(tmp_path / "models" / "my-model", {"flow.dag.yaml": other, "count.py": SLOW})
    launched = launch(FLOWS / "python-only", PROMPTFLOW_PROJECT_PATH="", AZUREML_MODEL_DIR=str(tmp_path / "models"))
    assert launched.healthy().score({"text": "a b"}) == {"words": 2}


def test_gunicorn_s_own_variable_still_counts(launch: Launch) -> None:
    launched = launch(FLOWS / "python-only", GUNICORN_CMD_ARGS="--access-logfile - --workers 1").healthy()
    launched.score({"text": "a"})
    assert len(workers_of(launched)) == 1
    assert launched.terminate() == 0
    assert '"POST /score HTTP/1.1" 200' in launched.said


def test_a_home_that_cannot_be_written_is_no_hindrance_and_nothing_is_left_behind(
    launch: Launch, llm_connections: Path, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    launched = launch(
        FLOWS / "llm-chat",
        packages="tools",
        connections=llm_connections,
        HOME="/nonexistent",
        TMPDIR=str(temporary),
        FLOWPACK_FULL_SDK="1",
        PROMPTFLOW_WORKER_NUM="2",
        OPEN_AI_CONNECTION_API_BASE="http://127.0.0.1:1",
        OPEN_AI_CONNECTION_API_KEY="k",
    ).healthy()
    assert launched.terminate() == 0
    assert not list(temporary.glob("flowpack-*"))
