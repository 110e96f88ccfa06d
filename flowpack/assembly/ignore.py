"""Decides which files of a source folder are left out of the standalone folder, and by which rule.

A source folder is the flow's, or one that an include names. The first of IGNORE_FILES in its root applies to all files
below it, with gitignore's meaning; other ignore files have no effect. Some names are always left out. A file that
``additional_includes`` names is always in, regardless of rules.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowpack.assembly.version_control import is_repository, is_version_control
from flowpack.errors import Location
from flowpack.reading import project_root, read_bytes

if TYPE_CHECKING:
    from flowpack.assembly.patterns import Patterns

IGNORE_FILES = (".flowpackignore", ".amlignore", ".gitignore")

IGNORE_BYTES = 128 * 1024

_ALWAYS_OUT = {
    **dict.fromkeys((".venv", ".tox", ".nox"), "virtual environment"),
    **dict.fromkeys(("__pycache__", ".ipynb_checkpoints", ".DS_Store"), "cache"),
    **dict.fromkeys((".pytest_cache", ".mypy_cache", ".ruff_cache"), "cache"),
    **dict.fromkeys((".runs", ".promptflow", ".azureml"), "run output"),
    **dict.fromkeys(IGNORE_FILES, "ignore file"),
}
_ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern of an ignore file, or a name that is always left out. ``keeps``: the pattern starts with ``!``."""

    pattern: str
    location: Location | None = None
    keeps: bool = False

    def __str__(self) -> str:
        return f"{self.location}: {self.pattern}" if self.location else f"always out: {self.pattern}"


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules of one source folder."""

    patterns: Patterns | None
    file: Path | None

    @classmethod
    def of(cls, folder: Path) -> IgnoreRules:
        for name in IGNORE_FILES:
            path = folder / name
            if os.path.lexists(path) and not os.path.isdir(path):  # noqa: PTH112  (only files can be read)
                return cls(_read(path), path)
        return cls(None, None)

    def why_out(self, relative: str, path: str, is_folder: bool) -> Rule | None:
        """The rule that leaves out a path whose parents are in; ``relative`` is to the source folder, with ``/``."""
        rule = self.decision(relative, path, is_folder)
        return None if rule is None or rule.keeps else rule

    def decision(self, relative: str, path: str, is_folder: bool) -> Rule | None:
        name = relative.rpartition("/")[2]
        always = why_always_out(name)
        if always is None and is_folder:
            always = _why_always_out_folder(path)
        if always:
            return Rule(always)
        if self.patterns is None or self.file is None:
            return None
        pattern = self.patterns.last_match(relative, is_folder)
        return Rule(pattern.text, Location(self.file, pattern.line), pattern.keeps) if pattern else None

    def why_left_out(self, folder: Path, relative: str) -> Rule | None:
        """The rule that leaves out a path in ``folder`` or one of its parent folders."""
        parts = relative.split("/")
        for end in range(1, len(parts) + 1):
            path = folder.joinpath(*parts[:end])
            rule = self.why_out("/".join(parts[:end]), str(path), path.is_dir())
            if rule:
                return rule
        return None


def why_always_out(name: str) -> str | None:
    if name.startswith(".env"):
        return ".env*"
    if name.endswith((".pyc", ".pyo", ".pyd")):
        return "cache"
    if is_version_control(name):
        return "version control"
    return _ALWAYS_OUT.get(name)


def _why_always_out_folder(path: str) -> str | None:
    if _is_environment(path):
        return "virtual environment"
    return "version control" if is_repository(path) else None


def _is_environment(folder: str) -> bool:
    return any(os.path.exists(f"{folder}/{mark}") for mark in _ENVIRONMENT_MARKS)  # noqa: PTH110  (one of thousands)


def _read(path: Path) -> Patterns:
    from flowpack.assembly.patterns import Patterns  # noqa: PLC0415  (pathspec and RE2: many flows need neither)

    return Patterns(read_bytes(path, limit=IGNORE_BYTES, within=[project_root(path.parent)]), path)
