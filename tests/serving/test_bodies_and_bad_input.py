"""What a client does wrong is answered with a 4xx in promptflow's shape, costs no worker, and shows no stack trace."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest

from tests.paths import FLOWS, write_tree
from tests.serving.conftest import Launch, Launched, workers_of
from tests.serving.raw_clients import HEALTH, RawClient, ask, post
from tests.serving.test_server import ENGINES

pytestmark = [pytest.mark.network, pytest.mark.skipif(sys.platform != "linux", reason="images are Linux")]

MEGABYTE = 1_000_000
ECHO = {
    "flow.dag.yaml": (
        "inputs:\n  text:\n    type: object\n  more:\n    type: string\n    default: x\n"
        "outputs:\n  out:\n    type: object\n    reference: ${echo.output}\n"
        "nodes:\n- name: echo\n  type: python\n  source:\n    type: code\n    path: echo.py\n"
        "  inputs:\n    text: ${inputs.text}\n    more: ${inputs.more}\n"
    ),
    "echo.py": (
        "from promptflow.core import tool\n\n\n@tool\ndef echo(text: object, more: str) -> object:\n    return text\n"
    ),
}


@pytest.mark.attack("M8")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_body_over_the_limit_is_answered_with_413_before_it_is_read(launch: Launch, engine: str) -> None:
    launched = launch(
        FLOWS / "python-only",
        PROMPTFLOW_SERVING_ENGINE=engine,
        PROMPTFLOW_WORKER_NUM="1",
        FLOWPACK_MAX_BODY_MB="2",
    ).healthy()
    [worker] = workers_of(launched)
    within = json.dumps({"text": "a " * 900_000}).encode()
    assert ask(launched, post(within))[0] == 200
    told = (413, "The request's body is larger than 2 MB, the limit that FLOWPACK_MAX_BODY_MB sets.")
    declared = RawClient(launched).send(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
    assert declared.message() == told
    patient = b"POST /score HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3000000\r\n\r\n"
    assert RawClient(launched).send(patient).message() == told, "and not with 100"
    assert RawClient(launched).send(post(b"a" * 3 * MEGABYTE)).message() == told, "also to who sends it all at once"
    before = peak_memory(worker)
    chunked = RawClient(launched).send(b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    sent = 0
    try:
        while sent < 200:
            chunked.send(b"f4240\r\n" + b"a" * MEGABYTE + b"\r\n")
            sent += 1
    except OSError:
        pass
    assert sent < 100
    assert RawClient(launched).send(HEALTH).answer()[0] == 200
    assert peak_memory(worker) - before < 60 * MEGABYTE
    short = RawClient(launched).send(b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert short.send(b"1e8480\r\n" + b"a" * 2 * MEGABYTE + b"\r\n1\r\na\r\n").message() == told


def peak_memory(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@pytest.mark.parametrize("engine", ENGINES)
def test_bad_input_is_the_clients_fault(launch: Launch, tmp_path: Path, engine: str) -> None:
    flow = write_tree(tmp_path / "flow", ECHO)
    launched = launch(flow, PROMPTFLOW_SERVING_ENGINE=engine, PROMPTFLOW_WORKER_NUM="1").healthy()

    def refused(body: bytes) -> str:
        client = RawClient(launched).send(post(body))
        status, message = client.message()
        client.close()
        assert status == 400
        return message

    for body, found in ((b"[1]", "a JSON list"), (b'"a"', "a JSON string"), (b"1", "a JSON number")):
        assert refused(body) == f"The request's body is {found}; send an object with the flow's inputs as keys."
    assert refused(b"true").startswith("The request's body is true or false;")
    assert refused(b"null").startswith("The request's body is null;")
    assert "non json data" in refused(b'{"text": \xff}')
    assert "non json data" in refused(b"[" * 100_000)
    assert "non json data" in refused(b'{"text": {"a": ' + b"9" * 5000 + b"}}")
    assert "['text'] are missing" in refused(b"{}")
    assert "recursion" in refused(b'{"text": {"a": ' + b"[" * 900 + b"]" * 900 + b"}}")
    for odd in (b'{"a":"\\ud800"}', b'{"\\udfff":1}', b'{"a":NaN}', b'{"a":1e999}'):
        assert ask(launched, post(b'{"text": ' + odd + b"}"))[0] == 200
    assert "Traceback" not in ask(launched, post(b'{"text": 1, "more": {"data:image/png;base64": "!"}}'))[1].decode()


@pytest.mark.parametrize("engine", ENGINES)
def test_text_that_is_not_utf_8_for_a_flow_of_one_input_is_refused(launch: Launch, engine: str) -> None:
    launched = launch(FLOWS / "python-only", PROMPTFLOW_SERVING_ENGINE=engine, PROMPTFLOW_WORKER_NUM="1").healthy()
    refused = RawClient(launched).send(post(b"ab\xff")).message()
    assert refused == (400, "The request's body is not UTF-8: byte 2 is not valid there.")
    assert json.loads(ask(launched, post(b"two words"))[1]) == {"word_count": 2}, "text stays the one input"


@pytest.mark.attack("caller: files of the container")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_caller_reads_no_file_of_the_container_as_an_image(launch: Launch, tmp_path: Path, engine: str) -> None:
    pixel = bytes.fromhex("89504e470d0a1a0a0000000d49484452") + bytes(20)
    flow = write_tree(tmp_path / "flow", ECHO)
    (flow / "pixel.png").write_bytes(pixel)
    (tmp_path / "outside.png").write_bytes(pixel)
    (flow / "link.png").symlink_to(tmp_path / "outside.png")
    launched = launch(flow, PROMPTFLOW_SERVING_ENGINE=engine, PROMPTFLOW_WORKER_NUM="1", SECRET="s3cret").healthy()

    def image(path: object) -> bytes:
        return post(json.dumps({"text": {"data:image/png;path": str(path)}}).encode())

    for path in (
        "/proc/self/environ",
        "/etc/passwd",
        "../outside.png",
        "link.png",
        "echo.py",
        "/no/such",
        "\0",
        "/dev/zero",
    ):
        status, message = RawClient(launched).send(image(path)).message()
        assert (status, "is not an image of the flow" in message) == (400, True), (path, message)
    status, body = ask(launched, image("pixel.png"))
    assert status == 200
    assert b"data:image/png;base64" in body


# A request each, whole as a connection goes; what a correct one would be is in the middle of each.
MALFORMED = [
    b"\r\n" * 50 + b"\0\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET /health\r\n\r\n",
    b"GET  /health HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    b"G\xc3T /health HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nX : a\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: nonsense\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n",
    b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
]
ODD = [
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    post(b""),
    post(b"[" * 50_000),
    post(b'{"text": "\\ud800"}'),
    post(b'{"text": "a", "text": "b"}'),
    post(b'{"text": 1e999}'),
    post(b'{"text": "a"}', "/score?a=%ff&b[]=%00"),
    post(b'{"text": "a"}', "/score", "Accept: a/b;q=" + "9" * 3000),
    post(b'{"text": "a"}', "/score", 'Cookie: =;;;"', "traceparent: -", "baggage: ,=,"),
    post(b'{"text": "a"}', "/score", "Expect: nonsense"),
    post(b"\xff\xfe", "/feedback?flatten=true"),
    post(b"{}", "/%ff%00/../..//etc/passwd"),
    b"TRACE /score HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"DELETE /health HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
]


@pytest.mark.attack("held: malformed requests")
@pytest.mark.parametrize("engine", ENGINES)
def test_malformed_requests_cost_no_worker_and_show_no_stack_trace(launch: Launch, engine: str) -> None:
    launched = launch(FLOWS / "python-only", PROMPTFLOW_SERVING_ENGINE=engine, PROMPTFLOW_WORKER_NUM="2").healthy()
    workers = workers_of(launched, at_least=2)
    for data in MALFORMED:
        client = RawClient(launched).send(data)
        status, message = client.message()
        assert 400 <= status < 500, (data[:100], message)
        client.close()
    for data in ODD:
        status, body = ask(launched, data)
        assert status < 500, (data[:100], body)
        assert b"Traceback" not in body
        assert b'File "' not in body
    mutate(launched, random.Random(5), 600)
    assert launched.score({"text": "a b"}) == {"word_count": 2}
    assert workers_of(launched) == workers
    assert launched.terminate() == 0


def mutate(launched: Launched, chance: random.Random, number: int) -> None:
    """Correct requests with some of their bytes changed, cut off and said twice."""
    for _ in range(number):
        data = bytearray(chance.choice([*MALFORMED[12:], *ODD, post(b'{"text": "a b c"}'), HEALTH])[:2000])
        for _ in range(chance.randrange(1, 6)):
            place = chance.randrange(len(data))
            data[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        client = RawClient(launched)
        try:
            client.send(bytes(data))
            if chance.random() < 0.5:
                client.socket.settimeout(0.05)
                received = client.socket.recv(65536)
                assert b"Traceback" not in received
                assert not received.startswith((b"HTTP/1.1 500", b"HTTP/1.0 500")), (bytes(data), received)
        except OSError:  # half a request, for which it waits; or refused before all of it was sent
            pass
        finally:
            client.close()
