"""Reads the parts of a prompty: YAML front matter between lines of dashes, and the prompt template below it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from flowpack.documents.yaml_documents import Document, read_document, read_text
from flowpack.errors import InputError, Location, YamlError
from flowpack.flows.references import with_files
from flowpack.flows.resolve import standalone_source
from flowpack.reading import Roots

_DASHES_AT_AN_END = re.compile(r"---\r?\n")
_LINE_OF_DASHES = re.compile(r"(?<!-)-{3,}\r?$", re.MULTILINE)


def read_front_matter(path: Path, within: Roots) -> Document:
    """The YAML part as a document. Its lines and columns are those of the whole file."""
    text = read_text(path, within)
    parts = find_parts(text)
    if parts is None:
        hint = "begin the prompty with YAML between two lines of dashes:\n        ---\n        model: ...\n        ---"
        raise InputError("the file has no front matter", location=Location(path, 1), hint=hint)
    before = "\n" * text.count("\n", 0, parts.front.start)
    try:
        return read_document(path, before + text[parts.front], within=within)
    except YamlError as error:
        found = islice(_LINE_OF_DASHES.finditer(text, parts.front.start), 2)
        dashes = [text.count("\n", 0, match.start()) + 1 for match in found]
        if len(dashes) < 2 or error.location is None or (error.location.line or 0) < dashes[0]:
            raise
        raise YamlError(
            "promptflow reads the front matter up to the last line of dashes, but the template has one",
            location=Location(path, dashes[1]),
            hint="write this line of the template differently: ***, for example",
        ) from error


class Parts(NamedTuple):
    """Where a prompty's front matter is in its text, and where its template begins."""

    front: slice
    template: int


def find_parts(text: str) -> Parts | None:
    """The parts that promptflow finds with ``-{3,}\\r?\\n(.*)-{3,}\\r?\\n``, up to the last line that ends in dashes.

    Searching from both ends avoids the quadratic time that this expression takes for a text of dashes.
    """
    opening = _DASHES_AT_AN_END.search(text)
    if opening is None:
        return None
    starts = [text.rfind(f"---{end}", opening.end()) for end in ("\n", "\r\n")]
    closing = max(starts)
    if closing < 0:
        return None
    return Parts(slice(opening.end(), closing), text.index("\n", closing) + 1)


def model_configuration(document: Document) -> Mapping[str, Any]:
    """``model.configuration``, with the content of the files beside the prompty that it refers to."""
    model = document.root.mapping().get("model")
    data = with_files(model, lambda path: standalone_source(document.path.parent, (), path)) if model else None
    configuration = data.get("configuration") if isinstance(data, dict) else None
    return configuration if isinstance(configuration, dict) else {}
