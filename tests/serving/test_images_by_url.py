"""What an image that a caller names by URL may cost: each server here is a real one, which the images come from.

promptflow refuses the addresses of this machine, so the server is the proxy of an address that is public.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.paths import write_tree
from tests.serving.conftest import Launch, Launched
from tests.serving.raw_clients import HEALTH, RawClient, ask, post
from tests.serving.test_bodies_and_bad_input import ECHO, MEGABYTE, peak_memory, workers_of
from tests.serving.test_server import ENGINES

pytestmark = [pytest.mark.network, pytest.mark.skipif(sys.platform != "linux", reason="images are Linux")]

PIXEL = bytes.fromhex("89504e470d0a1a0a0000000d49484452") + bytes(20)
PUBLIC = "http://93.184.216.34"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"

Send = Callable[[bytes], object]


def whole(body: bytes, *headers: bytes) -> bytes:
    return OK + b"".join(each + b"\r\n" for each in (*headers, b"Content-Length: %d" % len(body))) + b"\r\n" + body


def redirect(target: bytes) -> bytes:
    return b"HTTP/1.1 302 Found\r\nLocation: " + target + b"\r\nContent-Length: 0\r\n\r\n"


def for_ever(send: Send, part: bytes, pause: float = 0) -> None:
    while True:
        send(part)
        time.sleep(pause)


def drip(send: Send) -> None:
    send(OK + b"Content-Length: 1000\r\n\r\n")
    for_ever(send, b"x", 0.2)


def drip_header(send: Send) -> None:
    send(OK + b"X: ")
    for_ever(send, b"x", 0.2)


def silent(send: Send) -> None:
    time.sleep(60)


def endless(send: Send) -> None:
    send(OK + b"\r\n")
    for_ever(send, bytes(MEGABYTE))


def endless_chunks(send: Send) -> None:
    send(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    for_ever(send, b"f4240\r\n" + bytes(MEGABYTE) + b"\r\n")


def endless_chunk_header(send: Send) -> None:
    send(OK + b"Transfer-Encoding: chunked\r\n\r\n1;")
    for_ever(send, b"x" * MEGABYTE)


def endless_redirect(send: Send) -> None:
    send(b"HTTP/1.1 302 Found\r\nLocation: /pixel\r\nTransfer-Encoding: chunked\r\n\r\n")
    for_ever(send, b"f4240\r\n" + bytes(MEGABYTE) + b"\r\n")


ANSWERS: dict[str, bytes | Callable[[Send], None]] = {
    "pixel": whole(PIXEL),
    "chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(PIXEL), PIXEL),
    "until-the-end": OK + b"\r\n" + PIXEL,
    "stored-as-gzip": whole(gzip.compress(PIXEL), b"Content-Encoding: gzip"),
    "moved": redirect(b"/pixel"),
    "moved-elsewhere": redirect(b"http://93.184.216.35/pixel"),
    "megabyte": whole(PIXEL + bytes(MEGABYTE)),
    "missing": b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\nsecret",
    "short": OK + b"Content-Length: 1000\r\n\r\nx",
    "huge": OK + b"Content-Length: 1000000000000\r\n\r\n",
    "bomb": whole(gzip.compress(bytes(200 * MEGABYTE)), b"Content-Encoding: gzip"),
    "other-bomb": whole(b"x", b"Content-Encoding: br"),
    "loop": redirect(b"/loop"),
    "to-the-machine": redirect(b"http://169.254.169.254/latest"),
    "to-itself": redirect(b"http://127.0.0.1/"),
    "to-a-file": redirect(b"file:///etc/passwd"),
    "drip": drip,
    "drip-header": drip_header,
    "silent": silent,
    "endless": endless,
    "endless-chunks": endless_chunks,
    "endless-chunk-header": endless_chunk_header,
    "endless-redirect": endless_redirect,
}


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            line = self.rfile.readline().decode()
            if not line:
                return
            self.server.asked.append(line)  # type: ignore[attr-defined]
            while self.rfile.readline().strip():
                pass
            answer = ANSWERS[line.split()[1].rpartition("/")[2]]
            if isinstance(answer, bytes):
                self.wfile.write(answer)
            else:
                answer(self.wfile.write)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(params=ENGINES)
def launched(launch: Launch, tmp_path: Path, server: Server, request: pytest.FixtureRequest) -> Launched:
    return launch(
        write_tree(tmp_path / "flow", ECHO),
        PROMPTFLOW_SERVING_ENGINE=request.param,
        PROMPTFLOW_WORKER_NUM="1",
        FLOWPACK_MAX_BODY_MB="2",
        FLOWPACK_IMAGE_TIMEOUT="2",
        HTTP_PROXY=f"http://127.0.0.1:{server.port}",
    ).healthy()


def images(*urls: object) -> bytes:
    named = [{"data:image/png;url": url} for url in urls]
    return post(json.dumps({"text": named if len(named) > 1 else named[0]}).encode())


def refused(launched: Launched, *urls: object) -> tuple[str, float]:
    """The message, and the seconds that it took."""
    begin = time.monotonic()
    client = RawClient(launched).send(images(*urls))
    status, message = client.message()
    client.close()
    assert status == 400, message
    assert "Traceback" not in message
    return message, time.monotonic() - begin


def test_images_of_honest_servers_arrive(launched: Launched) -> None:
    for name in ("pixel", "chunks", "until-the-end", "stored-as-gzip", "moved", "moved-elsewhere"):
        status, body = ask(launched, images(f"{PUBLIC}/{name}"))
        assert (status, json.loads(body)) == (
            200,
            {"out": {"data:image/png;base64": base64.b64encode(PIXEL).decode()}},
        ), name
    assert ask(launched, images(f"{PUBLIC}/megabyte"))[0] == 200


@pytest.mark.attack("caller: images by URL")
def test_an_image_that_takes_too_long_ends_at_the_deadline(launched: Launched) -> None:
    for name in ("drip", "drip-header", "silent"):
        message, seconds = refused(launched, f"{PUBLIC}/{name}")
        assert "It did not arrive within 2 seconds." in message, name
        assert 1.5 < seconds < 6, name
    message, seconds = refused(launched, *[f"{PUBLIC}/drip"] * 20)
    assert "within 2 seconds" in message
    assert seconds < 6, "the deadline is that of the request, not of each image"
    assert ask(launched, images(f"{PUBLIC}/pixel"))[0] == 200


@pytest.mark.attack("caller: images by URL")
def test_an_image_that_is_too_large_ends_at_the_limit_of_a_body(launched: Launched) -> None:
    [worker] = workers_of(launched)
    assert ask(launched, images(f"{PUBLIC}/pixel"))[0] == 200
    before = peak_memory(worker)
    for name in ("huge", "endless", "endless-chunks", "bomb"):
        message, _ = refused(launched, f"{PUBLIC}/{name}")
        assert "It is larger than 2 MB, the limit of a request's body." in message, name
    refused(launched, f"{PUBLIC}/endless-chunk-header")
    assert "compresses it" in refused(launched, f"{PUBLIC}/other-bomb")[0]
    assert "larger than 2 MB" in refused(launched, *[f"{PUBLIC}/megabyte"] * 3)[0]
    assert ask(launched, images(f"{PUBLIC}/endless-redirect"))[0] == 200
    assert peak_memory(worker) - before < 60 * MEGABYTE
    assert workers_of(launched) == [worker]


@pytest.mark.attack("caller: images by URL")
def test_no_image_comes_from_an_address_that_is_not_public(launched: Launched, server: Server) -> None:
    asked = len(server.asked)
    own = f"127.0.0.1:{server.port}"
    for url in (
        *(f"http://{own}/pixel", f"http://localhost:{server.port}/pixel", f"http://0.0.0.0:{server.port}/pixel"),
        *("http://169.254.169.254/metadata/instance", "http://168.63.129.16/", "http://10.0.0.1/", "http://[::1]/"),
        *("http://[::ffff:127.0.0.1]/", "http://user@127.0.0.1/", "http://2130706433/", "https://192.168.0.1/"),
    ):
        assert "Its address is not a public one" in refused(launched, url)[0], url
    assert len(server.asked) == asked
    for name in ("to-the-machine", "to-itself"):
        assert "Its address is not a public one" in refused(launched, f"{PUBLIC}/{name}")[0], name
    assert "not an http or https URL" in refused(launched, f"{PUBLIC}/to-a-file")[0]


def test_what_is_not_an_image_at_a_url_is_the_caller_s_fault(launched: Launched) -> None:
    assert "Error code: 404. Error message: Not Found." in (message := refused(launched, f"{PUBLIC}/missing")[0])
    assert "secret" not in message
    assert "redirected more than 30 times" in refused(launched, f"{PUBLIC}/loop")[0]
    assert "cannot be fetched" in refused(launched, f"{PUBLIC}/short")[0]
    for odd in ("file:///etc/passwd", "ftp://93.184.216.34/x", "nothing", "", "http://", "http://[", 1, None, [], {}):
        refused(launched, odd)
    assert RawClient(launched).send(HEALTH).answer()[0] == 200


ANSWERS_DIFFERENTLY = """
import socket

addresses = socket.getaddrinfo
socket.gethostbyname_ex = lambda name: (name, [], ["93.184.216.34"])
socket.getaddrinfo = lambda host, *more, **options: addresses(
    "127.0.0.1" if host == "rebound.example" else host, *more, **options
)
"""


@pytest.mark.attack("caller: images by URL")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_name_that_leads_elsewhere_the_second_time_gets_no_request(
    launch: Launch, tmp_path: Path, server: Server, engine: str
) -> None:
    flow = write_tree(tmp_path / "flow", {**ECHO, "echo.py": ANSWERS_DIFFERENTLY + ECHO["echo.py"]})
    launched = launch(flow, PROMPTFLOW_SERVING_ENGINE=engine, PROMPTFLOW_WORKER_NUM="1").healthy()
    message, _ = refused(launched, f"http://rebound.example:{server.port}/pixel")
    assert "Its address is not a public one." in message
    assert server.asked == []
