"""Finds secrets in files that ship with a flow. A result has the place, but nothing of the secret itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flowpack.errors import InputError, Location
from flowpack.reading import Roots, read_bytes
from flowpack.secret_forms import find_secrets

LOOKED_AT = 1024 * 1024
"""Bytes. A larger file is data, and is not searched."""

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
    """Whether a file of this name says where packages come from. In its URLs, a user name alone is a token."""
    return _NAMES_INDEXES.fullmatch(name) is not None


def secrets_in_file(path: Path, within: Roots) -> Iterator[Secret]:
    """At most one per line. Returns nothing of the secret itself."""
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
