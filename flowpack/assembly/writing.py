"""Writes the standalone folder's files: links unchanged files from the earlier folder and copies the rest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flowpack.assembly.copying import Advance
from flowpack.assembly.files import CopiedFile, FileSource, mode_of
from flowpack.assembly.records import EarlierFolder, KnownDigests


@dataclass(frozen=True, slots=True)
class FolderWriter:
    """``digests`` holds the known digests by target; the others are computed while files are copied."""

    target: Path
    earlier: EarlierFolder
    known: KnownDigests
    digests: Mapping[str, str]
    advance: Advance

    def write(self, files: Mapping[str, FileSource]) -> dict[str, str]:
        """Returns each file's digest by target."""
        written = {}
        folders = {""}
        for relative, source in files.items():
            self._make_folders(relative.rpartition("/")[0], folders)
            written[relative] = self._write(relative, source)
        self.earlier.remember(self.target, written)
        return written

    def _make_folders(self, folder: str, made: set[str]) -> None:
        """Creates folders from the top down. No recursion, because the flow's author decides how deep they go."""
        missing = []
        while folder not in made:
            missing.append(folder)
            folder = folder.rpartition("/")[0]
        for each in reversed(missing):
            os.makedirs(f"{self.target}/{each}", exist_ok=True)  # noqa: PTH103
            made.add(each)

    def _write(self, relative: str, source: FileSource) -> str:
        path = f"{self.target}/{relative}"
        digest = self.digests.get(relative)
        if digest is None and isinstance(source, CopiedFile):
            digest = self.known.recall(source)
            if digest is None:
                digest = source.write_and_sum_up(path, self.advance)
                self.known.learn(source, digest)
                return digest
        digest = digest or source.digest(self.known)
        if isinstance(source, CopiedFile) and not source.settled:
            if source.write_and_sum_up(path, self.advance) != digest:
                raise source.changed_meanwhile()
        elif self.earlier.link(relative, digest, mode_of(source.executable), path):
            self.advance(source.size)
        else:
            source.write(path, self.advance)
        return digest
