"""What every command writes: its answer to stdout, everything else to stderr."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from flowpack.errors import FlowpackError
from flowpack.quoting import json_text, log_text

_STYLES: dict[str, dict[str, Any]] = {
    "error: ": {"fg": "red", "bold": True, "reset": True},
    "warning: ": {"fg": "yellow"},
    "hint: ": {"fg": "cyan"},
}
_THOUSAND = 1000
_MINUTE = 60


def show(text: str) -> None:
    """Writes to stderr. Other programs' logs go this way too: none of it steers a terminal or a CI service."""
    for line in styled_lines(text):
        click.echo(line, err=True, color=False if os.environ.get("NO_COLOR") else None)


def styled_lines(text: str) -> Iterator[str]:
    """Each line with the colour of what it begins with; click takes colours away where there is no terminal."""
    for line in log_text(text).split("\n"):
        start = next((word for word in _STYLES if line.startswith(word)), None)
        yield (click.style(start, **_STYLES[start]) if start else "") + line.removeprefix(start or "")


def readable(size: float) -> str:
    """Bytes in decimal units, as Docker and registries count them."""
    for unit in ("B", "kB", "MB"):
        if size < _THOUSAND:
            return f"{size:.3g} {unit}"
        size /= _THOUSAND
    return f"{size:,.1f} GB"


def duration(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    return f"{seconds // _MINUTE:.0f} min {seconds % _MINUTE:.0f} s"


def answer(document: Mapping[str, Any], text: str, as_json: bool) -> None:
    """``text`` is JSON, or lines for a person and a script."""
    click.echo(json_text(document) if as_json else log_text(text))


def table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    every = [titles, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(titles))]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in every)
    return "\n".join(line.rstrip() for line in lines)


def error_document(error: FlowpackError) -> str:
    return json_text(error.to_dict())
