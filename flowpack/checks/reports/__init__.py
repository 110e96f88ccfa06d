"""Formats findings for people, for programs, and for CI services.

Each module has ``render(findings, *, root)``. Paths are relative to ``root``, the folder that the service knows as the
checkout. Findings are shown in the order in which they are passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from flowpack.checks.findings import Finding

FORMATS = ("text", "json", "sarif", "junit", "github", "azure-pipelines", "gitlab")


def render(format_: str, findings: Sequence[Finding], *, root: Path) -> str:
    """``format_`` is one of FORMATS. The text does not end with a newline. It is empty if there is nothing to say."""
    module = import_module(f"flowpack.checks.reports.{format_.replace('-', '_')}_report")
    text: str = module.render(findings, root=root)
    return text
