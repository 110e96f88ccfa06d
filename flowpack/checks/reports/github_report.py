"""Workflow commands: GitHub shows each finding at its line in the pull request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flowpack.checks.findings import Finding
from flowpack.checks.pages import page_url
from flowpack.checks.places import relative_path
from flowpack.quoting import github_data, github_property


def render(findings: Sequence[Finding], *, root: Path) -> str:
    return "\n".join(_command(finding, root) for finding in findings)


def _command(finding: Finding, root: Path) -> str:
    rule, where = finding.rule, finding.location
    properties: dict[str, object] = {"file": relative_path(where.path, root)}
    if where.line is not None:
        properties["line"] = where.line
        properties |= {"col": where.column} if where.column is not None else {}
    properties["title"] = f"{rule.code} {rule.name}"
    written = ",".join(f"{name}={github_property(str(value))}" for name, value in properties.items())
    text = "\n".join(filter(None, [finding.message, finding.hint and f"hint: {finding.hint}", page_url(rule.code)]))
    return f"::{rule.severity.value} {written}::{github_data(text)}"
