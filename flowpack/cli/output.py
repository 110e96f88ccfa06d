"""What every command does with its answer and its narration: stdout is the answer, stderr the narration."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import click

from flowpack.errors import FlowpackError


def narrate(line: str) -> None:
    if line.startswith("warning: "):
        line = click.style("warning: ", fg="yellow") + line.removeprefix("warning: ")
    click.echo(line, err=True)


def narrator(quiet: bool) -> Callable[[str], None]:
    """``--quiet`` leaves warnings."""
    if not quiet:
        return narrate
    return lambda line: narrate(line) if line.startswith("warning: ") else None


def answer(document: Mapping[str, Any], text: str, as_json: bool) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False) if as_json else text)


def error_document(error: FlowpackError) -> str:
    return json.dumps(error.to_dict(), indent=2, ensure_ascii=False)
