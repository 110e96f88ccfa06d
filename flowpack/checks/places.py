"""Describes findings independently of this machine: relative paths, the text of lines, fingerprints."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from flowpack.errors import InputError, Location
from flowpack.reading import LOCK_BYTES, project_root, read_bytes

if TYPE_CHECKING:
    from flowpack.checks.findings import Finding


def relative_path(path: Path, root: Path) -> str:
    """Relative to ``root``, with slashes. A path outside it starts with ``..``."""
    try:
        return Path(os.path.relpath(path, root)).as_posix()
    except ValueError:  # another drive
        return path.as_posix()


def line_of(location: Location) -> str | None:
    """The line's text; None if the location is the whole file, or the line does not exist."""
    if location.line is None:
        return None
    lines = file_lines(location.path)
    return lines[location.line - 1] if 0 < location.line <= len(lines) else None


def file_lines(path: Path) -> tuple[str, ...]:
    """Empty if the file is missing or may not be read: a finding may be about just that."""
    try:
        status = path.stat()
        return _lines(path, status.st_mtime_ns, status.st_size)
    except OSError:  # missing, or a folder
        return ()


@lru_cache(maxsize=64)
def _lines(path: Path, _modified: int, _size: int) -> tuple[str, ...]:
    """Cached, because findings ask for the same few files again and again. A fix changes a file's time and size."""
    try:
        content = read_bytes(path, limit=LOCK_BYTES, within=[project_root(path.absolute().parent)])
    except InputError:
        return ()
    return tuple(content.decode("utf-8-sig", "replace").split("\n"))


def mark_of(finding: Finding, root: Path) -> str:
    """Stays the same if lines move or are indented, and changes with the line's text or the file's name.

    It is a digest, because the line may contain a secret. For a whole file, it uses the message instead of a line.
    """
    line = line_of(finding.location)
    text = finding.message if line is None else " ".join(line.split())
    parts = (finding.rule.code, relative_path(finding.location.path, root), text)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def fingerprints(findings: Sequence[Finding], root: Path) -> list[str]:
    """A unique fingerprint for each finding. Equal marks are numbered in order."""
    seen: Counter[str] = Counter()
    numbered = []
    for finding in findings:
        mark = mark_of(finding, root)
        seen[mark] += 1
        numbered.append(f"{mark}-{seen[mark]}")
    return numbered
