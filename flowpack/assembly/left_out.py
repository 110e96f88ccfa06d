"""Records which files each ignore rule left out, and which files are in because an include names them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from flowpack.assembly.ignore import Rule
from flowpack.flows.model import Include

_COUNTED_AT_MOST = 20_000
"""Entries counted in left-out folders. The numbers are only shown, so a virtual environment is not walked whole."""


@dataclass(slots=True)
class _ByOneRule:
    files: int = 0
    size: int = 0
    folders: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Count:
    """Files and bytes that a rule left out; ``whole`` is False if there are more than were counted."""

    rule: Rule
    files: int
    size: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that is in because an include names it, although ``rule`` would leave it out."""

    target: str
    include: Include
    rule: Rule


class LeftOut:
    def __init__(self) -> None:
        self._by_rule: dict[Rule, _ByOneRule] = {}
        self.kept: list[Kept] = []

    def add(self, rule: Rule, entry: os.DirEntry[str], is_folder: bool) -> None:
        so_far = self._by_rule.setdefault(rule, _ByOneRule())
        if is_folder:
            so_far.folders.append(entry.path)
        else:
            so_far.files += 1
            with suppress(OSError):  # a broken link
                so_far.size += entry.stat().st_size

    def counts(self) -> tuple[Count, ...]:
        """Counts by rule, most bytes first. Walks the left-out folders only now."""
        left = _COUNTED_AT_MOST
        counts = []
        for rule, so_far in self._by_rule.items():
            files, size, whole = so_far.files, so_far.size, True
            for file_size in _sizes_below(so_far.folders):
                if left == 0:
                    whole = False
                    break
                left -= 1
                files += 1
                size += file_size
            counts.append(Count(rule, files, size, whole))
        return tuple(sorted(counts, key=lambda count: (-count.size, str(count.rule))))


def _sizes_below(folders: list[str]) -> Iterator[int]:
    waiting = list(folders)
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    yield entry.stat(follow_symlinks=False).st_size
