"""A reporter whose reports a test reads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from flowpack.reporting import Task, Unit


class RecordingTask:
    def __init__(self) -> None:
        self.progress: list[tuple[int, int | None]] = []
        self.finished = ""

    def advance(self, done: int, total: int | None = None) -> None:
        self.progress.append((done, total))

    def detail(self, text: str) -> None:
        pass

    def finish(self, text: str) -> None:
        self.finished = text


class Recording(list[str]):
    """The lines as a terminal would show them, and the tasks that were begun, by what they do."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, RecordingTask] = {}

    def info(self, text: str) -> None:
        self.append(text)

    def warning(self, text: str) -> None:
        self.append(f"warning: {text}")

    @contextlib.contextmanager
    def task(self, doing: str, unit: Unit = "") -> Iterator[Task]:
        task = self.tasks[doing] = RecordingTask()
        yield task
        if task.finished:
            self.append(task.finished)
