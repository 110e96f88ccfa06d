"""Tells what another program does while it runs, and that it still runs while it says nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from flowpack.errors import scrub
from flowpack.reporting import Reporter


class Progress(Protocol):
    """Turns a program's lines into events, whose ``str`` is for a person; ``now`` is a monotonic clock's seconds."""

    def line(self, text: str, now: float) -> list[Any]: ...

    def tick(self, now: float) -> list[Any]: ...


@contextmanager
def narrated(progress: Progress, reporter: Reporter, every: float = 1.0) -> Iterator[Callable[[str], None]]:
    """Gives what takes the program's lines; a thread beside it asks for signs of life. Credentials are taken out."""
    one_at_a_time = threading.Lock()
    over = threading.Event()

    def tell(take: Callable[[], list[Any]]) -> None:
        with one_at_a_time:
            for event in take():
                reporter.info(scrub(str(event)))

    def watch() -> None:
        while not over.wait(every):
            tell(lambda: progress.tick(time.monotonic()))

    watcher = threading.Thread(target=watch, name="flowpack-narration", daemon=True)
    watcher.start()
    try:
        yield lambda line: tell(lambda: progress.line(line, time.monotonic()))
    finally:
        over.set()
        watcher.join()
