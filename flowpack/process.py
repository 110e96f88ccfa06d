"""Runs other programs: the one place that starts a process and translates how it failed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from flowpack.errors import ToolError, scrub


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that ran to its end, with both its streams decoded as UTF-8."""

    args: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str

    @property
    def command(self) -> str:
        return scrub(" ".join(self.args))


class Run(Protocol):
    """Runs a program and gives what it printed; never raises for a non-zero exit status.

    ``env`` is added to this process's environment; a value of None takes the variable out. ``on_line`` is given
    each line as it comes, standard error included, and ``stdout`` then holds both streams in their order; ``timeout``
    counts only without it.
    """

    def __call__(
        self,
        args: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str | None] | None = None,
        on_line: Callable[[str], None] | None = None,
        timeout: float | None = None,
    ) -> Completed: ...


def run(
    args: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    on_line: Callable[[str], None] | None = None,
    timeout: float | None = None,
) -> Completed:
    import subprocess  # noqa: PLC0415  (a build with a fresh lock starts no program)

    environment = merged_environment(env)
    try:
        if on_line is None:
            done = subprocess.run(
                args,
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout,
                check=False,
            )
            return Completed(tuple(args), done.returncode, done.stdout, done.stderr)
        with subprocess.Popen(
            args,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process:
            try:
                assert process.stdout is not None  # noqa: S101
                lines = []
                for line in process.stdout:
                    lines.append(line)
                    on_line(line.rstrip("\n"))
                returncode = process.wait()
            except BaseException:
                process.terminate()
                raise
            return Completed(tuple(args), returncode, "".join(lines), "")
    except FileNotFoundError as error:
        raise ToolError(f"'{args[0]}' is not installed, or not on PATH") from error
    except PermissionError as error:
        raise ToolError(f"'{args[0]}' cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"'{args[0]}' did not finish within {timeout:g} s") from error


def merged_environment(changes: Mapping[str, str | None] | None) -> dict[str, str]:
    environment = dict(os.environ)
    for name, value in (changes or {}).items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    return environment
