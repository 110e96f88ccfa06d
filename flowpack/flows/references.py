"""Reads ``${env:NAME}`` and ``${file:PATH}`` as promptflow does in a sample and in a prompty's front matter."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flowpack.documents.json_documents import parse_json
from flowpack.documents.yaml_documents import Value, read_document
from flowpack.errors import InputError
from flowpack.reading import DOCUMENT_BYTES, Roots, read_text

_REFERENCE = re.compile(r"\$\{(\w+):(.*)\}")  # matched only at the start of a text


class MissingFileError(InputError):
    """A reference names a file that the standalone folder does not have."""

    path = ""

    @classmethod
    def at(cls, value: Value, path: str) -> MissingFileError:
        error = cls(
            f"'{path}' is not in the standalone folder",
            location=value.location,
            hint="paths are relative to the flow file; a file of another folder needs an additional include",
        )
        error.path = path
        return error


def with_files(value: Value, find: Callable[[str], Path | None]) -> Any:
    """The value's data with each ``${file:PATH}`` replaced by the content of the file that ``find`` returns."""

    def resolve(data: Any) -> Any:
        if isinstance(data, dict):
            return {key: resolve(each) for key, each in data.items()}
        if isinstance(data, list):
            return [resolve(each) for each in data]
        match = _REFERENCE.match(data) if isinstance(data, str) else None
        if not match or match[1] != "file":
            return data
        path = find(match[2])
        if path is None:
            raise MissingFileError.at(value, match[2])
        return read_data(path, value.document.within)

    return resolve(value.data)


def read_data(path: Path, within: Roots | None) -> Any:
    """The file's content, read by its suffix as promptflow does: JSON, YAML or text."""
    if path.suffix.lower() in {".yaml", ".yml"}:
        return read_document(path, within=within).root.data
    text = read_text(path, limit=DOCUMENT_BYTES, within=within)
    return parse_json(text, path) if path.suffix.lower() == ".json" else text


def environment_names(data: Any) -> Iterator[str]:
    """The variables that the data refers to."""
    if isinstance(data, (dict, list)):
        for each in data.values() if isinstance(data, dict) else data:
            yield from environment_names(each)
    elif isinstance(data, str) and (match := _REFERENCE.match(data)) and match[1] == "env":
        yield match[2]
