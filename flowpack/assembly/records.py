"""Remembers files between builds, so that unchanged files are not read or copied again.

The cache holds two records: the digests of a flow's sources, and the files written to an output. A file is unchanged if
its size, times and inode are. Like git's index, a record does not trust a file that changed at or after the record's
start, because its next change could leave the same times.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path

from flowpack.assembly.copying import Advance
from flowpack.assembly.files import COARSE, CopiedFile
from flowpack.caches import read_cached, write_cached

_FORMAT = 1
_MANY_FILES = 200
_MANY_BYTES = 8 * 1024 * 1024


class Record:
    """Digests by path, each with numbers that stay the same while the file is unchanged."""

    def __init__(self, kind: str, of: Path | None, *, files: int, size: int) -> None:
        self._began = time.time_ns()
        self._old: dict[str, str] = {}
        self._new: dict[str, str] = {}
        self._kind, self._name = kind, ""
        if of is None or (files < _MANY_FILES and size < _MANY_BYTES):
            return  # reading a few files is as fast as reading their record
        self._name = hashlib.sha256(os.fsencode(of.absolute())).hexdigest() + ".json"
        record = read_cached(kind, self._name)
        if record:
            with contextlib.suppress(ValueError, TypeError, KeyError):  # of another version
                document = json.loads(record)
                if document["format"] == _FORMAT:
                    self._old = dict(document["files"])

    @property
    def is_kept(self) -> bool:
        return bool(self._name)

    def __contains__(self, path: str) -> bool:
        return path in self._old

    def has_kept(self, path: str) -> bool:
        return path in self._new

    def digest(self, path: str, *numbers: int) -> str | None:
        row = self._old.get(path)
        if row is None:
            return None
        digest, _, known = row.partition(" ")
        return digest if known == str(numbers) else None

    def keep(self, path: str) -> None:
        """Keeps an entry: the next record holds only entries that were kept or remembered."""
        self._new[path] = self._old[path]

    def remember(self, path: str, digest: str, *numbers: int, changed: int) -> None:
        if changed < self._began - COARSE:
            self._new[path] = f"{digest} {numbers}"

    def save(self) -> None:
        if self._name and self._new != self._old:
            write_cached(self._kind, self._name, json.dumps({"format": _FORMAT, "files": self._new}).encode())


class KnownDigests:
    """Digests of sources, from the record or else by reading the files."""

    def __init__(self, record: Record, advance: Advance) -> None:
        self._record = record
        self._advance = advance

    def of(self, file: CopiedFile) -> str:
        digest = self.recall(file)
        if digest is None:
            digest = file.sum_up(self._advance)
            self.learn(file, digest)
        else:
            self._advance(file.size)
        return digest

    def recall(self, file: CopiedFile) -> str | None:
        digest = self._record.digest(file.path, *_of_source(file))
        if digest:
            self._record.keep(file.path)
        return digest

    def learn(self, file: CopiedFile, digest: str) -> None:
        self._record.remember(file.path, digest, *_of_source(file), changed=max(file.modified, file.changed))


class EarlierFolder:
    """The folder that is about to be replaced. The new folder gets hard links to its unchanged files.

    Both folders are flowpack's, and the old one is removed once the new one is in place. A file that already has
    another link is not linked. The change time is ignored, because each new link changes it. The folder is held open,
    so it stays the same if another build replaces it meanwhile.
    """

    def __init__(self, folder: Path | None, *, files: int, size: int) -> None:
        self._record = Record("outputs", folder, files=files, size=size)
        self._folder: int | None = None
        if folder:
            with contextlib.suppress(OSError):
                self._folder = os.open(folder, os.O_RDONLY)

    def __enter__(self) -> EarlierFolder:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            os.close(self._folder)

    def link(self, relative: str, digest: str, mode: int, target: str) -> bool:
        if self._folder is None or relative not in self._record:
            return False
        with contextlib.suppress(OSError):  # missing, or a file system without links: the file is written
            found = os.stat(relative, dir_fd=self._folder, follow_symlinks=False)
            if (
                found.st_mode == stat.S_IFREG | mode
                and found.st_nlink == 1
                and self._record.digest(relative, *_of_output(found)) == digest
            ):
                os.link(relative, target, src_dir_fd=self._folder, follow_symlinks=False)
                self._record.keep(relative)
                return True
        return False

    def remember(self, folder: Path, digests: Mapping[str, str]) -> None:
        """Records the new folder's files."""
        if not self._record.is_kept:
            return
        for relative, digest in digests.items():
            if not self._record.has_kept(relative):
                found = os.lstat(f"{folder}/{relative}")
                self._record.remember(relative, digest, *_of_output(found), changed=found.st_mtime_ns)
        self._record.save()


def _of_source(file: CopiedFile) -> tuple[int, int, int, int, int]:
    return file.size, file.modified, file.changed, file.inode, file.device


def _of_output(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ino
