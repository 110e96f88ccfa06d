"""Shows on stderr what a command reports: live on a terminal, in plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Protocol

from flowpack.cli.output import duration, readable, show
from flowpack.reporting import Reporter, Task, Unit

PATIENCE = 1.0
"""Seconds after which a task that still runs is shown."""
_HEARTBEAT = 15.0


def reporter_for(quiet: bool) -> Reporter:
    """``--quiet`` leaves warnings."""
    if quiet:
        return _Quiet()
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return LineReporter(_live_tasks())
    return LineReporter(PlainTasks())


def _live_tasks() -> Tasks:
    from flowpack.cli.live_tasks import LiveTasks  # noqa: PLC0415  (a terminal alone needs it)

    return LiveTasks()


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


class LineReporter:
    """Information and warnings as lines, tasks as ``tasks`` shows them."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def info(self, text: str) -> None:
        self._tasks.line(text)

    def warning(self, text: str) -> None:
        self._tasks.line(f"warning: {text}")

    @contextlib.contextmanager
    def task(self, doing: str, unit: Unit = "") -> Iterator[Task]:
        task = RunningTask(doing, unit)
        self._tasks.begin(task)
        try:
            yield task
        finally:
            self._tasks.end(task)
        if task.finished:
            self._tasks.line(f"{task.finished} in {duration(task.seconds)}")


class _Quiet(LineReporter):
    def __init__(self) -> None:
        super().__init__(PlainTasks())

    def info(self, text: str) -> None:
        pass

    @contextlib.contextmanager
    def task(self, doing: str, unit: Unit = "") -> Iterator[Task]:
        yield RunningTask(doing, unit)


class PlainTasks:
    """A line where a task takes longer than a second, and a sign of life every 15 seconds after it."""

    def __init__(self, patience: float = PATIENCE, heartbeat: float = _HEARTBEAT) -> None:
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
