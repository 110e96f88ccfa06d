"""OCI labels that say where a flow came from: for the engine, since a Dockerfile with them would always change."""

from __future__ import annotations

from pathlib import Path

from flowpack import process
from flowpack.errors import ToolError, scrub
from flowpack.process import Run
from flowpack.quoting import one_line

REVISION = "org.opencontainers.image.revision"


def source_revision(folder: Path, run: Run = process.run) -> str | None:
    return source_labels(folder, run).get(REVISION)


def source_labels(folder: Path, run: Run = process.run) -> dict[str, str]:
    """The revision, with ``-dirty`` where the working copy differs, and the origin; nothing where git does not tell."""

    def git(*arguments: str) -> str | None:
        try:
            done = run(("git", *arguments), cwd=folder, timeout=10)
        except ToolError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    revision = git("rev-parse", "HEAD")
    if not revision:
        return {}
    labels = {REVISION: revision + ("-dirty" if git("status", "--porcelain", ".") else "")}
    origin = git("config", "--get", "remote.origin.url")
    if origin:
        labels["org.opencontainers.image.source"] = one_line(scrub(origin))
    return labels
