"""Findings as a document: for a person, for another program, or in a CI service's own terms.

Each module has ``render(findings, *, root)``. Paths are written from ``root``, the folder that the service knows as the
checkout. The findings come in the order in which they are to be shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from flowpack.checks.findings import Finding

FORMATS = ("text", "json", "sarif", "junit", "github", "azure-pipelines", "gitlab")


def render(format_: str, findings: Sequence[Finding], *, root: Path) -> str:
    """``format_`` is one of FORMATS. Without a newline at its end; empty where a format has nothing to say."""
    module = import_module(f"flowpack.checks.reports.{format_.replace('-', '_')}_report")
    text: str = module.render(findings, root=root)
    return text
