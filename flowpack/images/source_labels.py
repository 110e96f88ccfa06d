"""OCI labels that say where a flow came from: for the engine, since a Dockerfile with them would always change."""

from __future__ import annotations

from pathlib import Path

from flowpack import process
from flowpack.errors import FlowpackError, scrub
from flowpack.git import Repository, repository_of
from flowpack.process import Run
from flowpack.quoting import one_line

REVISION = "org.opencontainers.image.revision"
_SOURCE = "org.opencontainers.image.source"
_PATIENCE = 10.0


def source_revision(folder: Path, run: Run = process.run) -> str | None:
    return source_labels(folder, run).get(REVISION)


def source_labels(folder: Path, run: Run = process.run) -> dict[str, str]:
    """The revision, with ``-dirty`` where the working copy differs, and the origin; nothing where git does not tell."""
    try:
        with repository_of(folder, run) as repository:
            revision = repository.commit("HEAD", _PATIENCE) if repository else None
            if repository is None or revision is None:
                return {}
            dirty = "-dirty" if not repository.bare and _is_dirty(repository, folder) else ""
            origin = {_SOURCE: one_line(scrub(repository.origin))} if repository.origin else {}
            return {REVISION: revision + dirty, **origin}
    except FlowpackError:
        return {}


def _is_dirty(repository: Repository, folder: Path) -> bool:
    """What git cannot compare may differ: the label must not say that it does not."""
    try:
        return repository.is_changed(folder, _PATIENCE)
    except FlowpackError:
        return True
