"""The tasks that run, drawn by rich: what is being done, how far it is, how long it has taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from flowpack.cli.output import duration, styled_lines
from flowpack.cli.tasks import RunningTask
from flowpack.quoting import log_text

_BAR = 24


class LiveView:
    """On stderr from the moment it is made."""

    def __init__(self, tasks: Callable[[], Iterable[RunningTask]]) -> None:
        self._tasks = tasks
        self._spinners: dict[RunningTask, Spinner] = {}  # each task keeps its own, so that it turns
        self._live = Live(
            console=Console(stderr=True, highlight=False),
            get_renderable=self._drawn,
            transient=True,
            refresh_per_second=10,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start(refresh=True)

    def line(self, text: str) -> None:
        for line in styled_lines(text):  # rich draws the tasks again below it
            self._live.console.print(Text.from_ansi(line), soft_wrap=True)

    def stop(self) -> None:
        self._live.stop()

    def _drawn(self) -> Table:
        table = Table.grid(padding=(0, 1))
        for _ in range(4):
            table.add_column(no_wrap=True, overflow="ellipsis")
        for task in self._tasks():
            total = task.total
            bar = ProgressBar(total, task.done or 0, width=_BAR) if total else ""
            told = ", ".join(filter(None, (duration(task.seconds), task.how_far(), log_text(task.doing_now))))
            spinner = self._spinners.setdefault(task, Spinner("dots", style="cyan"))
            table.add_row(spinner, Text(log_text(task.doing)), bar, Text(told, "dim"))
        return table
