"""Resolves with uv, for the target's Python and platform on any machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowpack.dependencies.index_configuration import pip_settings, uv_configuration
from flowpack.dependencies.lock_format import Pin
from flowpack.dependencies.resolvers import (
    ANSWER,
    REQUIREMENTS,
    Question,
    UnresolvedError,
    answer_in,
    constraint_arguments,
    question_folder,
)
from flowpack.dependencies.target import Target
from flowpack.process import Completed, Run, run
from flowpack.uv_program import find_uv_program

# The C library of Debian 12, the default base.
_C_LIBRARY = "manylinux_2_36"
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


# Ignores the active environment and settings that ask for source distributions.
_ALONE: Mapping[str, str | None] = {
    "VIRTUAL_ENV": None,
    "CONDA_PREFIX": None,
    "UV_NO_BINARY": None,
    "UV_NO_BINARY_PACKAGE": None,
    "UV_NO_BUILD_PACKAGE": None,
    "UV_CONFIG_FILE": None,
}


@dataclass(frozen=True, slots=True)
class UvResolver:
    program: str
    name: str
    run: Run = field(default=run, repr=False)

    def resolve(self, question: Question) -> tuple[Pin, ...]:
        configuration = uv_configuration(question.requirements.options, pip_settings())
        environment = {**configuration.environment, **_ALONE, **_find_links(question, configuration.environment)}
        with question_folder(question, options=False) as folder:
            completed = self._compile(question, configuration.arguments, environment, folder)
            if completed.returncode == 0:
                return answer_in(folder)
            words = completed.stderr.strip()
            if "UV_INDEX_STRATEGY" in configuration.environment and "not found in the package registry" in words:
                # When uv looks for the best version in all indexes, it does not say which index refused to answer.
                environment["UV_INDEX_STRATEGY"] = "first-index"
                again = self._compile(question, configuration.arguments, environment, folder)
                hints = [line for line in again.stderr.splitlines() if line.startswith("hint: An index")]
                words = "\n".join([words, *hints])
            raise UnresolvedError(completed, words)

    def _compile(
        self, question: Question, arguments: Sequence[str], environment: Mapping[str, str | None], folder: Path
    ) -> Completed:
        return self.run(
            [
                *(self.program, "pip", "compile", REQUIREMENTS, *constraint_arguments(question)),
                *("--output-file", ANSWER, "--generate-hashes", "--annotation-style", "split"),
                *("--python-version", question.target.full_version),
                *("--python-platform", uv_platform(question.target)),
                *("--no-header", "--no-progress", "--quiet", "--color", "never", "--no-python-downloads"),
                *("--no-config", "--no-build"),
                *_interpreter(question.target),
                *(["--upgrade"] if question.upgrade else []),
                *arguments,
            ],
            cwd=folder,  # away from a project's own .python-version
            env=environment,
        )


def find_uv(run: Run) -> UvResolver | None:
    program = find_uv_program()
    if program is None:
        return None
    completed = run([program, "--version"])
    if completed.returncode != 0:
        return None
    return UvResolver(program, " ".join(completed.stdout.split()[:2]), run)


def uv_platform(target: Target) -> str:
    return f"{_MACHINES[target.platform.architecture]}-{_C_LIBRARY}"


def wheel_platforms(target: Target) -> list[str]:
    """pip's names for the platforms whose wheels run on the target, the newest C library first."""
    machine = _MACHINES[target.platform.architecture]
    minor = int(_C_LIBRARY.rpartition("_")[2])
    names = [f"manylinux_2_{number}" for number in range(minor, 4, -1)]
    return [f"{name}_{machine}" for name in (*names, "manylinux2014", "manylinux2010", "manylinux1", "linux")]


def _find_links(question: Question, configured: Mapping[str, str]) -> dict[str, str]:
    if question.wheels is None:
        return {}
    others = configured.get("UV_FIND_LINKS", os.environ.get("UV_FIND_LINKS", ""))
    return {"UV_FIND_LINKS": ",".join(filter(None, [question.wheels.as_uri(), others]))}


def _interpreter(target: Target) -> list[str]:
    """This interpreter if it has the target's version, so that uv does not look at all others."""
    if "UV_PYTHON" in os.environ or sys.version_info[:2] != target.version:
        return []
    return ["--python", sys.executable]
