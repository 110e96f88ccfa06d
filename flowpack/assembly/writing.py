"""Writes the standalone folder's files: what has not changed is linked to the folder before, the rest is copied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flowpack.assembly.copying import Advance
from flowpack.assembly.files import CopiedFile, FileSource, mode_of
from flowpack.assembly.records import EarlierFolder, KnownDigests


@dataclass(frozen=True, slots=True)
class FolderWriter:
    """``digests`` are those that are known already, by target; the others are taken while files are copied."""

    target: Path
    earlier: EarlierFolder
    known: KnownDigests
    digests: Mapping[str, str]
    advance: Advance

    def write(self, files: Mapping[str, FileSource]) -> dict[str, str]:
        """Gives each file's digest."""
        written = {}
        folders = {""}
        for relative, source in files.items():
            folder = relative.rpartition("/")[0]
            if folder not in folders:
                (self.target / folder).mkdir(parents=True, exist_ok=True)
                folders.add(folder)
            written[relative] = self._write(relative, source)
        self.earlier.remember(self.target, written)
        return written

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
        if self.earlier.link(relative, digest, mode_of(source.executable), path):
            self.advance(source.size)
        else:
            source.write(path, self.advance)
        return digest
