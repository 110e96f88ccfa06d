"""Findings as files outside this machine name them: paths from the root, lines by their text, fingerprints."""

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
    """From ``root``, with slashes. What lies outside it keeps its ``..``."""
    try:
        return Path(os.path.relpath(path, root)).as_posix()
    except ValueError:  # another drive
        return path.as_posix()


def line_of(location: Location) -> str | None:
    """The line's text; None where the whole file is meant, or there is no such line."""
    if location.line is None:
        return None
    lines = file_lines(location.path)
    return lines[location.line - 1] if 0 < location.line <= len(lines) else None


def file_lines(path: Path) -> tuple[str, ...]:
    """No lines where there is no file that may be read: a finding may be about what is wrong with it."""
    try:
        status = path.stat()
        return _lines(path, status.st_mtime_ns, status.st_size)
    except OSError:  # missing, or a folder
        return ()


@lru_cache(maxsize=64)
def _lines(path: Path, _modified: int, _size: int) -> tuple[str, ...]:
    """Kept, since findings ask for the same few files again and again; a fix writes them anew in between."""
    try:
        content = read_bytes(path, limit=LOCK_BYTES, within=[project_root(path.absolute().parent)])
    except InputError:
        return ()
    return tuple(content.decode("utf-8-sig", "replace").split("\n"))


def mark_of(finding: Finding, root: Path) -> str:
    """Stays while lines move and their indentation changes; goes when the line's text or the file's name does.

    A digest, since the line may be the one that holds a secret. A whole file's finding goes by its message.
    """
    line = line_of(finding.location)
    text = finding.message if line is None else " ".join(line.split())
    parts = (finding.rule.code, relative_path(finding.location.path, root), text)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def fingerprints(findings: Sequence[Finding], root: Path) -> list[str]:
    """One for each finding, no two alike: equal ones are numbered as they come."""
    seen: Counter[str] = Counter()
    numbered = []
    for finding in findings:
        mark = mark_of(finding, root)
        seen[mark] += 1
        numbered.append(f"{mark}-{seen[mark]}")
    return numbered
