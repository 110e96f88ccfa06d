"""Faults to inject: which requests they meet, how often, and what happens to those.

A fault's action is one of

``throttle``  429, with ``Retry-After`` where ``retry_after`` is given
``error``     another ``status``, 500 where none is named, with the words of the host that is asked
``cut``       the connection ends: at the ``moment`` "request" after ``bytes`` of the body, with nothing done;
              at the ``moment`` "answer" with everything done and the answer lost
``slow``      ``seconds`` pass before the work is done
``meet``      ``parties`` requests wait for one another, then go on together (alone after ``seconds``, else 30)
``call``      ``do`` is called before the work is done: what another client does in between
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from azure_emulator.messages import Answer, Refusal, entra_refusal, service_refusal, storage_refusal
from azure_emulator.setup import LOGIN

ACTIONS = ("throttle", "error", "cut", "slow", "meet", "call")


@dataclass(frozen=True)
class Fault:
    action: str
    method: str = ""
    """Any where empty."""
    pattern: str = ""
    """Searched for in the address, ``https://host/path?query``."""
    times: int = 1
    """0: each time."""
    skip: int = 0
    """So many fitting requests pass first."""
    every: int = 1
    """Of those that fit, every how manyth."""
    status: int = 0
    retry_after: float = 0
    seconds: float = 0
    moment: str = "request"
    bytes: int = 0
    parties: int = 2
    do: Callable[[], object] | None = None

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"'{self.action}' is none of the faults {', '.join(ACTIONS)}")
        if self.moment not in ("request", "answer"):
            raise ValueError(f"a connection is cut at the moment 'request' or 'answer', not '{self.moment}'")
        re.compile(self.pattern)

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Reads ``throttle PUT /versions/ times=3 retry_after=1``: the action, then in any order what it needs."""
        action, *words = text.split()
        numbers: dict[str, type] = {"int": int, "float": float}
        kinds = {one.name: numbers.get(str(one.type), str) for one in fields(cls) if one.name != "do"}
        given: dict[str, Any] = {}
        for word in words:
            name, equals, value = word.partition("=")
            if equals and name in kinds:
                given[name] = kinds[name](value)
            else:
                given["method" if re.fullmatch("[A-Z]+", word) else "pattern"] = word
        return cls(action, **given)

    def as_value(self) -> dict[str, Any]:
        """Without what is as it is by default."""
        given = {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) != one.default}
        return given | ({"do": repr(self.do)} if self.do else {})

    def answer(self, host: str) -> Answer | None:
        if self.action not in ("throttle", "error"):
            return None
        answer = _answer(host, self.status or (429 if self.action == "throttle" else 500))
        wait = {"Retry-After": f"{self.retry_after:g}"} if self.retry_after else {}
        return Answer(answer.status, answer.body, {**answer.headers, **wait})


def _answer(host: str, status: int) -> Answer:
    """What each of Azure's hosts says with a status."""
    if ".blob." in host:
        code = {403: "AuthorizationFailure", 429: "ServerBusy", 503: "ServerBusy"}.get(status, "InternalError")
        return storage_refusal(status, code, f"A fault by request of a test: {code}.")
    if host == LOGIN:
        return entra_refusal(
            status, "temporarily_unavailable", 90033, "A transient error has occurred. Please try again."
        )
    if status == 401:
        challenge = f'Bearer authorization_uri="https://{LOGIN}/common", error="invalid_token"'
        message = "The access token expiry UTC time is earlier than current UTC time."
        return Refusal(401, "ExpiredAuthenticationToken", message, {"WWW-Authenticate": challenge}).answer
    if status == 429:
        return Refusal(429, "TooManyRequests", "The request is being throttled.").answer
    if status == 500:
        return service_refusal(500, "ServiceError", "InternalServerError").answer
    return Refusal(
        status, "ServiceUnavailable", "The service is temporarily unavailable. Please try again later."
    ).answer


@dataclass
class _Armed:
    fault: Fault
    seen: int = 0
    met: int = 0
    barrier: threading.Barrier = field(init=False)

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.fault.parties)

    def takes(self, method: str, url: str) -> bool:
        fault = self.fault
        if fault.method not in ("", method) or not re.search(fault.pattern, url):
            return False
        # A meeting is once, however many come to it.
        if fault.times and self.met >= fault.times * (fault.parties if fault.action == "meet" else 1):
            return False
        self.seen += 1
        if self.seen <= fault.skip or (self.seen - fault.skip) % fault.every:
            return False
        self.met += 1
        return True


class Faults:
    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self._lock = threading.Lock()

    def add(self, *faults: Fault | str) -> None:
        with self._lock:
            self._armed += [_Armed(one if isinstance(one, Fault) else Fault.parse(one)) for one in faults]

    def clear(self) -> None:
        with self._lock:
            for one in self._armed:
                one.barrier.abort()
            self._armed.clear()

    @property
    def met(self) -> int:
        """How many requests a fault has happened to."""
        with self._lock:
            return sum(one.met for one in self._armed)

    def as_value(self) -> list[dict[str, Any]]:
        with self._lock:
            return [{**one.fault.as_value(), "seen": one.seen, "met": one.met} for one in self._armed]

    def take(self, method: str, url: str) -> Fault | None:
        """The first fault that is meant for this request; a ``meet`` is over when this returns."""
        with self._lock:
            armed = next((one for one in self._armed if one.takes(method, url)), None)
        if armed is None:
            return None
        if armed.fault.action == "meet":
            # Where nobody else comes, a test sees that in what it asserts.
            with contextlib.suppress(threading.BrokenBarrierError):
                armed.barrier.wait(armed.fault.seconds or 30)
        return armed.fault
