"""SIGTERM while clients use connections that are kept: each request that was sent is answered."""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.paths import FLOWS, write_tree
from tests.serving.conftest import Launch, Launched
from tests.serving.raw_clients import RawClient, post
from tests.serving.test_server import DAG, ENGINES, SLEEP

pytestmark = [pytest.mark.network, pytest.mark.skipif(sys.platform != "linux", reason="images are Linux")]


class KeptConnections:
    """Clients that ask on, each on its connection for as long as the server keeps it."""

    def __init__(self, launched: Launched, number: int) -> None:
        self._port = launched.port
        self.answered = 0
        self.kept = 0
        self.lost: list[str] = []
        self._threads = [threading.Thread(target=self._ask_on, args=[number]) for number in range(number)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _ask_on(self, number: int) -> None:
        pauses = random.Random(number)
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            try:
                connection.connect()
            except OSError:
                return
            while self._ask(connection):
                self.kept += 1
                time.sleep(pauses.choice((0, 0, 0.01, 0.2)))
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> bool:
        try:
            connection.request("POST", "/score", json.dumps({"text": "a b c"}), {"content-type": "application/json"})
            response = connection.getresponse()
            assert (response.status, json.loads(response.read())) == (200, {"word_count": 3})
        except Exception as error:
            self.lost.append(repr(error))
            return False
        self.answered += 1
        return not response.will_close


@pytest.mark.attack("M7")
@pytest.mark.attack("held: SIGTERM with Flask")
@pytest.mark.parametrize(("engine", "threads"), [("flask", "1"), ("flask", "3"), ("fastapi", "1")])
def test_no_request_on_a_kept_connection_is_lost(launch: Launch, engine: str, threads: str) -> None:
    launched = launch(
        FLOWS / "python-only",
        PROMPTFLOW_SERVING_ENGINE=engine,
        PROMPTFLOW_WORKER_NUM="2",
        PROMPTFLOW_WORKER_THREADS=threads,
    ).healthy()
    clients = KeptConnections(launched, 24)
    time.sleep(2)
    assert launched.terminate() == 0
    clients.join()
    assert clients.kept > 24
    assert not clients.lost, clients.lost[:3]


@pytest.mark.attack("M7")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_request_that_was_begun_before_the_stop_is_answered_and_the_connection_ends(
    launch: Launch, tmp_path: Path, engine: str
) -> None:
    flow = write_tree(tmp_path / "flow", {"flow.dag.yaml": DAG, "count.py": SLEEP})
    launched = launch(flow, PROMPTFLOW_SERVING_ENGINE=engine, PROMPTFLOW_WORKER_NUM="1").healthy()
    kept, begun, running = RawClient(launched), RawClient(launched), RawClient(launched)
    assert kept.send(post(b'{"text": "0"}')).answer()[0] == 200
    begun.send(post(b'{"text": "0"}')[:-3])
    running.send(post(b'{"text": "2"}'))
    time.sleep(0.5)
    launched.process.terminate()
    time.sleep(1)
    assert kept.send(post(b'{"text": "0"}')).answer()[0] == 200
    assert begun.send(b'0"}').answer()[0] == 200
    for client in (kept, begun):
        assert client.is_closed_without_an_answer()
    assert running.answer()[0] == 200
    assert launched.ended() == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_connections_that_send_nothing_do_not_keep_a_server_from_stopping(launch: Launch, engine: str) -> None:
    launched = launch(FLOWS / "python-only", PROMPTFLOW_SERVING_ENGINE=engine).healthy()
    idle = [RawClient(launched) for _ in range(20)]
    begun = time.monotonic()
    assert launched.terminate() == 0
    assert time.monotonic() - begun < 15
    for client in idle:
        client.close()
