"""Applies the fixes of findings to the files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from flowpack.checks.findings import Edit, Finding
from flowpack.reading import DOCUMENT_BYTES, project_root, read_text
from flowpack.writing import replace_file


def fix(findings: Iterable[Finding]) -> int:
    """Returns how many findings are fixed. If two edits change the same line, the second waits for the next run."""
    by_path: dict[Path, list[Edit]] = {}
    for finding in findings:
        if finding.fix:
            by_path.setdefault(finding.fix.path, []).append(finding.fix)
    return sum(_edit(path, edits) for path, edits in by_path.items())


def _edit(path: Path, edits: list[Edit]) -> int:
    within = [project_root(path.absolute().parent)]
    lines = read_text(path, limit=DOCUMENT_BYTES, within=within).splitlines(keepends=True)
    made = 0
    above = len(lines) + 1
    for edit in sorted(edits, key=lambda edit: edit.first, reverse=True):
        if edit.last >= above:
            continue
        end = "\r\n" if lines[edit.first - 1].endswith("\r\n") else "\n"
        lines[edit.first - 1 : edit.last] = [line + end for line in edit.lines]
        above = edit.first
        made += 1
    replace_file(path, "".join(lines))
    return made
