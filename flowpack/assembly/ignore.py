"""Which files of a source folder stay out of the standalone folder, and by which rule."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from flowpack.errors import InputError, Location

IGNORE_FILES = (".flowpackignore", ".amlignore", ".gitignore")
"""The first of these in a source folder's root rules over that folder's files, with gitignore's meaning."""

ALWAYS_OUT = (
    *(".git", ".hg", ".svn"),
    *("__pycache__", "*.py[cod]", ".ipynb_checkpoints", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".DS_Store"),
    *(".venv", ".env", ".env.*"),
    *(".runs", ".promptflow", ".azureml"),
    *IGNORE_FILES,
)
"""Version control, caches, environments, secrets of a workstation, output of runs: out unless an include names them."""


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules of one source folder. Paths are relative to it, with ``/``."""

    always: GitIgnoreSpec
    own: GitIgnoreSpec
    file: str | None

    @classmethod
    def of(cls, folder: Path) -> IgnoreRules:
        for name in IGNORE_FILES:
            path = folder / name
            if path.is_file():
                return cls(_always_out(), _read(path), name)
        return cls(_always_out(), GitIgnoreSpec(()), None)

    def why_out(self, relative: str, path: Path) -> str | None:
        """The rule that leaves the path out; None where it stays in."""
        is_folder = path.is_dir()
        asked = relative + "/" if is_folder else relative
        if self.always.match_file(asked) or (is_folder and (path / "pyvenv.cfg").is_file()):
            return "always left out"
        return self.file if self.own.match_file(asked) else None


def _always_out() -> GitIgnoreSpec:
    return GitIgnoreSpec.from_lines(ALWAYS_OUT)


def _read(path: Path) -> GitIgnoreSpec:
    try:
        return GitIgnoreSpec.from_lines(path.read_text(encoding="utf-8-sig").splitlines())
    except (ValueError, OSError) as error:
        raise InputError(f"cannot be read as ignore rules: {error}", location=Location(path)) from error
