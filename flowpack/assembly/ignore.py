"""Which files of a source folder stay out of the standalone folder, and by which rule."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowpack.errors import InputError, Location

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILES = (".flowpackignore", ".amlignore", ".gitignore")
"""The first of these in a source folder's root rules over that folder's files, with gitignore's meaning."""

_ALWAYS_OUT = {
    *(".git", ".hg", ".svn"),
    *("__pycache__", ".ipynb_checkpoints", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".DS_Store"),
    *(".venv", ".env"),
    *(".runs", ".promptflow", ".azureml"),
    *IGNORE_FILES,
}
_PREFIXES_ALWAYS_OUT = (".env.",)
_SUFFIXES_ALWAYS_OUT = (".pyc", ".pyo", ".pyd")


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules of one source folder. Paths are relative to it, with ``/``."""

    own: GitIgnoreSpec | None
    file: str | None

    @classmethod
    def of(cls, folder: Path) -> IgnoreRules:
        for name in IGNORE_FILES:
            path = folder / name
            if path.is_file():
                return cls(_read(path), name)
        return cls(None, None)

    def why_out(self, relative: str, path: Path) -> str | None:
        """The rule that leaves the path out; None where it stays in."""
        is_folder = path.is_dir()
        if is_always_out(path.name) or (is_folder and (path / "pyvenv.cfg").is_file()):
            return "always left out"
        if self.own is not None and self.own.match_file(relative + "/" if is_folder else relative):
            return self.file
        return None


def is_always_out(name: str) -> bool:
    """Version control, caches, environments, secrets of a workstation, output of runs."""
    return name in _ALWAYS_OUT or name.startswith(_PREFIXES_ALWAYS_OUT) or name.endswith(_SUFFIXES_ALWAYS_OUT)


def _read(path: Path) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec  # noqa: PLC0415  (a flow without an ignore file does without)

    try:
        return GitIgnoreSpec.from_lines(path.read_text(encoding="utf-8-sig").splitlines())
    except (ValueError, OSError) as error:
        raise InputError(f"cannot be read as ignore rules: {error}", location=Location(path)) from error
