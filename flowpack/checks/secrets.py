"""Secrets in files that ship with a flow, each with its place and nothing of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flowpack.errors import InputError, Location
from flowpack.reading import Roots, read_bytes
from flowpack.secret_forms import find_secrets

LOOKED_AT = 1024 * 1024
"""Bytes of a file; what is larger is data."""

_NAMES_INDEXES = re.compile(
    r"(?:.*requirements.*|.*constraints.*)\.(?:txt|in|lock)|pip\.(?:conf|ini)|\.pypirc|uv\.toml|pyproject\.toml|.*\.lock"
    r"|(?:conda|environment|env).*\.ya?ml|\.condarc|\.?_?netrc",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Secret:
    kind: str
    location: Location


def names_indexes(name: str) -> bool:
    """Whether a file of the name says where packages come from: there a user alone is a token."""
    return _NAMES_INDEXES.fullmatch(name) is not None


def secrets_in_file(path: Path, within: Roots) -> Iterator[Secret]:
    """One a line; nothing of the secret itself is handed on."""
    try:
        data = read_bytes(path, limit=LOOKED_AT, within=within)
    except InputError:
        return
    if b"\0" not in data[:1024]:
        yield from secrets_in(data, path)


def secrets_in(data: bytes, path: Path) -> Iterator[Secret]:
    told = counted = 0
    line = 1
    for start, kind in find_secrets(data, names_indexes=names_indexes(path.name)):
        line += data.count(b"\n", counted, start)
        counted = start
        if line != told:
            told = line
            yield Secret(kind, Location(path, line, start - data.rfind(b"\n", 0, start)))
