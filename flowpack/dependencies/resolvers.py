"""What a resolver is asked and what it answers; uv and pip-tools stand behind one verb."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from flowpack.dependencies.lock_format import Pin, read_pins
from flowpack.dependencies.requirements import Requirements
from flowpack.dependencies.serving_needs import ServingRequirement
from flowpack.dependencies.target import Target
from flowpack.process import Completed
from flowpack.temporary import temporary_folder
from flowpack.writing import unwritable

FASTER = "flowpack[fast] brings uv, which resolves for any Python and platform: pip install 'flowpack[fast]'"

REQUIREMENTS, CONSTRAINTS, KNOWN_GOOD, ANSWER = "requirements.in", "constraints.txt", "known-good.txt", "answer.txt"


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Which versions fit all of this together; of ``preferred`` pins as many as possible are kept."""

    requirements: Requirements
    serving: tuple[ServingRequirement, ...]
    known_good: tuple[str, ...]
    target: Target
    preferred: tuple[Pin, ...] = ()
    upgrade: bool = False


class UnresolvedError(Exception):
    """The resolver ended without an answer; ``words`` is what it said."""

    def __init__(self, completed: Completed, words: str) -> None:
        super().__init__(words)
        self.completed = completed
        self.words = words


class Resolver(Protocol):
    """Raises UnresolvedError where no answer came, and ToolError where it could not even ask."""

    @property
    def name(self) -> str:
        """The program and its version, for a person."""

    def resolve(self, question: Question) -> tuple[Pin, ...]: ...


@contextmanager
def question_folder(question: Question, *, options: bool) -> Iterator[Path]:
    """A private folder with the question as files; ``options`` writes the index options too, credentials included."""
    requirements = question.requirements
    with temporary_folder("lock") as folder:
        lines = [line.resolvable for line in requirements.lines] + [each.text for each in question.serving]
        # After the requirements, so that a resolver's "line 3" is the third requirement.
        lines += requirements.options.requirements_lines() if options else []
        _write(folder / REQUIREMENTS, lines)
        _write(folder / CONSTRAINTS, [line.resolvable for line in requirements.constraints])
        _write(folder / KNOWN_GOOD, question.known_good)
        if question.preferred:
            _write(folder / ANSWER, (_with_hashes(pin) for pin in question.preferred if pin.version))
        yield folder


def constraint_arguments(question: Question) -> list[str]:
    arguments = []
    if question.requirements.constraints:
        arguments += ["--constraint", CONSTRAINTS]
    if question.known_good:
        arguments += ["--constraint", KNOWN_GOOD]
    return arguments


def answer_in(folder: Path) -> tuple[Pin, ...]:
    path = folder / ANSWER
    return tuple(read_pins(path.read_text("utf-8").splitlines(), path)) if path.exists() else ()


def _write(path: Path, lines: Iterable[str]) -> None:
    try:
        path.write_text("".join(line + "\n" for line in lines), "utf-8")
    except OSError as error:
        raise unwritable(path, error) from error


def _with_hashes(pin: Pin) -> str:
    return " ".join([pin.requirement, *(f"--hash={each}" for each in pin.hashes)])
