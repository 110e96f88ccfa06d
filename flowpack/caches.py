"""Where flowpack keeps what it can make again: one folder a user, emptied whenever they like.

The first line of a cache file names its kind and has a checksum of this name and of the content. One that is
damaged, of another version of flowpack's format, under another's name, or that another user may have written, is as
good as none. The checksum holds against accidents and against other users, not against the user's own programs: who may
write as the user can write a whole file. So nobody should share this folder with whom they do not trust.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from pathlib import Path

from flowpack.errors import Location, OutsideError
from flowpack.reading import RECORD_BYTES

_FORMAT = "flowpack cache 1"
_ABANDONED = 3600.0  # s: no file takes so long to write
_swept: set[str] = set()


def cache_folder(kind: str) -> Path:
    """The folder ``kind`` of flowpack's cache, made if it is not there; ``FLOWPACK_CACHE_DIR`` moves the cache.

    Only its user can look into it. Raises OutsideError where it cannot be made, and where it is another user's, who
    could put there what they like.
    """
    root = _root()
    folder = root / kind
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        root.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISLNK(found.st_mode) or not _is_own(found):
            raise OutsideError("the cache is another user's, or a link", location=Location(folder), hint=_HINT)
        if stat.S_IMODE(found.st_mode) & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise OutsideError(
            f"the cache cannot be written: {error.strerror}", location=Location(folder), hint=_HINT
        ) from error
    return folder


def read_cached(kind: str, name: str) -> bytes | None:
    """The content under this name; None where there is none, or none that can be relied on. Never raises."""
    try:
        sealed = _read_own(_root() / kind / name)
    except (OSError, ValueError, RuntimeError):  # a RuntimeError where there is no home
        return None
    line, _, content = sealed.partition(b"\n")
    return content if line == _seal(kind, name, content) else None


def write_cached(kind: str, name: str, content: bytes) -> None:
    """What cannot be kept is not: the next run makes it again. Never raises for that."""
    with contextlib.suppress(OSError, OutsideError, RuntimeError):
        folder = cache_folder(kind)
        _sweep(folder)
        beside = folder / f".{name}.{os.urandom(6).hex()}"
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(_seal(kind, name, content) + b"\n" + content)
            beside.replace(folder / name)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise


_HINT = "set FLOWPACK_CACHE_DIR to a folder of your own"


def _root() -> Path:
    chosen = os.environ.get("FLOWPACK_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    shared = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(shared) if Path(shared).is_absolute() else Path.home() / ".cache") / "flowpack"


def _seal(kind: str, name: str, content: bytes) -> bytes:
    """The name is in it, so that no file passes for another."""
    start = f"{_FORMAT} {kind}/{name} "
    digest = hashlib.sha256(start.encode())
    digest.update(content)
    return f"{start}{digest.hexdigest()}".encode()


def _read_own(path: Path) -> bytes:
    """The whole file, if nobody but this user can have written it: whoever may write to the folder cannot make that."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or not _is_own(found) or found.st_mode & 0o022:
            raise ValueError
        if found.st_size > RECORD_BYTES:
            raise ValueError
        return file.read(RECORD_BYTES)


def _is_own(found: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or found.st_uid == os.geteuid()


def _sweep(folder: Path) -> None:
    """Takes away what killed writers left, once a process."""
    if str(folder) in _swept:
        return
    _swept.add(str(folder))
    with os.scandir(folder) as entries:
        left = [entry.path for entry in entries if entry.name.startswith(".")]
    for path in left:
        with contextlib.suppress(OSError):
            if time.time() - os.lstat(path).st_mtime > _ABANDONED:
                os.unlink(path)  # noqa: PTH108
