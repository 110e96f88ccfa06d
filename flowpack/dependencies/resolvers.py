"""The question for a resolver and its answer; uv and pip-tools have the same interface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from flowpack.dependencies.known_good import Bound
from flowpack.dependencies.lock_format import Pin, read_pins
from flowpack.dependencies.requirements import RequirementLine, Requirements
from flowpack.dependencies.serving_needs import ServingRequirement
from flowpack.dependencies.target import Target
from flowpack.process import Completed
from flowpack.temporary import temporary_folder
from flowpack.writing import unwritable

# The starts of lines that pip_compile.py, a separate program, prints.
# The same words as in pip_compile.py, which runs without flowpack.
REFUSED = "flowpack: an index did not answer: "
NO_WHEEL = "flowpack: there is no wheel of "

FASTER = "install uv, which resolves for any Python and platform: pip install 'flowpack[fast]'"

REQUIREMENTS, CONSTRAINTS, KNOWN_GOOD, ANSWER = "requirements.in", "constraints.txt", "known-good.txt", "answer.txt"


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltWheel:
    """A wheel that was built from a source distribution; ``name`` is canonical, hashes are ``sha256:…``."""

    name: str
    version: str
    path: Path
    hash: str
    source: str
    source_hash: str

    @property
    def origin(self) -> str:
        return f"{self.source} {self.source_hash}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Asks for versions that fit all of this together, and keep as many ``preferred`` pins as possible."""

    requirements: Requirements
    serving: tuple[ServingRequirement, ...]
    bounds: tuple[Bound, ...]
    """Of those with a condition none is asked for: a resolver knows no conditions."""
    target: Target
    preferred: tuple[Pin, ...] = ()
    upgrade: bool = False
    wheels: Path | None = None
    """A folder of wheels built from source distributions."""
    built: tuple[BuiltWheel, ...] = ()


class UnresolvedError(Exception):
    """The resolver ended without an answer; ``words`` is its output."""

    def __init__(self, completed: Completed, words: str) -> None:
        super().__init__(words)
        self.completed = completed
        self.words = words


class Resolver(Protocol):
    """Raises UnresolvedError if there is no answer, and ToolError if the resolver cannot run."""

    @property
    def name(self) -> str:
        """The program and its version, for messages."""

    def resolve(self, question: Question) -> tuple[Pin, ...]: ...


@contextmanager
def question_folder(question: Question, *, options: bool) -> Iterator[Path]:
    """A private folder with the question as files; ``options`` also writes the index options, with credentials."""
    requirements = question.requirements
    with temporary_folder("lock") as folder:
        lines = [_asked(line, question) for line in requirements.lines] + [each.text for each in question.serving]
        # After the requirements, so that a resolver's "line 3" is the third requirement.
        lines += index_lines(requirements) if options else []
        _write(folder / REQUIREMENTS, lines)
        _write(folder / CONSTRAINTS, [line.resolvable for line in requirements.constraints])
        _write(folder / KNOWN_GOOD, _bound_lines(question))
        if question.preferred:
            _write(folder / ANSWER, (_with_hashes(pin) for pin in question.preferred if pin.version))
        yield folder


def index_lines(requirements: Requirements) -> list[str]:
    """The index options without those that choose wheels, which a requirements file does not decide."""
    lines = requirements.options.requirements_lines()
    return [line for line in lines if not line.startswith(("--no-binary", "--only-binary"))]


def _asked(line: RequirementLine, question: Question) -> str:
    """The line for the resolver; names the built wheel instead of the URL of its source distribution."""
    built = next((each for each in question.built if each.name == line.name and " @ " in line.resolvable), None)
    if built is None:
        return line.resolvable
    return f"{built.name}=={built.version}" + (f" ; {line.marker}" if line.marker else "")


def constraint_arguments(question: Question) -> list[str]:
    arguments = []
    if question.requirements.constraints:
        arguments += ["--constraint", CONSTRAINTS]
    if _bound_lines(question):
        arguments += ["--constraint", KNOWN_GOOD]
    return arguments


def answer_in(folder: Path) -> tuple[Pin, ...]:
    path = folder / ANSWER
    return tuple(read_pins(path.read_text("utf-8").splitlines(), path)) if path.exists() else ()


def _bound_lines(question: Question) -> list[str]:
    return [bound.requirement for bound in question.bounds if not bound.where]


def _write(path: Path, lines: Iterable[str]) -> None:
    try:
        path.write_text("".join(line + "\n" for line in lines), "utf-8")
    except OSError as error:
        raise unwritable(path, error) from error


def _with_hashes(pin: Pin) -> str:
    return " ".join([pin.requirement, *(f"--hash={each}" for each in pin.hashes)])
