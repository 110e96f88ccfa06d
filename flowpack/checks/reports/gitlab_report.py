"""GitLab's code quality report: a merge request shows the findings that it adds and fixes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowpack.checks.findings import Finding, Rule, Severity
from flowpack.checks.pages import page_url
from flowpack.checks.places import fingerprints, relative_path
from flowpack.quoting import json_text

_SEVERITIES = {Severity.ERROR: "major", Severity.WARNING: "minor"}


def render(findings: Sequence[Finding], *, root: Path) -> str:
    issues = [
        {
            "description": finding.message + (f" (hint: {finding.hint})" if finding.hint else ""),
            "check_name": finding.rule.code,
            **_content(finding.rule),
            "fingerprint": mark,
            "severity": _SEVERITIES[finding.rule.severity],
            "location": {
                "path": relative_path(finding.location.path, root),
                "lines": {"begin": finding.location.line or 1},
            },
        }
        for finding, mark in zip(findings, fingerprints(findings, root), strict=True)
    ]
    return json_text(issues)


def _content(rule: Rule) -> dict[str, Any]:
    """An explanation in Markdown, where the Code Climate format expects it."""
    url = page_url(rule.code)
    return {"content": {"body": f"[{rule.code} {rule.name}]({url})"}} if url else {}
