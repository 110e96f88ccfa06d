"""What a rule finds: the place, the problem, what to do about it, and an edit that fixes it, if one is safe."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

from flowpack.errors import Location


class Severity(enum.Enum):
    """An error fails when the flow is built, deployed or called. A warning may fail. ``--strict`` fails for both."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Rule:
    """``code`` is stable: ``FP`` and three digits, the first of which is the group. ``name`` is for people and pages.

    Reports do not show the line that a rule ``about_secrets`` finds.
    """

    code: str
    name: str
    severity: Severity
    summary: str
    about_secrets: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """Replaces whole lines ``first`` to ``last`` (from 1, both included) of a file; it must not change what runs."""

    path: Path
    first: int
    last: int
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    rule: Rule
    message: str
    location: Location
    hint: str | None = None
    fix: Edit | None = None
