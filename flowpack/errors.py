"""Everything that flowpack reports as an error.

::

    FlowpackError
     ├── InputError            exit 1: the flow, its requirements or another input is wrong
     │    ├── YamlError          a document that cannot be read
     │    ├── RequirementsError  requirements that cannot be read or do not resolve
     │    └── LockError          a lockfile that is missing, stale or broken
     ├── UsageError            exit 2: options that do not go together
     └── OutsideError          exit 3: something that flowpack depends on failed
          ├── ToolError          a program that flowpack started
          ├── EngineError        the container engine
          ├── RegistryError      the container registry
          ├── AzureError         Azure, a credential for it, or a model registry on this machine
          ├── ServingError       a served flow that does not start or does not answer
          └── InternalError      a defect of flowpack's own, with a log that says where
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar

from flowpack import secret_forms
from flowpack.quoting import one_line

scrub = secret_forms.scrub
"""Removes credentials from errors and from what other programs print."""


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file; ``line`` and ``column`` count from 1, and are None where the whole file is meant."""

    path: Path
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        parts = [shown_path(self.path)]
        if self.line is not None:
            parts.append(str(self.line))
            if self.column is not None:
                parts.append(str(self.column))
        return ":".join(parts)


class FlowpackError(Exception):
    """What went wrong, where, and what to do next.

    ``detail`` holds another tool's own words, shown as they came but for their credentials. A message is one line,
    whatever the names in it hold: none of them can pass for a line of flowpack's.
    """

    exit_code: ClassVar[int] = 3

    def __init__(
        self, message: str, *, location: Location | None = None, hint: str | None = None, detail: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = one_line(scrub(message))
        self.location = location
        self.hint = scrub(hint) if hint else None
        self.detail = scrub(detail) if detail else None

    def __str__(self) -> str:
        lines = [f"{self.location}: {self.message}" if self.location else self.message]
        if self.detail:
            lines += ["  " + line for line in self.detail.rstrip().splitlines()]
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, object]:
        where = self.location
        return {
            "error": type(self).__name__,
            "message": self.message,
            "file": str(where.path) if where else None,
            "line": where.line if where else None,
            "column": where.column if where else None,
            "detail": self.detail,
            "hint": self.hint,
        }


class InputError(FlowpackError):
    exit_code = 1


class YamlError(InputError):
    pass


class RequirementsError(InputError):
    pass


class LockError(InputError):
    pass


class UsageError(FlowpackError):
    exit_code = 2


class OutsideError(FlowpackError):
    exit_code = 3

    status: int | None = None
    """The HTTP status of a refusal, where that is what it was."""


class ToolError(OutsideError):
    pass


class EngineError(OutsideError):
    pass


class RegistryError(OutsideError):
    pass


class AzureError(OutsideError):
    pass


class ServingError(OutsideError):
    pass


class InternalError(OutsideError):
    pass


_COMPARISON = 500_000
"""What comparing names may cost, in pairs of characters: about a tenth of a second."""
_left: ContextVar[list[int] | None] = ContextVar("what comparing names may still cost", default=None)


@contextlib.contextmanager
def few_suggestions() -> Iterator[None]:
    """Within this, all calls of ``nearest`` together cost no more than one may: a thousand mistakes take no longer."""
    token = _left.set([_COMPARISON])
    try:
        yield
    finally:
        _left.reset(token)


def nearest(name: str, options: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """The option that was probably meant, as far as it can be found in a short time. ``likeness``: 1 is the same."""
    left = _left.get() or [_COMPARISON]
    compared: list[str] = []
    for option in options if left[0] > 0 else ():
        left[0] -= 1
        # The first term is for what any comparison costs; difflib's own threshold cannot be met by other lengths.
        if 3 * len(name) <= 7 * len(option) and 3 * len(option) <= 7 * len(name):
            left[0] -= 100 + len(name) * len(option)
            if left[0] < 0:
                break
            compared.append(option)
    if not compared:
        return None
    from difflib import get_close_matches  # noqa: PLC0415  (only a mistake needs it)

    return next(iter(get_close_matches(name, compared, n=1, cutoff=likeness)), None)


def listed(names: Iterable[str], most: int = 20) -> str:
    """For a message: the names, or the first of them and how many more there are."""
    known = names if isinstance(names, Collection) else list(names)  # each of many messages may list the same thousands
    more = f" and {len(known) - most:,} more" if len(known) > most else ""
    return ", ".join(islice(known, most)) + more


def shown_path(path: Path) -> str:
    """The path as a person at this working directory would write it, on one line."""
    try:
        relative = os.path.relpath(path)
    except (ValueError, OSError):  # another drive, or no working directory any more
        return one_line(str(path))
    return one_line(min(relative, str(path), key=len))
