"""Logging commands: Azure Pipelines lists each finding among the run's issues."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flowpack.checks.findings import Finding
from flowpack.checks.pages import page_url
from flowpack.checks.places import relative_path
from flowpack.quoting import azure_data, azure_property


def render(findings: Sequence[Finding], *, root: Path) -> str:
    return "\n".join(_command(finding, root) for finding in findings)


def _command(finding: Finding, root: Path) -> str:
    rule, where = finding.rule, finding.location
    properties: dict[str, object] = {"type": rule.severity.value, "sourcepath": relative_path(where.path, root)}
    if where.line is not None:
        properties["linenumber"] = where.line
        properties |= {"columnnumber": where.column} if where.column is not None else {}
    properties["code"] = rule.code
    written = ";".join(f"{name}={azure_property(str(value))}" for name, value in properties.items())
    parts = [f"{rule.name}: {finding.message}", finding.hint and f"hint: {finding.hint}", page_url(rule.code)]
    text = "\n".join(filter(None, parts))
    return f"##vso[task.logissue {written};]{azure_data(text)}"
