"""A flow that is being served, by a container or by a process of this machine."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Protocol


class Server(Protocol):
    def alive(self) -> bool: ...

    def logs(self) -> str:
        """Everything that the server said so far, both streams in their order."""

    def follow(self, on_line: Callable[[str], None]) -> int:
        """Gives each line as it comes, from the first on, until the server ends; its exit status."""

    def copy_out(self, path: str, folder: Path) -> Path:
        """Copies a folder, as the server sees it, into ``folder``, and gives its place there."""

    def stop(self) -> None:
        """Lets requests in flight finish, then leaves nothing behind. A second call does nothing."""


@dataclass(frozen=True)
class Served:
    """``url`` ends without a slash; ``engine`` is ``docker`` or ``venv``; ``seconds`` is what health took."""

    url: str
    engine: str
    seconds: float
    server: Server = field(repr=False)


@contextlib.contextmanager
def stopped_at_the_end(server: Server) -> Iterator[None]:
    """Stops the server when the block ends, also by SIGTERM or SIGHUP, which would end this process at once."""
    with _signals_raise():
        try:
            yield
        finally:
            with _signals_wait():
                server.stop()


def _raise(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    with _handled({signal.SIGTERM: _raise, signal.SIGHUP: _raise}):
        yield


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """Whoever presses Ctrl-C twice must not leave a container running; the signals count once the block is over."""
    came: list[int] = []
    with _handled(dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), lambda number, _: came.append(number))):
        yield
    for number in came[:1]:
        signal.raise_signal(number)


@contextlib.contextmanager
def _handled(handlers: dict[signal.Signals, Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # Python lets the main thread alone set handlers
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
