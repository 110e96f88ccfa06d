"""Comments that suppress a finding, in YAML, Python, requirements and Jinja.

::

    api_key: ${env:KEY}  # flowpack: ignore[FP401]

``ignore`` applies to its own line and, if it is alone on the line, to the next line that is not such a comment.
``ignore-file`` applies to the whole file, from any line. A comment must name codes or the beginning of codes, because
one that hid everything would hide future findings too. Files without comments (JSON, data) need ``--ignore`` or the
baseline.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowpack.checks.places import file_lines
from flowpack.errors import Location

if TYPE_CHECKING:
    from flowpack.checks.findings import Finding

_COMMENT = r"(?:^|(?<=\s))(?:#|\{#-?)\s*flowpack:\s*ignore(?P<file>-file)?\[(?P<codes>[A-Za-z0-9,\s]+)\](?:\s*-?#\})?"


def unsuppressed(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    known = tuple(findings)
    codes = {finding.rule.code for finding in known}
    beginnings = frozenset[str]().union(*map(_beginnings, codes))
    files: dict[Path, _Suppressed] = {}
    for path in dict.fromkeys(finding.location.path for finding in known):
        files[path] = _suppressed(file_lines(path), beginnings)
    return tuple(each for each in known if not files[each.location.path].has(each.rule.code, each.location))


def is_suppressed(code: str, location: Location) -> bool:
    return _suppressed(file_lines(location.path), _beginnings(code)).has(code, location)


def _beginnings(code: str) -> frozenset[str]:
    return frozenset(code[:end] for end in range(1, len(code) + 1))


@dataclass(frozen=True, slots=True)
class _Suppressed:
    """The codes that the comments of one file name, for the whole file and by the line that they apply to."""

    everywhere: frozenset[str]
    lines: Mapping[int, frozenset[str]]

    def has(self, code: str, location: Location) -> bool:
        named = self.everywhere | self.lines.get(location.line or 0, frozenset())
        return any(code.startswith(each) for each in named)


def _suppressed(lines: Sequence[str], beginnings: frozenset[str]) -> _Suppressed:
    """Takes one pass and keeps only codes that a finding may have: a file may consist of such comments."""
    everywhere: frozenset[str] = frozenset()
    at: dict[int, frozenset[str]] = {}
    above: frozenset[str] = frozenset()
    for number, line in enumerate(lines, start=1):
        own: frozenset[str] = frozenset()
        stands_alone = False
        if "flowpack:" in line:
            everywhere |= _codes(line, whole_file=True) & beginnings
            own = _codes(line) & beginnings
            stands_alone = _stands_alone(line)
        if own or above:
            at[number] = own | above
        above = own | above if stands_alone else frozenset()
    return _Suppressed(everywhere, at)


def _codes(line: str, *, whole_file: bool = False) -> frozenset[str]:
    comments = (match for match in re.finditer(_COMMENT, line) if bool(match["file"]) is whole_file)
    return frozenset(code.strip().upper() for match in comments for code in match["codes"].split(",") if code.strip())


def _stands_alone(line: str) -> bool:
    return re.match(_COMMENT, line.strip()) is not None
