"""Shows on stderr what a command reports."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator

from flowpack.cli.output import duration
from flowpack.cli.tasks import LiveTasks, PlainTasks, RunningTask, Tasks, View
from flowpack.reporting import Reporter, Task, Unit


def reporter_for(quiet: bool) -> Reporter:
    """``--quiet`` leaves warnings."""
    if quiet:
        return _Quiet()
    live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return LineReporter(LiveTasks(_live_view) if live else PlainTasks())


def _live_view(tasks: Callable[[], Iterable[RunningTask]]) -> View:
    from flowpack.cli.live_view import LiveView  # noqa: PLC0415  (rich)

    return LiveView(tasks)


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
