"""What was asked and answered, for a test's assertions."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from azure_emulator.messages import Request


@dataclass(frozen=True)
class Entry:
    at: float
    method: str
    url: str
    status: int
    """0 where the connection was cut before an answer, 403 to CONNECT where the host is none of ours."""
    fault: str = ""
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def as_value(self) -> dict[str, Any]:
        return {**asdict(self), "body": self.body.decode(errors="replace")}


class Journal:
    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    def add(self, request: Request, status: int, *, fault: str = "") -> None:
        # The bytes of blobs are Azurite's to keep.
        body = b"" if ".blob." in request.host else request.body
        with self._lock:
            self._entries.append(Entry(time.time(), request.method, request.url, status, fault, body))

    def __iter__(self) -> Iterator[Entry]:
        with self._lock:
            return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def asked(self, method: str = "", pattern: str = "") -> list[Entry]:
        """The requests with this method, whose address has something that fits the pattern."""
        return [one for one in self if method in ("", one.method) and re.search(pattern, one.url)]

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
