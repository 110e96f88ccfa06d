"""Runs other programs: the one place that starts a process and translates how it failed.

The working directory is often a stranger's checkout. No program is taken from it, no program starts in it, and none
gets a search path that leads there: a ``docker`` or a ``pip.py`` in the checkout is a file like any other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from flowpack.errors import ToolError, scrub

_ROOT = Path(os.path.abspath(os.sep))  # noqa: PTH100
_OF_THIS_PYTHON = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"}
"""They choose what a Python loads before its first line; one that flowpack starts has what it needs installed."""
_PLACES = {
    *("BUILDX_CONFIG", "DOCKER_CERT_PATH", "DOCKER_CONFIG"),
    *("NETRC", "PIP_CACHE_DIR", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_CONFIG_FILE", "UV_CACHE_DIR", "UV_CONFIG_FILE"),
    *("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"),
}
"""Files and folders of the machine's owner, who may have written them from where flowpack is started."""


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

    Without ``cwd`` it starts in the root folder, so paths among ``args`` are absolute. ``env`` is added to this
    process's environment; a value of None takes the variable out. ``on_line`` is given each line as it comes, standard
    error included, and ``stdout`` then holds both streams in their order; ``timeout`` and ``given``, the standard
    input, count only without it.
    """

    def __call__(
        self,
        args: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str | None] | None = None,
        on_line: Callable[[str], None] | None = None,
        timeout: float | None = None,
        given: str | None = None,
    ) -> Completed: ...


def run(
    args: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    on_line: Callable[[str], None] | None = None,
    timeout: float | None = None,
    given: str | None = None,
) -> Completed:
    import subprocess  # noqa: PLC0415  (a build with a fresh lock starts no program)

    environment = merged_environment(env)
    program = _program(args[0])
    cwd = cwd or _ROOT
    try:
        if on_line is None:
            done = subprocess.run(
                args,
                executable=program,
                cwd=cwd,
                env=environment,
                input=given or "",
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout,
                check=False,
            )
            return Completed(tuple(args), done.returncode, done.stdout, done.stderr)
        with subprocess.Popen(
            args,
            executable=program,
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


def find_program(name: str) -> str | None:
    """The first program of that name on PATH."""
    return next(find_programs(name), None)


def find_programs(name: str) -> Iterator[str]:
    """Every program of that name on PATH, in its order. Relative entries are passed over: they mean the working
    directory's files, which a stranger may have written."""
    for folder in _absolute_entries(os.get_exec_path()):
        program = os.path.join(folder, name)  # noqa: PTH118
        if os.path.isfile(program) and os.access(program, os.X_OK):  # noqa: PTH113
            yield program


def merged_environment(changes: Mapping[str, str | None] | None) -> dict[str, str]:
    """This process's environment with the changes, and without search paths that lead into the working directory."""
    environment = {name: value for name, value in os.environ.items() if name not in _OF_THIS_PYTHON}
    for name in _PLACES & environment.keys():
        with contextlib.suppress(FileNotFoundError):  # the working directory is gone
            environment[name] = os.path.abspath(environment[name]) if environment[name] else ""  # noqa: PTH100
    if "PATH" in environment:
        environment["PATH"] = os.pathsep.join(_absolute_entries(environment["PATH"].split(os.pathsep)))
    for name, value in (changes or {}).items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    return environment


def _program(name: str) -> str:
    if os.sep in name:
        return os.path.abspath(name)  # noqa: PTH100  (from where flowpack was started, not from where it will start)
    program = find_program(name)
    if program is None:
        raise ToolError(f"'{name}' is not installed, or not on PATH")
    return program


def _absolute_entries(folders: Iterable[str]) -> list[str]:
    return [folder for folder in folders if os.path.isabs(folder)]  # noqa: PTH117
