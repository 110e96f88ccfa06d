"""Recognises version control data by its name, in each form that a file system accepts, and by a folder's content.

A repository has more than the files of one commit: remotes with credentials, earlier versions, other branches. None of
it may reach an image, whether it is called ``.git`` or ``.GIT``, is a bare repository, or is the target of a link.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

NAMES = frozenset({".git", ".hg", ".svn", ".bzr", ".jj"})
_IGNORED_BY_HFS = dict.fromkeys((*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF))
_OF_GIT = ("HEAD", "objects", "refs")


def is_version_control(name: str) -> bool:
    """Judges by name, also as file systems read it that ignore case, trailing dots or some characters."""
    if name.isascii() and not name.startswith(".") and "~" not in name:
        return False
    plain = (name if name.isascii() else name.translate(_IGNORED_BY_HFS)).casefold().rstrip(". ")
    return plain in NAMES or plain == "git~1"


def is_repository(folder: str) -> bool:
    """Whether git accepts the folder itself as a repository: a bare one, or a renamed ``.git``."""
    return all(os.path.exists(f"{folder}/{name}") for name in _OF_GIT)  # noqa: PTH110  (one of thousands)


def part_of_version_control(path: Path, roots: Sequence[Path]) -> Path | None:
    """The version control folder or file, below the roots, that a path with links resolved is or is inside of."""
    parts: Iterable[Path] = (path, *path.parents)
    for each in parts:
        if each in roots:
            return None
        if is_version_control(each.name) or is_repository(str(each)):
            return each
    return None
