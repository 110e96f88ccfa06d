"""Inputs of a flow on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from flowpack.cli.options import EXISTING_FILE, assignments, option_group
from flowpack.documents.json_documents import parse_json
from flowpack.errors import InputError, Location
from flowpack.reading import RECORD_BYTES, read_text


@dataclass(frozen=True, kw_only=True, slots=True)
class InputOptions:
    inputs: tuple[str, ...]
    file: Path | None

    def given(self) -> dict[str, Any]:
        """The file's inputs and, before them, those of ``--input``."""
        given: dict[str, Any] = {}
        if self.file is not None:
            given = parse_json(read_text(self.file, limit=RECORD_BYTES, within=None), self.file)
            if not isinstance(given, dict):
                raise InputError("expected an object of inputs", location=Location(self.file))
        return given | {name: _value(text) for name, text in assignments(self.inputs, "--input").items()}


input_options = option_group(
    "input_options",
    InputOptions,
    click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input, JSON or text. Repeatable."),
    click.option("--inputs", "file", type=EXISTING_FILE, help="Inputs as JSON."),
)


def _value(text: str) -> Any:
    try:
        return parse_json(text, Path("--input"))
    except InputError:
        return text
