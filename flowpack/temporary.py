"""Folders that go away with the process that made them, however it ends.

A folder is locked while it is in use, by a lock that ends with its process. Whoever makes the next one removes those
that nobody holds: what a killed process left.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flowpack.errors import OutsideError

if sys.platform != "win32":
    import fcntl

_PREFIX = "flowpack-temporary-"
_HELD_BY_ANOTHER = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}
_ATTEMPTS = 100


@dataclass(frozen=True, slots=True)
class HeldFolder:
    """``descriptor`` holds the lock, for as long as this process, or one that was given it, has it open."""

    path: Path
    descriptor: int

    def release(self) -> None:
        os.close(self.descriptor)


@contextlib.contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """A private folder, removed at the end. Raises OutsideError where there is no place for one."""
    with held_temporary_folder(purpose) as held:
        yield held.path


@contextlib.contextmanager
def held_temporary_folder(purpose: str) -> Iterator[HeldFolder]:
    parent = _temporary_root()
    remove_abandoned(parent, _PREFIX)
    try:
        held = new_held_folder(parent, f"{_PREFIX}{purpose}-")
    except OSError as error:
        raise OutsideError(
            f"no temporary folder can be made in {parent}: {error.strerror}",
            hint="set TMPDIR to a folder with space that you may write to",
        ) from error
    with removed_at_the_end(held):
        yield held


@contextlib.contextmanager
def removed_at_the_end(held: HeldFolder) -> Iterator[HeldFolder]:
    try:
        yield held
    finally:
        shutil.rmtree(held.path, ignore_errors=True)
        held.release()


def new_held_folder(parent: Path, prefix: str, suffix: str = "") -> HeldFolder:
    """Makes a folder for this user alone and locks it; OSError where the system refuses."""
    for _ in range(_ATTEMPTS):
        path = parent / f"{prefix}{os.urandom(6).hex()}{suffix}"
        path.mkdir(mode=0o700)
        held = _held(path)
        if held is not None:
            return held
        # Another process took it for abandoned, before the lock, and removes it.
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(parent))


def remove_abandoned(parent: Path, prefix: str, suffix: str = "") -> None:
    """Removes folders of this user that no process holds; never raises."""
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        found = [entry.path for entry in entries if entry.name.startswith(prefix) and entry.name.endswith(suffix)]
        for path in found:
            with held_if_abandoned(Path(path)) as held:
                if held:
                    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def held_if_abandoned(path: Path) -> Iterator[bool]:
    """Whether the folder is this user's and no process holds it; while the block runs, this one does."""
    held = None
    with contextlib.suppress(OSError):
        found = path.lstat()
        own = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
        if stat.S_ISDIR(found.st_mode) and own:
            held = _held(path, without_a_lock=False)
    try:
        yield held is not None
    finally:
        if held is not None:
            held.release()


def _held(path: Path, *, without_a_lock: bool = True) -> HeldFolder | None:
    """None where another process holds the folder, or it is gone. Some file systems have no locks for folders: what is
    made there is held ``without_a_lock``, and nothing there is taken for abandoned."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD_BY_ANOTHER or not without_a_lock:
            os.close(descriptor)
            return None
    with contextlib.suppress(OSError):
        if os.path.samestat(path.lstat(), os.fstat(descriptor)):
            return HeldFolder(path, descriptor)
    os.close(descriptor)
    return None


def _temporary_root() -> Path:
    """TMPDIR where it is set, and no other folder instead: questions to an index may hold its password. Else Python's
    choice, but not the working directory, which may be a stranger's project."""
    chosen = os.environ.get("TMPDIR")
    if chosen:
        return Path(chosen).absolute()
    import tempfile  # noqa: PLC0415  (most builds do without)

    with contextlib.suppress(FileNotFoundError):
        root = Path(tempfile.gettempdir())
        if root != Path.cwd():
            return root
    raise OutsideError(
        "no temporary file can be written", hint="set TMPDIR to a folder with space that you may write to"
    )
