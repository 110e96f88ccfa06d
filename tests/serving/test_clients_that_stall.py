"""Clients that send half of something, or one byte now and then, lose their connection and cost others nothing."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.paths import FLOWS, write_tree
from tests.serving.conftest import Launch, Launched, workers_of
from tests.serving.raw_clients import HALF_A_BODY, HALF_A_HEADER, HEALTH, RawClient, ask, clients, post
from tests.serving.test_server import DAG, ENGINES, SLEEP

pytestmark = [pytest.mark.network, pytest.mark.skipif(sys.platform != "linux", reason="images are Linux")]

PROBE = 5  # seconds that a health check waits


def health_within_the_probe(launched: Launched) -> None:
    begun = time.monotonic()
    assert ask(launched, HEALTH)[0] == 200
    assert time.monotonic() - begun < PROBE


@pytest.mark.attack("H6")
@pytest.mark.parametrize("engine", ENGINES)
def test_half_sent_requests_hold_up_nobody_else(launch: Launch, engine: str) -> None:
    launched = launch(FLOWS / "python-only", PROMPTFLOW_SERVING_ENGINE=engine, PROMPTFLOW_WORKER_NUM="2").healthy()
    with (
        clients(launched, 40),
        clients(launched, 40, HALF_A_HEADER),
        clients(launched, 40, HALF_A_BODY) as unfinished,
    ):
        for _ in range(8):
            assert ask(launched, post(b'{"text": "a b"}'))[0] == 200
            health_within_the_probe(launched)
        for client in unfinished[::10]:
            status, body = client.send(b'b c"}').answer()
            assert (status, json.loads(body)) == (200, {"word_count": 3})
    assert launched.terminate() == 0


@pytest.mark.attack("H6")
@pytest.mark.parametrize("engine", ENGINES)
def test_header_and_body_have_a_deadline_for_all_of_them_not_for_each_byte(launch: Launch, engine: str) -> None:
    launched = launch(
        FLOWS / "python-only",
        PROMPTFLOW_SERVING_ENGINE=engine,
        PROMPTFLOW_WORKER_NUM="1",
        FLOWPACK_HEADER_TIMEOUT="2",
        FLOWPACK_BODY_TIMEOUT="3",
    ).healthy()
    silent, slow_header, slow_body = RawClient(launched), RawClient(launched), RawClient(launched)
    slow_body.send(post(b" " * 1000)[:-900])
    over = threading.Event()

    def trickle(client: RawClient, data: bytes) -> None:
        for byte in data:
            if over.wait(0.2):
                return
            try:
                client.send(bytes([byte]))
            except OSError:
                return

    trickles = [
        threading.Thread(target=trickle, args=each)
        for each in ((slow_header, post(b"{}") + b"a" * 200), (slow_body, b" " * 800))
    ]
    for each in trickles:
        each.start()
    try:
        assert slow_header.message() == (408, "The request's header did not arrive within 2 seconds.")
        assert slow_body.message() == (408, "The request's body did not arrive within 3 seconds.")
        assert silent.is_closed_without_an_answer()
    finally:
        over.set()
        for each in trickles:
            each.join()
    assert launched.score({"text": "a b"}) == {"word_count": 2}


@pytest.mark.attack("H6")
@pytest.mark.parametrize(("engine", "threads"), [("flask", "1"), ("flask", "3"), ("fastapi", "1")])
def test_health_answers_in_a_full_house(launch: Launch, tmp_path: Path, engine: str, threads: str) -> None:
    """Every thread that runs the flow is busy, more requests wait, and hundreds of connections send nothing."""
    flow = write_tree(tmp_path / "flow", {"flow.dag.yaml": DAG, "count.py": SLEEP})
    launched = launch(
        flow, PROMPTFLOW_SERVING_ENGINE=engine, PROMPTFLOW_WORKER_NUM="2", PROMPTFLOW_WORKER_THREADS=threads
    ).healthy()
    workers_of(launched, at_least=2)
    house = 2 * int(threads) + 2
    with (
        clients(launched, 150),
        clients(launched, 150, HALF_A_HEADER),
        clients(launched, house, post(b'{"text": "3"}')) as busy,
    ):
        time.sleep(0.5)
        for _ in range(6):
            health_within_the_probe(launched)
        for client in busy:
            assert client.answer()[0] == 200


@pytest.mark.attack("H6")
@pytest.mark.parametrize("engine", ENGINES)
def test_more_half_open_connections_than_a_worker_may_have_shut_nobody_out(launch: Launch, engine: str) -> None:
    launched = launch(
        FLOWS / "python-only",
        PROMPTFLOW_SERVING_ENGINE=engine,
        PROMPTFLOW_WORKER_NUM="1",
        GUNICORN_CMD_ARGS="--worker-connections 50",
    ).healthy()
    with clients(launched, 200, HALF_A_HEADER) as stalling:
        health_within_the_probe(launched)
        assert launched.score({"text": "a b"}) == {"word_count": 2}
        assert stalling[0].is_closed_without_an_answer(), "the one that has waited longest makes room"
    assert "Traceback" not in launched.said


def test_a_request_goes_to_whichever_worker_is_free(launch: Launch, tmp_path: Path) -> None:
    """With Flask: whichever worker read it, also on a connection that is kept."""
    flow = write_tree(tmp_path / "flow", {"flow.dag.yaml": DAG, "count.py": SLEEP})
    launched = launch(flow, PROMPTFLOW_WORKER_NUM="2").healthy()
    workers_of(launched, at_least=2)
    with clients(launched, 8, post(b'{"text": "0"}')) as kept:
        for client in kept:
            assert client.answer()[0] == 200
        occupied = RawClient(launched).send(post(b'{"text": "8"}'))
        time.sleep(0.5)
        begun = time.monotonic()
        for client in kept:
            assert client.send(post(b'{"text": "0"}')).answer()[0] == 200
        assert time.monotonic() - begun < 6, "none of them waits for the worker that is occupied"
        assert occupied.answer()[0] == 200
        occupied.close()


RUNS_ONE_AT_A_TIME = """\
import threading, time
from promptflow.core import tool

running = threading.Lock()


@tool
def count(text: str) -> int:
    assert running.acquire(blocking=False), "two requests at once"
    time.sleep(0.1)
    running.release()
    return 1 if threading.current_thread() is threading.main_thread() else 2
"""


def test_a_worker_of_one_thread_runs_one_request_at_a_time(launch: Launch, tmp_path: Path) -> None:
    flow = write_tree(tmp_path / "flow", {"flow.dag.yaml": DAG, "count.py": RUNS_ONE_AT_A_TIME})
    launched = launch(flow, PROMPTFLOW_WORKER_NUM="1").healthy()
    with clients(launched, 20, post(b'{"text": "a"}')) as asking:
        for client in asking:
            status, body = client.answer()
            assert status == 200, body


def test_a_client_that_does_not_take_a_large_answer_holds_up_nobody(launch: Launch, tmp_path: Path) -> None:
    """More than the kernel keeps for it: the worker goes on with the next request meanwhile."""
    large = "from promptflow.core import tool\n\n\n@tool\ndef count(text: str) -> str:\n    return 'x' * int(text)\n"
    flow = write_tree(tmp_path / "flow", {"flow.dag.yaml": DAG, "count.py": large})
    launched = launch(flow, PROMPTFLOW_WORKER_NUM="1").healthy()
    with clients(launched, 3, post(b'{"text": "3900000"}')) as slow:
        begun = time.monotonic()
        assert ask(launched, post(b'{"text": "1"}'))[0] == 200
        assert time.monotonic() - begun < 30
        for client in slow:
            status, body = client.answer()
            assert (status, len(body)) == (200, 3_900_000 + len('{"word_count":""}\n'))


@pytest.mark.parametrize("engine", ENGINES)
def test_many_requests_sent_at_once_on_one_connection_are_answered_in_turn(launch: Launch, engine: str) -> None:
    launched = launch(FLOWS / "python-only", PROMPTFLOW_SERVING_ENGINE=engine, PROMPTFLOW_WORKER_NUM="1").healthy()
    client = RawClient(launched).send(HEALTH * 400 + post(b'{"text": "a b"}') * 2 + HEALTH)
    answers = [client.answer() for _ in range(403)]
    assert {status for status, _ in answers} == {200}
    assert [json.loads(body).get("word_count") for _, body in answers[-3:]] == [2, 2, None]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_client_that_hangs_up_leaves_no_traceback(launch: Launch, engine: str) -> None:
    launched = launch(FLOWS / "python-only", PROMPTFLOW_SERVING_ENGINE=engine, PROMPTFLOW_WORKER_NUM="1").healthy()
    for request in (
        b"POST /score HTTP/1.1\r\nHost: x\r\n\r\n",
        post(b'{"text": "a b"}'),
        post(b'{"text": "a b"}')[:-4],
    ):
        for _ in range(10):
            RawClient(launched).send(request).close()
    health_within_the_probe(launched)
    assert launched.terminate() == 0
    assert "Traceback" not in launched.said
