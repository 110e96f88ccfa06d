"""Text for people: each finding's place and problem, the line with a mark below it, and the hint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from flowpack.checks.findings import Finding, Severity
from flowpack.checks.pages import page_url
from flowpack.checks.places import line_of, relative_path
from flowpack.errors import scrub
from flowpack.quoting import log_text, one_line

_WIDEST = 160
"""Columns shown of a line. A flow file may have a whole document on one line."""


def render(findings: Sequence[Finding], *, root: Path) -> str:
    lines = [line for finding in findings for line in _lines(finding, root)]
    return log_text("\n".join([*lines, *_pages(findings), summary(findings)] if findings else []))


def summary(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.rule.severity for finding in findings)
    parts = [_counted(counts[severity], severity.value) for severity in Severity if counts[severity]]
    files = len({finding.location.path for finding in findings})
    text = f"{' and '.join(parts)} in {_counted(files, 'file')}" if parts else "nothing found"
    mended = sum(finding.fix is not None for finding in findings)
    return text + (f"; --fix can fix {mended} of them" if mended else "")


def _pages(findings: Sequence[Finding]) -> Iterator[str]:
    """One line for each rule: a hundred findings are often about five rules."""
    for code in sorted({finding.rule.code for finding in findings}):
        yield f"{code}: {page_url(code) or f'flowpack check --explain {code}'}"
    yield ""


def _lines(finding: Finding, root: Path) -> Iterator[str]:
    rule, where = finding.rule, finding.location
    first, *rest = finding.message.splitlines() or [""]
    yield f"{_place(finding, root)}: {rule.severity.value} {rule.code} {rule.name}: {first}"
    yield from (f"    {line}" for line in rest)
    line = line_of(where)
    if line is not None and line.strip() and _may_be_shown(line, finding):
        number = str(where.line)
        yield f"  {number} | {_cut(line)}"
        if where.column is not None and where.column <= min(len(line) + 1, _WIDEST):
            yield f"  {' ' * len(number)} | {_blank(line[: where.column - 1])}^"
    if finding.hint:
        yield f"  hint: {finding.hint}"
    yield ""


def _may_be_shown(line: str, finding: Finding) -> bool:
    """False if the finding is about a secret, or about something else on a line that contains one."""
    return not finding.rule.about_secrets and scrub(line) == line


def _place(finding: Finding, root: Path) -> str:
    where = finding.location
    numbers = (str(number) for number in (where.line, where.column) if number is not None)
    return ":".join((one_line(relative_path(where.path, root)), *numbers))


def _cut(line: str) -> str:
    line = "".join(each if each.isprintable() or each == "\t" else "�" for each in line.rstrip())
    return line if len(line) <= _WIDEST else line[: _WIDEST - 1] + "…"


def _blank(before: str) -> str:
    """Blanks as wide as the text. A tab stays a tab."""
    return "".join("\t" if character == "\t" else " " for character in before)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
