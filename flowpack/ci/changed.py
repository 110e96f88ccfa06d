"""``--changed-since``: whether what a flow is made from changed since a revision.

The paths that git lists are held against the sources of the flow's assembly: one run of git for hundreds of flows. To
assemble both revisions and compare digests would need a second checkout of everything, and that is what takes minutes
in a large repository. The price is small: a deleted file counts as a change even if an ignore rule left it out.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from flowpack import process
from flowpack.assembly.flow_folder import FlowFolder
from flowpack.assembly.ignore import IGNORE_FILES
from flowpack.dependencies.lock_format import LOCK_NAME
from flowpack.errors import InputError
from flowpack.git import repository_of
from flowpack.images.base import BASE_FILE
from flowpack.process import Run


@dataclass(frozen=True, slots=True)
class Changes:
    """``paths`` are absolute and include deleted files. ``top`` is the checkout's root."""

    top: Path
    paths: frozenset[str]

    def touch(self, folder: FlowFolder) -> Path | None:
        """A changed path that affects this flow, or the flow itself if git does not know it; else None."""
        flow = folder.flow.folder
        if not flow.is_relative_to(self.top):
            return flow
        inside = tuple(f"{source}/" for source in folder.sources)
        for path in self.paths:
            if path.endswith(f"/{BASE_FILE}") and flow.is_relative_to(Path(path).parent):
                return Path(path)
            if path.startswith(inside) and _decides(Path(path), folder):
                return Path(path)
            if any(source.startswith(f"{path}/") for source in inside):  # a submodule: git names it alone
                return Path(path)
        return next((origin for origin in folder.paths.values() if self._has(origin)), None)

    def _has(self, origin: Path) -> bool:
        """Git names a link by its own path, and what it leads to by another."""
        return str(origin) in self.paths or os.path.realpath(origin) in self.paths


def changes_since(revision: str, folder: Path, run: Run = process.run) -> Changes | None:
    """What differs between the revision's fork from HEAD and the files as they lie here; None where git has no such
    revision, as after a forced push or in a shallow clone."""
    with repository_of(folder, run) as repository:
        if repository is None or repository.bare:
            raise InputError("--changed-since needs a git checkout", hint="leave it out to take every flow")
        since = repository.commit(revision)
        if since is None:
            return None
        fork = repository.ask("merge-base", since, "HEAD")
        since = fork.stdout.strip() if fork.returncode == 0 else since
        return Changes(repository.work_tree, frozenset(map(str, repository.changed_since(since))))


def _decides(path: Path, folder: FlowFolder) -> bool:
    """Files among the sources that affect the build without being in the folder: deleted files, the lock, the
    flow file, which is rewritten, an ignore file, a submodule, a member of a folder that is zipped."""
    if path in {folder.flow.folder / LOCK_NAME, folder.flow.file}:
        return True
    if path.name in IGNORE_FILES and path.parent in folder.sources:
        return True
    return not os.path.lexists(path) or (path.is_dir() and not path.is_symlink()) or _is_zipped(path, folder)


def _is_zipped(path: Path, folder: FlowFolder) -> bool:
    return any(
        origin in path.parents for target, origin in folder.paths.items() if target.endswith(".zip") and origin.is_dir()
    )
