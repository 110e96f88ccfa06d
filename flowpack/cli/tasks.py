"""The tasks that run, and how they are shown: live on a terminal, in plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from flowpack.cli.output import duration, readable, show
from flowpack.reporting import Unit

_PLAIN_PATIENCE = 1.0
"""Seconds after which a task that still runs is shown."""
_LIVE_PATIENCE = 0.3
"""The same on a terminal: what is shorter would only flicker, and rich takes some 50 ms to load."""
_HEARTBEAT = 15.0


class Tasks(Protocol):
    """Shows the tasks that run, and keeps other lines out of their way."""

    def begin(self, task: RunningTask) -> None: ...

    def end(self, task: RunningTask) -> None: ...

    def line(self, text: str) -> None: ...


class RunningTask:
    """A task as it is now: what ``Tasks`` show of it."""

    def __init__(self, doing: str, unit: Unit) -> None:
        self.doing = doing
        self.began = time.monotonic()
        self.done: int | None = None
        self.total: int | None = None
        self.doing_now = ""
        self.finished = ""
        self._unit = unit

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def advance(self, done: int, total: int | None = None) -> None:
        self.done = done
        self.total = self.total if total is None else total

    def detail(self, text: str) -> None:
        self.doing_now = text

    def finish(self, text: str) -> None:
        self.finished = text

    def how_far(self) -> str:
        """``12 of 102``, ``3.1 MB of 40 MB``, or nothing."""
        if self.done is None:
            return ""
        if self._unit == "bytes":
            return f"{readable(self.done)} of {readable(self.total)}" if self.total else readable(self.done)
        return f"{self.done} of {self.total}" if self.total else str(self.done)


class PlainTasks:
    """A line where a task takes longer than a second, and a sign of life every 15 seconds after it."""

    def __init__(self, patience: float = _PLAIN_PATIENCE, heartbeat: float = _HEARTBEAT) -> None:
        self._patience = patience
        self._heartbeat = heartbeat
        self._ended: dict[RunningTask, threading.Event] = {}
        self._one_at_a_time = threading.Lock()

    def begin(self, task: RunningTask) -> None:
        ended = self._ended[task] = threading.Event()
        threading.Thread(target=self._watch, args=(task, ended), name="flowpack-task", daemon=True).start()

    def end(self, task: RunningTask) -> None:
        self._ended.pop(task).set()

    def line(self, text: str) -> None:
        with self._one_at_a_time:
            show(text)

    def _watch(self, task: RunningTask, ended: threading.Event) -> None:
        if ended.wait(self._patience):
            return
        self.line(task.doing)
        while not ended.wait(self._heartbeat):
            parts = (task.how_far(), task.doing_now, duration(task.seconds))
            self.line(f"  … {task.doing}: {', '.join(filter(None, parts))}")


class View(Protocol):
    """The lines at the bottom of a terminal that change, and what is printed above them."""

    def line(self, text: str) -> None: ...

    def stop(self) -> None: ...


OpenView = Callable[[Callable[[], Iterable[RunningTask]]], View]
"""Begins to show the tasks that the function gives."""


class LiveTasks:
    """Opens its view with the first task that takes long, and closes it with the last."""

    def __init__(self, view: OpenView, patience: float = _LIVE_PATIENCE) -> None:
        self._open = view
        self._patience = patience
        self._tasks: dict[RunningTask, threading.Timer] = {}
        self._view: View | None = None
        self._one_at_a_time = threading.RLock()

    def begin(self, task: RunningTask) -> None:
        timer = threading.Timer(self._patience, self._show)
        timer.daemon = True
        with self._one_at_a_time:
            self._tasks[task] = timer
        timer.start()

    def end(self, task: RunningTask) -> None:
        with self._one_at_a_time:
            self._tasks.pop(task).cancel()
            if self._view is not None and not self._tasks:
                self._view.stop()
                self._view = None

    def line(self, text: str) -> None:
        with self._one_at_a_time:
            if self._view is None:
                show(text)
            else:
                self._view.line(text)

    def _show(self) -> None:
        with self._one_at_a_time:
            if self._view is None and self._tasks:
                self._view = self._open(lambda: tuple(self._tasks))
