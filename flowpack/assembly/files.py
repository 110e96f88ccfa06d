"""The sources of the files in the standalone folder."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from flowpack.assembly.copying import Advance, copy_content
from flowpack.assembly.hashing import copy_and_sum_up, sum_up
from flowpack.errors import InputError, Location, OutsideError
from flowpack.reading import Roots, check_within, lies_within, real_path

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo

_Copied = TypeVar("_Copied")

_CHUNK = 1024 * 1024
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest time that the format can hold
_UNIX = 3
COARSE = 2_000_000_000
"""In ns: some file systems store times in steps of 2 s."""
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_OF_THE_TARGET = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


class FileSource(Protocol):
    @property
    def origin(self) -> Path:
        """The path that messages name."""

    @property
    def executable(self) -> bool: ...

    @property
    def size(self) -> int:
        """Bytes to read."""

    def digest(self, digests: Digests) -> str:
        """A SHA-256 in hex: of the content, or with a prefix (``pieces:``, ``zip:``) of digests that determine it."""

    def write(self, target: str, advance: Advance) -> None:
        """Creates the file, which must not exist yet."""


class Digests(Protocol):
    """Gives files' digests: reads the files, or recalls an earlier result."""

    def of(self, file: CopiedFile) -> str: ...


@dataclass(slots=True)  # not frozen: a flow may have 20,000 files, and frozen ones take three times as long to create
class CopiedFile:
    """A file on disk as it was when its folder was listed; times in ns.

    Each time it is opened, it must be the same unchanged file in one of ``roots``, so that the listing, the digest and
    the copy agree. ``changed`` is the system's change time, which no program can reset.
    """

    path: str
    size: int
    modified: int
    changed: int
    inode: int
    device: int
    executable: bool
    settled: bool
    """Whether the next change will show in the times: right after one change, another may leave them the same."""
    roots: Roots

    @classmethod
    def of(cls, path: str, found: os.stat_result, roots: Roots) -> CopiedFile:
        executable = bool(found.st_mode & 0o100)
        numbers = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)
        return cls(path, *numbers, executable, found.st_ctime_ns < time.time_ns() - COARSE, roots)

    @property
    def origin(self) -> Path:
        return Path(self.path)

    def digest(self, digests: Digests) -> str:
        return digests.of(self)

    def sum_up(self, advance: Advance) -> str:
        descriptor = self.opened()
        try:
            digest = sum_up(descriptor, self.size, advance)
            self.check_unchanged(descriptor)
            return digest
        except OSError as error:
            raise self.unreadable(error) from error
        finally:
            os.close(descriptor)

    def chunks(self) -> Iterator[bytes]:
        descriptor = self.opened()
        left = self.size  # stops at the listed size, even if the file grows
        try:
            while left and (chunk := os.read(descriptor, min(left, _CHUNK))):
                left -= len(chunk)
                yield chunk
            self.check_unchanged(descriptor)
        except OSError as error:
            raise self.unreadable(error) from error
        finally:
            os.close(descriptor)

    def write(self, target: str, advance: Advance) -> None:
        self._copy(target, lambda source, made: copy_content(source, made, self.size, advance))

    def write_and_sum_up(self, target: str, advance: Advance) -> str:
        """Copies the file and returns the copy's digest."""
        return self._copy(
            target, lambda source, made: copy_and_sum_up(source, made, self.size, advance, settled=self.settled)
        )

    def _copy(self, target: str, copy: Callable[[int, int], _Copied]) -> _Copied:
        source = self.opened()
        try:
            made = _made(target, self.executable)
            try:
                copied = copy(source, made)
                os.utime(made, ns=(self.modified, self.modified))
            finally:
                os.close(made)
            self.check_unchanged(source)
            return copied
        except OSError as error:
            raise (_unwritable(target, error) if error.errno in _OF_THE_TARGET else self.unreadable(error)) from error
        finally:
            os.close(source)

    def opened(self) -> int:
        """Opens the listed file; raises InputError if it changed, was replaced, or is outside ``roots``."""
        try:
            descriptor = os.open(self.path, _READ)
        except OSError as error:
            raise self.unreadable(error) from error
        try:
            self.check_unchanged(descriptor)
            if not lies_within(real_path(descriptor, self.path), self.roots):  # no Path for each of thousands of files
                check_within(descriptor, self.origin, self.roots)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def check_unchanged(self, descriptor: int) -> None:
        """Raises InputError if the file no longer matches the listing and its earlier digest."""
        now = os.fstat(descriptor)
        if (
            (now.st_size, now.st_mtime_ns, now.st_ctime_ns) != (self.size, self.modified, self.changed)
            or now.st_ino != self.inode
            or now.st_dev != self.device
        ):
            raise self.changed_meanwhile()

    def changed_meanwhile(self) -> InputError:
        return InputError("changed during the build", location=Location(self.origin), hint="build again")

    def unreadable(self, error: OSError) -> InputError:
        return InputError(f"cannot be read: {error.strerror}", location=Location(self.origin))


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """Content that flowpack writes in place of ``origin``."""

    origin: Path
    content: bytes
    executable: bool = False

    @property
    def size(self) -> int:
        return len(self.content)

    def digest(self, digests: Digests) -> str:  # noqa: ARG002  (nothing to read)
        return hashlib.sha256(self.content).hexdigest()

    def write(self, target: str, advance: Advance) -> None:
        with os.fdopen(_made(target, self.executable), "wb") as file:
            file.write(self.content)
        advance(self.size)


@dataclass(frozen=True, slots=True)
class ZippedFolder:
    """A folder as a zip archive. Entries are sorted, with fixed times and modes, so equal folders give equal bytes.

    promptflow names entries relative to the folder's parent, so each starts with ``name``, the name in the include.
    """

    origin: Path
    name: str
    members: tuple[tuple[str, CopiedFile], ...]
    executable: bool = False

    @property
    def size(self) -> int:
        return sum(file.size for _, file in self.members)

    def digest(self, digests: Digests) -> str:
        listing = "".join(f"{digests.of(file)} {mode_of(file.executable)} {name}\n" for name, file in self.members)
        return "zip:" + hashlib.sha256(f"{self.name}/\n{listing}".encode()).hexdigest()

    def write(self, target: str, advance: Advance) -> None:
        import zipfile  # noqa: PLC0415  (few flows need it)

        top = self.name + "/"
        with os.fdopen(_made(target), "wb") as file, zipfile.ZipFile(file, "w") as archive:
            archive.writestr(_zip_entry(zipfile.ZipInfo(top, _ZIP_TIME), 0o40755), b"")
            for name, member in self.members:
                entry = _zip_entry(zipfile.ZipInfo(top + name, _ZIP_TIME), 0o100000 | mode_of(member.executable))
                _zip_member(archive, entry, member)
                advance(member.size)


def _zip_entry(entry: ZipInfo, mode: int) -> ZipInfo:
    entry.create_system = _UNIX
    entry.external_attr = mode << 16
    return entry


def _zip_member(archive: ZipFile, entry: ZipInfo, member: CopiedFile) -> None:
    with archive.open(entry, "w", force_zip64=member.size >= 2**31) as file:
        for chunk in member.chunks():
            file.write(chunk)


def mode_of(executable: bool) -> int:
    return 0o755 if executable else 0o644


def _made(target: str, executable: bool = False) -> int:
    try:
        descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.fchmod(descriptor, mode_of(executable))
    except OSError as error:
        raise _unwritable(target, error) from error
    return descriptor


def _unwritable(target: str, error: OSError) -> OutsideError:
    return OutsideError(f"cannot be written: {error.strerror}", location=Location(Path(target)))


class _Unknown:
    def of(self, file: CopiedFile) -> str:
        return file.sum_up(lambda _: None)


def digest_of(source: FileSource) -> str:
    """The digest of a source, without cached results."""
    return source.digest(_Unknown())
