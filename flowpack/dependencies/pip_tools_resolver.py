"""Resolves with pip-tools, which resolves for the interpreter it runs in: finds one of the target's minor version."""

from __future__ import annotations

import os
import platform as host
import re
import site
import sys
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

from flowpack.dependencies.lock_format import Pin
from flowpack.dependencies.resolvers import (
    ANSWER,
    FASTER,
    NO_WHEEL,
    REFUSED,
    REQUIREMENTS,
    Question,
    UnresolvedError,
    answer_in,
    constraint_arguments,
    question_folder,
)
from flowpack.dependencies.target import Platform, Target
from flowpack.errors import ToolError
from flowpack.kept_environments import kept_environment
from flowpack.process import Completed, Run, find_program, run
from flowpack.reporting import Reporter

_PROGRAM = Path(__file__).with_name("pip_compile.py")
_REQUIREMENT = "pip-tools>=7.6.1"
_QUIET_WHEELS = ("--quiet", "--only-binary", ":all:")


@dataclass(frozen=True, slots=True)
class PipToolsResolver:
    python: str
    name: str
    run: Run = field(default=run, repr=False)

    def resolve(self, question: Question) -> tuple[Pin, ...]:
        with question_folder(question, options=True) as folder:
            completed = self.run(
                [
                    *(self.python, *isolation(), str(_PROGRAM), REQUIREMENTS, *constraint_arguments(question)),
                    *("--pip-args", "--only-binary :all:"),
                    *("--output-file", ANSWER, "--generate-hashes", "--annotation-style", "split"),
                    *("--allow-unsafe", "--strip-extras", "--no-header", "--no-color", "--no-config", "--verbose"),
                    *("--no-emit-index-url", "--no-emit-find-links", "--no-emit-trusted-host", "--no-emit-options"),
                    *(["--upgrade"] if question.upgrade else []),
                    *(["--find-links", str(question.wheels)] if question.wheels else []),
                ],
                cwd=folder,
                env={
                    "PIP_NO_BINARY": None,
                    "PIP_ONLY_BINARY": None,
                    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                    "PIP_NO_INPUT": "1",
                    "PIP_REQUIRE_HASHES": None,  # it would require hashes in the question
                    "PIP_QUIET": None,
                    "PIP_VERBOSE": None,
                    "PYTHONUTF8": "1",
                    "PYTHONDONTWRITEBYTECODE": "1",  # its environment stays unchanged
                },
            )
            if completed.returncode != 0:
                raise UnresolvedError(completed, pip_words(completed))
            return answer_in(folder)


def find_pip_tools(target: Target, run: Run, reporter: Reporter) -> PipToolsResolver:
    if sys.platform != "linux" or Platform.of_this_machine() != target.platform:
        raise ToolError(
            f"pip-tools resolves for the machine it runs on, which is {sys.platform}/{host.machine()}"
            f" and not {target.platform}",
            hint=FASTER,
        )
    if sys.version_info[:2] == target.version:
        return _of_this_interpreter(run)
    return PipToolsResolver(_environment(target, run, reporter), f"pip-tools on Python {target.python}", run)


def isolation() -> tuple[str, ...]:
    """Options that keep a project's modules, and variables that add modules, out of an interpreter flowpack starts.

    If flowpack is installed only for the user, `-I` would also hide pip.
    """
    found = find_spec("pip")
    users = site.getusersitepackages()
    return ("-E",) if found and (found.origin or "").startswith(users) else ("-I",)


def pip_words(completed: Completed) -> str:
    """pip's errors, their cause and the indexes that refused access, without the rest of its output."""
    lines = [line.removeprefix("  ").rstrip() for line in completed.stderr.splitlines()]
    told = [line for line in lines if line.startswith((REFUSED, NO_WHEEL))]
    first = next((number for number, line in enumerate(lines) if line.startswith("ERROR:")), None)
    said = [line for line in (lines[first:] if first is not None else lines[-20:]) if line not in told]
    return "\n".join([*dict.fromkeys(told), *said[:1], *_cause(completed.stdout), *said[1:]]).strip()


def _cause(stdout: str) -> list[str]:
    """The paragraph on a conflict's cause, which pip prints as information and not with the error."""
    _, heading, rest = stdout.partition("The conflict is caused by:")
    return (
        [heading, *(line.removeprefix("  ") for line in takewhile(str.strip, rest.splitlines()[1:]))] if heading else []
    )


def _of_this_interpreter(run: Run) -> PipToolsResolver:
    try:
        found = version("pip-tools") if find_spec("piptools") and find_spec("pip") else None
    except PackageNotFoundError:
        found = None
    if found is None:
        raise ToolError("pip-tools is not installed with flowpack", hint=f"pip install '{_REQUIREMENT}'; or {FASTER}")
    return PipToolsResolver(sys.executable, f"pip-tools {found}", run)


def _environment(target: Target, run: Run, reporter: Reporter) -> str:
    """The interpreter of a virtual environment with pip-tools, one per minor version, kept in the cache."""

    def make(place: Path) -> None:
        base = _interpreter(target, run)
        with reporter.task(f"installing pip-tools for Python {target.python}") as task:
            _install(base, place, target, run)
            task.finish(f"installed pip-tools for Python {target.python}")

    name = f"python{target.python}"
    # Its scripts contain the path where it was made, so only its interpreter is started.
    place = kept_environment("pip-tools", name, make, name=f"pip-tools for Python {target.python}", reporter=reporter)
    return str(place / "bin" / "python")


def _install(base: str, place: Path, target: Target, run: Run) -> None:
    for command in (
        [base, "-I", "-m", "venv", str(place)],
        [str(place / "bin" / "python"), "-I", "-m", "pip", "install", *_QUIET_WHEELS, _REQUIREMENT],
    ):
        completed = run(command, cwd=place.parent, env={"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"})
        if completed.returncode != 0:
            raise ToolError(
                f"pip-tools cannot be installed for Python {target.python}",
                detail=(completed.stderr or completed.stdout).strip(),
                hint=FASTER,
            )


def _interpreter(target: Target, run: Run) -> str:
    program = find_program(f"python{target.python}")
    # pyenv puts a shim on PATH for each version, even if it is not selected.
    if program is None or _minor_version(program, run) != target.version:
        raise ToolError(
            f"pip-tools resolves for the Python it runs in, but python{target.python} is not on PATH",
            hint=f"install Python {target.python}; or {FASTER}",
        )
    return program


def _minor_version(program: str, run: Run) -> tuple[int, int] | None:
    if not os.access(program, os.X_OK):
        return None
    completed = run([program, "-I", "-c", "import sys; print(*sys.version_info[:2])"])
    found = re.fullmatch(r"(\d+) (\d+)\s*", completed.stdout)
    return (int(found[1]), int(found[2])) if completed.returncode == 0 and found else None
