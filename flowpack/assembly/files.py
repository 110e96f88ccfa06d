"""What one file of the standalone folder is made from."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from flowpack.errors import InputError, Location

_CHUNK = 1024 * 1024
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that the format can hold


class FileSource(Protocol):
    @property
    def origin(self) -> Path:
        """Where a message points to."""

    @property
    def executable(self) -> bool: ...

    def chunks(self) -> Iterator[bytes]: ...

    def write(self, target: Path) -> None: ...


@dataclass(frozen=True, slots=True)
class CopiedFile:
    origin: Path

    @property
    def executable(self) -> bool:
        return bool(self.origin.stat().st_mode & 0o100)

    def chunks(self) -> Iterator[bytes]:
        try:
            with self.origin.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", location=Location(self.origin)) from error

    def write(self, target: Path) -> None:
        try:
            shutil.copyfile(self.origin, target)
        except OSError as error:
            raise InputError(f"cannot be copied: {error.strerror}", location=Location(self.origin)) from error


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """Content of flowpack's own, in place of ``origin``."""

    origin: Path
    content: bytes
    executable: bool = False

    def chunks(self) -> Iterator[bytes]:
        yield self.content

    def write(self, target: Path) -> None:
        target.write_bytes(self.content)


@dataclass(frozen=True, slots=True)
class ZippedFolder:
    """A folder as an archive: entries sorted, times and modes fixed, so that equal folders give equal bytes.

    promptflow names entries from the folder's parent, so each starts with the folder's own name.
    """

    origin: Path
    members: tuple[tuple[str, Path], ...]
    executable: bool = False

    def chunks(self) -> Iterator[bytes]:
        """The archive's content, which decides its bytes."""
        for name, path in self.members:
            yield name.encode() + b"\0"
            yield from CopiedFile(path).chunks()

    def write(self, target: Path) -> None:
        import zipfile  # noqa: PLC0415  (few flows need it)

        top = self.origin.name + "/"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo(top, _ZIP_TIME), b"")
            for name, path in self.members:
                entry = zipfile.ZipInfo(top + name, _ZIP_TIME)
                entry.external_attr = 0o100644 << 16
                with archive.open(entry, "w", force_zip64=path.stat().st_size >= 2**31) as file:
                    for chunk in CopiedFile(path).chunks():
                        file.write(chunk)


def digest_of(source: FileSource) -> str:
    """The SHA-256 of the content, in hex."""
    digest = hashlib.sha256()
    for chunk in source.chunks():
        digest.update(chunk)
    return digest.hexdigest()
