"""Where a file of the standalone folder may come from, and what flowpack's written policy says about it."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flowpack.documents.yaml_documents import read_document

# As docs/explanation/differences-from-pf-flow-build.md lists them.
IGNORE_FILES = (".flowpackignore", ".amlignore", ".gitignore")
_ALWAYS_OUT = {
    *(".git", ".hg", ".svn", ".venv", ".tox", ".nox", "__pycache__", ".ipynb_checkpoints", ".DS_Store"),
    *(".pytest_cache", ".mypy_cache", ".ruff_cache", ".runs", ".promptflow", ".azureml"),
}


@dataclass(frozen=True)
class Source:
    """A file below the ``root`` whose rules it is under; one that an include names is under none."""

    root: Path | None
    path: Path
    included: bool

    @cached_property
    def why_out(self) -> str | None:
        """What the written policy leaves the file out by."""
        if self.root is None:
            return None
        file = next((name for name in IGNORE_FILES if (self.root / name).is_file()), None)
        relative = self.path.relative_to(self.root)
        for above in [relative, *relative.parents][:-1]:
            if above.name in IGNORE_FILES:
                return "an ignore file"
            if _is_always_out(self.root / above):
                return "always out"
        return file if file and _git_ignores(self.root / file, relative.as_posix()) else None


def _is_always_out(path: Path) -> bool:
    marks = (path / "pyvenv.cfg", path / "conda-meta")
    compiled = path.suffix in {".pyc", ".pyo", ".pyd"}
    return compiled or path.name in _ALWAYS_OUT or path.name.startswith(".env") or any(mark.exists() for mark in marks)


def _git_ignores(rules: Path, relative: str) -> bool:
    command = ["git", "-c", f"core.excludesFile={rules}", "check-ignore", "--no-index", "--quiet", "--", relative]
    return subprocess.run(command, cwd=_empty_repository().name, check=False).returncode == 0


@functools.cache
def _empty_repository() -> tempfile.TemporaryDirectory[str]:
    """Where git knows of no other rules."""
    folder = tempfile.TemporaryDirectory(prefix="flowpack-")
    subprocess.run(["git", "init", "--quiet", folder.name], check=True)
    return folder


def includes_of(flow_file: Path) -> list[Path]:
    """Each include's path, with links followed as promptflow follows them; it takes none of a prompty's."""
    if flow_file.suffix == ".prompty":
        return []
    listed = read_document(flow_file, within=None).root.data.get("additional_includes") or []
    return [Path(each) if Path(each).is_absolute() else (flow_file.parent / each).resolve() for each in listed]


def made_zips(flow_file: Path) -> list[Path]:
    """The folders that promptflow makes archives of."""
    zips = [path for path in includes_of(flow_file) if path.suffix == ".zip" and not path.exists()]
    return [path.with_suffix("") for path in zips if path.with_suffix("").is_dir()]


def sources_of(target: str, flow_file: Path) -> list[Source]:
    """Everything that lands at the target, in the order in which each replaces the one before."""
    found = [Source(flow_file.parent, flow_file.parent / target, included=False)]
    for include in includes_of(flow_file):
        inside = target.removeprefix(f"{include.name}/")
        folder = include.with_suffix("")
        if target == include.name:
            found.append(Source(None, include, included=True))
        elif inside != target and include.is_dir():
            found.append(Source(include, include / inside, included=True))
        elif inside != target and folder in made_zips(flow_file):
            found.append(Source(folder, folder.parent / inside, included=True))
    return [each for each in found if each.path.is_file()]
