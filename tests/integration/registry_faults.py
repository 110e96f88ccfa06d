"""A proxy before a real registry that breaks requests on purpose: it cuts connections, or answers by itself.

It forwards everything else untouched, so what the engine meets is a real registry with a bad day.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 64 * 1024


@dataclass(slots=True)
class Fault:
    """What goes wrong with requests of this method and path, for ``times`` requests (None: for all of them)."""

    method: str
    path: str
    times: int | None
    cut_after: int | None = None
    """The connection is cut once this many bytes of the request's body have come."""
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str = "UNKNOWN"
    message: str = ""

    def matches(self, method: str, path: str) -> bool:
        return self.times != 0 and method == self.method and re.search(self.path, path) is not None


@dataclass
class FaultyRegistry:
    """``host`` is where the engine pushes to; ``seen`` lists the requests that came, ``broken`` those that it broke."""

    host: str
    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def cut(self, method: str, path: str, *, times: int | None, after: int = 0) -> None:
        self.faults.append(Fault(method, path, times, cut_after=after))

    def answer(
        self,
        method: str,
        path: str,
        status: int,
        *,
        times: int | None,
        headers: Mapping[str, str] | None = None,
        code: str = "UNKNOWN",
        message: str = "",
    ) -> None:
        self.faults.append(Fault(method, path, times, None, status, headers or {}, code, message))

    def take(self, method: str, path: str) -> Fault | None:
        with self._lock:
            self.seen.append(f"{method} {path}")
            fault = next((fault for fault in self.faults if fault.matches(method, path)), None)
            if fault is not None:
                self.broken.append(f"{method} {path}")
                if fault.times is not None:
                    fault.times -= 1
            return fault


@contextmanager
def faulty_registry(upstream: str) -> Iterator[FaultyRegistry]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.daemon_threads = True
    registry = FaultyRegistry(f"127.0.0.1:{server.server_address[1]}")
    server.RequestHandlerClass = _handler(registry, upstream)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(registry: FaultyRegistry, upstream: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            if self.connection.recv(1, socket.MSG_PEEK) == b"\x16":  # the engine tries TLS first
                self.wfile.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                self.close_connection = True
                return
            super().handle_one_request()

        def forward(self) -> None:
            fault = registry.take(self.command, self.path)
            if fault is None:
                self._pass_on()
            elif fault.cut_after is not None:
                self._cut(fault.cut_after)
            else:
                self._answer(fault)

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = forward

        def _pass_on(self) -> None:
            connection = http.client.HTTPConnection(upstream, timeout=60)
            try:
                # Header by header: a client that takes several kinds of manifest names them in several headers.
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    connection.putheader(name, value)
                chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
                connection.endheaders(self._body(), encode_chunked=chunked)
                self._reply(connection.getresponse())
            finally:
                connection.close()

        def _reply(self, answer: http.client.HTTPResponse) -> None:
            body = answer.read()
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in {"transfer-encoding", "content-length", "connection"}:
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _cut(self, after: int) -> None:
            come = 0
            for piece in self._body() if after else ():
                come += len(piece)
                if come >= after:
                    break
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def _answer(self, fault: Fault) -> None:
            for _ in self._body():
                pass
            body = json.dumps({"errors": [{"code": fault.code, "message": fault.message}]}).encode()
            self.send_response_only(fault.status or 500)
            for name, value in {"Content-Type": "application/json", **fault.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _body(self) -> Iterator[bytes]:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                yield from _chunks(self.rfile.readline, self.rfile.read)
                return
            left = int(self.headers.get("Content-Length") or 0)
            while left:
                piece = self.rfile.read(min(PIECE, left))
                if not piece:
                    return
                left -= len(piece)
                yield piece

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _chunks(read_line: Callable[[], bytes], read: Callable[[int], bytes]) -> Iterator[bytes]:
    while True:
        size = int(read_line().split(b";")[0] or b"0", 16)
        piece = read(size)
        read_line()
        if not size:
            return
        yield piece
