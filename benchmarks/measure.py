"""Times whole processes, two peers in turn, so that a machine whose speed drifts is fair to both."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Timed:
    """Wall seconds of each run."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        unit, factor = ("ms", 1000) if self.median < 1 else ("s", 1)
        return f"{self.median * factor:.3g} {unit}"


def in_turn(
    runs: int, *commands: Sequence[str], before: Callable[[], None] = lambda: None, warm: bool = True, **options: object
) -> list[Timed]:
    """Runs the commands A B A B …, after one run of each that does not count; ``before`` is not timed."""
    taken: list[list[float]] = [[] for _ in commands]
    for number in range(runs + warm):
        for command, seconds in zip(commands, taken, strict=True):
            before()
            elapsed = timed(command, **options)  # type: ignore[arg-type]
            if number >= warm:
                seconds.append(elapsed)
    return [Timed(tuple(each)) for each in taken]


def timed(command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> float:
    environment = {**os.environ, **(env or {})}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode
    start = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    elapsed = time.perf_counter() - start
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} exited with {done.returncode}\n{done.stdout}{done.stderr}")
    return elapsed
