"""Comments that take a finding back, in YAML, Python, requirements and Jinja alike.

::

    api_key: ${env:KEY}  # flowpack: ignore[FP401]

``ignore`` counts for its own line, and where it stands alone on a line for the next one that is no such comment;
``ignore-file`` for the file, from any line. Codes are named, or how several begin: a comment that hid everything would
hide what nobody has seen yet. What has no comments (JSON, data) is left to ``--ignore`` and the baseline.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from flowpack.checks.findings import Finding
from flowpack.checks.places import file_lines

_COMMENT = re.compile(
    r"(?:^|(?<=\s))(?:#|\{#-?)\s*flowpack:\s*ignore(?P<file>-file)?\[(?P<codes>[A-Za-z0-9,\s]+)\](?:\s*-?#\})?"
)


def unsuppressed(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(finding for finding in findings if not is_suppressed(finding))


def is_suppressed(finding: Finding) -> bool:
    lines = file_lines(finding.location.path)
    codes = {code for line in lines if "flowpack:" in line for code in _codes(line, whole_file=True)}
    number = finding.location.line
    if number is not None and 0 < number <= len(lines):
        codes |= _codes(lines[number - 1])
        above = number - 2
        while above >= 0 and _stands_alone(lines[above]):
            codes |= _codes(lines[above])
            above -= 1
    return any(finding.rule.code.startswith(code) for code in codes)


def _codes(line: str, *, whole_file: bool = False) -> set[str]:
    comments = (match for match in _COMMENT.finditer(line) if bool(match["file"]) is whole_file)
    return {code.strip().upper() for match in comments for code in match["codes"].split(",") if code.strip()}


def _stands_alone(line: str) -> bool:
    return _COMMENT.match(line.strip()) is not None
