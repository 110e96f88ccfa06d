"""Inputs of a flow on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flowpack.cli.options import assignments, together
from flowpack.documents.json_documents import parse_json
from flowpack.errors import InputError, Location
from flowpack.reading import RECORD_BYTES, read_text

input_options = together(
    click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input, JSON or text. Repeatable."),
    click.option(
        "--inputs", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Inputs as JSON."
    ),
)


def given_inputs(file: Path | None, pairs: tuple[str, ...]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if file is not None:
        text = read_text(file, limit=RECORD_BYTES, within=None)
        given = parse_json(text, file)
        if not isinstance(given, dict):
            raise InputError("expected an object of inputs", location=Location(file))
    return given | {name: _value(text) for name, text in assignments(pairs, "--input").items()}


def _value(text: str) -> Any:
    try:
        return parse_json(text, Path("--input"))
    except InputError:
        return text
