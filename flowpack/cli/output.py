"""What every command does with its answer and its narration: stdout is the answer, stderr the narration."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click

from flowpack.errors import FlowpackError
from flowpack.quoting import json_text, log_text

_PATIENCE = 1.0  # seconds after which something says that it goes on
_BETWEEN = 0.1
_WIDTH = 30


_STYLES: dict[str, dict[str, Any]] = {
    "error: ": {"fg": "red", "bold": True, "reset": True},
    "warning: ": {"fg": "yellow"},
    "hint: ": {"fg": "cyan"},
}


def narrate(text: str) -> None:
    """Everything that goes to stderr, other programs' logs included: none of it steers a terminal or a CI service."""
    for line in log_text(text).split("\n"):
        start = next((word for word in _STYLES if line.startswith(word)), None)
        click.echo((click.style(start, **_STYLES[start]) if start else "") + line.removeprefix(start or ""), err=True)


def narrator(quiet: bool) -> Callable[[str], None]:
    """``--quiet`` leaves warnings."""
    if not quiet:
        return narrate
    return lambda line: narrate(line) if line.startswith("warning: ") else None


@contextlib.contextmanager
def progress_line(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A line on a terminal for what takes longer than a second; it goes away when it is done."""
    if quiet or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from flowpack.cli.left_out_view import readable  # noqa: PLC0415  (only a terminal needs it)

    began = shown = 0.0
    doing = ""

    def tell(what: str, done: int, total: int) -> None:
        nonlocal began, shown, doing
        now = time.monotonic()
        if what != doing:
            doing, began = what, now
        if now - began < _PATIENCE or now - shown < _BETWEEN:
            return
        shown = now
        bar = "━" * (_WIDTH * done // max(total, 1))
        click.echo(
            f"\r\x1b[K{log_text(what)} {bar:╌<{_WIDTH}} {readable(done)} of {readable(total)}", err=True, nl=False
        )

    try:
        yield tell
    finally:
        if shown:
            click.echo("\r\x1b[K", err=True, nl=False)


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
