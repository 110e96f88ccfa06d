"""JSON, for the user's own programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowpack.checks.findings import Finding, Severity
from flowpack.checks.pages import page_url
from flowpack.checks.places import fingerprints, relative_path
from flowpack.quoting import json_text


def render(findings: Sequence[Finding], *, root: Path) -> str:
    marks = fingerprints(findings, root)
    document = {
        **{f"{each.value}s": sum(finding.rule.severity is each for finding in findings) for each in Severity},
        "findings": [_finding(*each, root) for each in zip(findings, marks, strict=True)],
    }
    return json_text(document)


def _finding(finding: Finding, mark: str, root: Path) -> dict[str, Any]:
    rule, where, fix = finding.rule, finding.location, finding.fix
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity.value,
        "url": page_url(rule.code),
        "message": finding.message,
        "file": relative_path(where.path, root),
        "line": where.line,
        "column": where.column,
        "hint": finding.hint,
        "fix": {"file": relative_path(fix.path, root), "first": fix.first, "last": fix.last, "lines": list(fix.lines)}
        if fix
        else None,
        "fingerprint": mark,
    }
