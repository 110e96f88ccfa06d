"""What a command tells whoever waits for it: facts, warnings, and tasks with how far they are.

The rooms report to a ``Reporter`` and know nothing of terminals; ``cli/reporters.py`` shows it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Literal, Protocol

Unit = Literal["", "bytes"]
"""The unit of a task's progress: bytes are shown in kB, MB and GB."""


class Task(Protocol):
    """Something that takes a while. Any thread may call it."""

    def advance(self, done: int, total: int | None = None) -> None:
        """How far it is, in the task's unit; ``total`` where it is known or has changed."""

    def detail(self, text: str) -> None:
        """What it does at this moment. Only the newest is shown, and only where the task takes long."""

    def finish(self, text: str) -> None:
        """What to say, in the past tense, once it has ended well; the time that it took is added."""


class Reporter(Protocol):
    """Everything is plain text of one or more lines. Credentials have been taken out of what others said."""

    def info(self, text: str) -> None: ...

    def warning(self, text: str) -> None: ...

    def task(self, doing: str, unit: Unit = "") -> AbstractContextManager[Task]:
        """``doing`` is what the user waits for: "installing 102 packages". It is shown where it takes long."""


class _SilentTask:
    def advance(self, done: int, total: int | None = None) -> None:
        pass

    def detail(self, text: str) -> None:
        pass

    def finish(self, text: str) -> None:
        pass


class _Silent:
    def info(self, text: str) -> None:
        pass

    def warning(self, text: str) -> None:
        pass

    @contextlib.contextmanager
    def task(self, doing: str, unit: Unit = "") -> Iterator[Task]:  # noqa: ARG002
        yield _SilentTask()


SILENT: Reporter = _Silent()
