"""Clients that send bytes, whole requests or not, and read what comes."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterator

from tests.serving.conftest import Launched


class RawClient:
    def __init__(self, launched: Launched, timeout: float = 30) -> None:
        self.socket = socket.create_connection(("127.0.0.1", launched.port), timeout=timeout)
        self._received = b""

    def send(self, data: bytes) -> RawClient:
        self.socket.sendall(data)
        return self

    def answer(self) -> tuple[int, bytes]:
        """The status and body of the next answer; ConnectionError where there is none."""
        while True:
            head, end, rest = self._received.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            if end and length and len(rest) >= int(length[1]):
                self._received = rest[int(length[1]) :]
                return int(head.split()[1]), rest[: int(length[1])]
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError(f"the server closed after {self._received[:200]!r}")
            self._received += data

    def message(self) -> tuple[int, str]:
        """The status, and the message of promptflow's shape of an error."""
        status, body = self.answer()
        document = json.loads(body)
        assert set(document) == {"error"}, document
        assert document["error"]["code"] == "UserError", document
        return status, document["error"]["message"]

    def is_closed_without_an_answer(self) -> bool:
        with contextlib.suppress(ConnectionError):
            return self.socket.recv(65536) == b""
        return True

    def close(self) -> None:
        self.socket.close()


@contextlib.contextmanager
def clients(launched: Launched, number: int, data: bytes = b"") -> Iterator[list[RawClient]]:
    """``number`` of them, each of which has sent ``data``."""
    opened = [RawClient(launched) for _ in range(number)]
    try:
        for client in opened:
            client.send(data)
        yield opened
    finally:
        for client in opened:
            client.close()


def post(body: bytes, path: str = "/score", *headers: str) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: x",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def ask(launched: Launched, data: bytes) -> tuple[int, bytes]:
    client = RawClient(launched)
    try:
        return client.send(data).answer()
    finally:
        client.close()


HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
HALF_A_HEADER = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Le"
HALF_A_BODY = post(b'{"text": "a b c"}')[:-5]
