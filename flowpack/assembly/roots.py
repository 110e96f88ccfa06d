"""The folders that includes may use: the flow's project, and those that ``--include-root`` adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flowpack.reading import project_root


@dataclass(frozen=True, slots=True)
class IncludeRoots:
    """Folders with links resolved; the first is the project root."""

    folders: tuple[Path, ...]

    @classmethod
    def of(cls, flow_folder: Path, more: Sequence[Path] = ()) -> IncludeRoots:
        return cls((project_root(flow_folder), *(path.resolve() for path in more)))

    def allow(self, path: Path) -> bool:
        return any(path == folder or folder in path.parents for folder in self.folders)
