"""How far an include may reach: the project that the flow lies in, and what ``--include-root`` adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flowpack.reading import project_root


@dataclass(frozen=True, slots=True)
class IncludeRoots:
    """Folders with their links resolved; the first is the project's."""

    folders: tuple[Path, ...]

    @classmethod
    def of(cls, flow_folder: Path, more: Sequence[Path] = ()) -> IncludeRoots:
        return cls((project_root(flow_folder), *(path.resolve() for path in more)))

    def allow(self, path: Path) -> bool:
        return any(path == folder or folder in path.parents for folder in self.folders)
