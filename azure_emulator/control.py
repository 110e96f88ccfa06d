"""The emulator's own routes, ``http://127.0.0.1:<port>/_emulator/…``: for a test elsewhere, and for curl."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from azure_emulator.faults import Fault, Faults
from azure_emulator.journal import Journal
from azure_emulator.messages import Answer, Refusal, Request
from azure_emulator.server import OWN
from azure_emulator.store import Store


class Control:
    """GET ``state``, ``blobs``, ``journal``, ``faults``; DELETE of the last two; POST ``faults``, one a line."""

    def __init__(self, store: Store, journal: Journal, faults: Faults, blobs: Callable[[], list[str]]) -> None:
        self._faults = faults
        self._read: dict[str, Callable[[], Any]] = {
            "state": store.as_value,
            "blobs": blobs,
            "journal": lambda: [one.as_value() for one in journal],
            "faults": faults.as_value,
        }
        self._clear = {"journal": journal.clear, "faults": faults.clear}

    def site(self, request: Request) -> Answer:
        what = request.path.removeprefix(OWN)
        if request.method == "GET" and what in self._read:
            return Answer.of(self._read[what]())
        if request.method == "DELETE" and what in self._clear:
            self._clear[what]()
            return Answer(204)
        if request.method == "POST" and what == "faults":
            self._faults.add(*_read_faults(request.body.decode()))
            return Answer.of(self._faults.as_value())
        raise Refusal(404, "NotFound", f"the emulator's own routes are {', '.join(self._read)}")


def _read_faults(text: str) -> list[Fault]:
    try:
        if text.startswith("["):
            return [Fault.parse(one) for one in json.loads(text)]
        return [Fault.parse(line) for line in text.splitlines() if line.strip()]
    except (TypeError, ValueError) as error:
        raise Refusal(400, "BadFault", str(error)) from None
