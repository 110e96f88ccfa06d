"""SARIF 2.1.0, as GitHub code scanning, Azure DevOps and editors read it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowpack import __version__
from flowpack.checks.findings import Edit, Finding, Rule
from flowpack.checks.pages import page_url
from flowpack.checks.places import fingerprints, relative_path
from flowpack.quoting import json_text, uri_path

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "SRCROOT"


def render(findings: Sequence[Finding], *, root: Path) -> str:
    rules = sorted({finding.rule for finding in findings}, key=lambda rule: rule.code)
    marks = fingerprints(findings, root)
    run = {
        "tool": {"driver": {"name": "flowpack", "version": __version__, "rules": [_rule(rule) for rule in rules]}},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The top of the checkout."}}},
        "results": [
            _result(finding, rules.index(finding.rule), mark, root)
            for finding, mark in zip(findings, marks, strict=True)
        ],
    }
    return json_text({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(rule: Rule) -> dict[str, Any]:
    url = page_url(rule.code)
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        **({"helpUri": url} if url else {}),
        "defaultConfiguration": {"level": rule.severity.value},
    }


def _result(finding: Finding, rule_index: int, mark: str, root: Path) -> dict[str, Any]:
    where = finding.location
    place: dict[str, Any] = {"artifactLocation": _artifact(where.path, root)}
    if where.line is not None:
        place["region"] = {"startLine": where.line, **({"startColumn": where.column} if where.column else {})}
    result = {
        "ruleId": finding.rule.code,
        "ruleIndex": rule_index,
        "level": finding.rule.severity.value,
        "message": {"text": finding.message + (f"\nhint: {finding.hint}" if finding.hint else "")},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"flowpack/v1": mark},
    }
    return result | ({"fixes": [_fix(finding.fix, root)]} if finding.fix else {})


def _fix(edit: Edit, root: Path) -> dict[str, Any]:
    """The region ends at the start of the next line, so that a fix can delete whole lines."""
    region = {"startLine": edit.first, "startColumn": 1, "endLine": edit.last + 1, "endColumn": 1}
    inserted = "".join(f"{line}\n" for line in edit.lines)
    replacement = {"deletedRegion": region, "insertedContent": {"text": inserted}}
    return {"artifactChanges": [{"artifactLocation": _artifact(edit.path, root), "replacements": [replacement]}]}


def _artifact(path: Path, root: Path) -> dict[str, str]:
    relative = relative_path(path, root)
    if relative.startswith("../") or Path(relative).is_absolute():
        return {"uri": path.absolute().as_uri()}
    return {"uri": uri_path(relative), "uriBaseId": _ROOT}
