"""One port for all of the emulator: a proxy that is itself every host behind it.

A client that has this port as its ``HTTPS_PROXY`` asks for ``CONNECT management.azure.test:443`` and finds the
emulator's TLS at the other end, whether or not the machine can resolve the name. TLS to ``localhost`` works as well.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import urlsplit

from azure_emulator.faults import Fault, Faults
from azure_emulator.journal import Journal
from azure_emulator.messages import Answer, Refusal, Request

TLS_HANDSHAKE = 0x16
OWN = "/_emulator/"

Site = Callable[[Request], Answer]
"""What answers for a host."""


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        port: int,
        context: ssl.SSLContext,
        site_of: Callable[[str], Site | None],
        journal: Journal,
        faults: Faults,
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.context = context
        self.site_of = site_of
        self.journal = journal
        self.faults = faults
        self.open: set[_Handler] = set()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def close(self) -> None:
        """Ends the connections that are kept alive as well."""
        self.shutdown()
        self.server_close()
        for one in list(self.open):
            with contextlib.suppress(OSError):
                one.connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or that does not trust the certificate, is the client's affair."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Cut(Exception):
    """The connection is to end here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A small answer must not wait for the acknowledgement of the one before it.
    disable_nagle_algorithm = True
    wbufsize = -1
    host = ""

    @property
    def listener(self) -> Listener:
        return cast(Listener, self.server)

    def setup(self) -> None:
        super().setup()
        first = self.connection.recv(1, socket.MSG_PEEK)
        if first and first[0] == TLS_HANDSHAKE:
            self._start_tls()
        self.listener.open.add(self)

    def _start_tls(self) -> None:
        self.connection = self.listener.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb", -1)
        self.wfile = self.connection.makefile("wb", -1)

    def handle(self) -> None:
        with contextlib.suppress(_Cut, OSError):
            super().handle()

    def finish(self) -> None:
        self.listener.open.discard(self)
        with contextlib.suppress(OSError):
            super().finish()
        with contextlib.suppress(OSError):
            self.connection.close()

    def do_CONNECT(self) -> None:
        host = self.path.rpartition(":")[0].lower()
        if self.listener.site_of(host) is None:
            self._refuse_host(host)
            return
        self.send_response_only(200, "Connection established")
        self.end_headers()
        self.wfile.flush()
        self._start_tls()
        self.host = host
        self.close_connection = False

    def _refuse_host(self, host: str) -> None:
        """A test's way out of the machine ends here, and can be seen in the journal."""
        target = "" if self.command == "CONNECT" else urlsplit(self.path).path
        self.listener.journal.add(Request(self.command, host, target), 403)
        self._write(Answer(403, f"the emulator does not know the host {host}\n".encode()))
        self.close_connection = True

    def _handle_request(self) -> None:
        host = self.host or urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        site = self.listener.site_of(host)
        target = self.path
        if site is None or not target.startswith("/"):
            self._refuse_host(host or target)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, host, target, headers)
        # The emulator's own routes are no part of what is spoilt.
        fault = None if target.startswith(OWN) else self.listener.faults.take(request.method, request.url)
        if fault and fault.action == "cut" and fault.moment == "request":
            self.rfile.read(min(fault.bytes, self._length()))
            self._cut(request, fault, 0)
        request = Request(self.command, host, target, headers, self._body())
        if fault and fault.action == "slow":
            time.sleep(fault.seconds)
        if fault and fault.do:
            fault.do()
        answer = (fault and fault.answer(host)) or self._ask(site, request)
        if fault and fault.action == "cut":
            self._cut(request, fault, answer.status)
        if not target.startswith(OWN):
            self.listener.journal.add(request, answer.status, fault=fault.action if fault else "")
        self._write(answer)

    def _ask(self, site: Site, request: Request) -> Answer:
        try:
            return site(request)
        except Refusal as refusal:
            return refusal.answer

    def _cut(self, request: Request, fault: Fault, done: int) -> None:
        """Ends the connection as a failing network does: with a reset, not with a farewell."""
        self.listener.journal.add(request, 0, fault=f"cut at {fault.moment}{f' of a {done}' if done else ''}")
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        raise _Cut

    def _length(self) -> int:
        return int(self.headers.get("Content-Length") or 0)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(self._length())
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def _write(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        bodiless = self.command == "HEAD" or answer.status in (204, 304)
        if not bodiless:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if not bodiless:
            self.wfile.write(answer.body)
        self.wfile.flush()

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _handle_request
