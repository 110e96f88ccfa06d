"""The tasks that run, live on a terminal: what is being done, how far it is, how long it has taken."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from flowpack.cli.output import duration, show, styled_lines
from flowpack.cli.reporters import RunningTask
from flowpack.quoting import log_text

if TYPE_CHECKING:
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.table import Table

_PATIENCE = 0.3
"""Seconds: what is shorter would only flicker, and rich takes some 50 ms to load."""
_BAR = 24


class LiveTasks:
    """Draws with rich, which is loaded with the first task that takes long. Other lines are printed above."""

    def __init__(self) -> None:
        self._tasks: dict[RunningTask, threading.Timer] = {}
        self._spinners: dict[RunningTask, Spinner] = {}  # each keeps its own, so that it turns
        self._live: Live | None = None
        self._one_at_a_time = threading.RLock()

    def begin(self, task: RunningTask) -> None:
        timer = threading.Timer(_PATIENCE, self._show)
        timer.daemon = True
        with self._one_at_a_time:
            self._tasks[task] = timer
        timer.start()

    def end(self, task: RunningTask) -> None:
        with self._one_at_a_time:
            self._tasks.pop(task).cancel()
            self._spinners.pop(task, None)
            if self._live is not None and not self._tasks:
                self._live.stop()
                self._live = None

    def line(self, text: str) -> None:
        with self._one_at_a_time:
            if self._live is None:
                show(text)
                return
            from rich.text import Text  # noqa: PLC0415  (loaded already)

            for line in styled_lines(text):  # rich draws the live lines again below it
                self._live.console.print(Text.from_ansi(line), soft_wrap=True)

    def _show(self) -> None:
        from rich.console import Console  # noqa: PLC0415  (a task that takes long pays for it)
        from rich.live import Live  # noqa: PLC0415

        with self._one_at_a_time:
            if self._live is None and self._tasks:
                console = Console(stderr=True, highlight=False)
                self._live = Live(
                    console=console,
                    get_renderable=self._drawn,
                    transient=True,
                    refresh_per_second=10,
                    redirect_stdout=False,
                    redirect_stderr=False,
                )
                self._live.start(refresh=True)

    def _drawn(self) -> Table:
        from rich.progress_bar import ProgressBar  # noqa: PLC0415
        from rich.spinner import Spinner  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table.grid(padding=(0, 1))
        for _ in range(4):
            table.add_column(no_wrap=True, overflow="ellipsis")
        for task in tuple(self._tasks):
            total = task.total
            bar = ProgressBar(total, task.done or 0, width=_BAR) if total else ""
            told = ", ".join(filter(None, (duration(task.seconds), task.how_far(), log_text(task.doing_now))))
            spinner = self._spinners.setdefault(task, Spinner("dots", style="cyan"))
            table.add_row(spinner, Text(log_text(task.doing)), bar, Text(told, "dim"))
        return table
