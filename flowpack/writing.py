"""Writes files and folders that a person named; what the system refuses becomes an error with the place and its cause.

A file is written beside its place, put on disk and renamed: a reader, or a crash, finds the old text or the new one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from flowpack.errors import Location, OutsideError

_HINTS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "choose a place that can be written",
    errno.EACCES: "choose a place that you may write to",
    errno.EPERM: "choose a place that you may write to",
    errno.ENOENT: "make the folder first",
    errno.ENOTDIR: "choose a place below a folder",
    errno.EEXIST: "choose a place below a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def replace_file(path: Path, text: str) -> None:
    """Raises OutsideError, and leaves what was there, where it cannot be written."""
    with _refusals_of(path):
        if path.exists() and not path.is_file():  # a pipe or a terminal, which a rename would take away
            path.write_bytes(text.encode("utf-8", "surrogateescape"))
            return
        beside = path.with_name(f".{path.name[:100]}.{os.urandom(6).hex()}")
        try:
            with beside.open("xb") as file:
                file.write(text.encode("utf-8", "surrogateescape"))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise


def append_to_file(path: Path, text: str) -> None:
    """Makes the file, and its folder, where they are missing. An empty text only asks whether it can be written."""
    with _refusals_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(text.encode("utf-8", "surrogateescape"))


def make_folder(path: Path) -> None:
    """With the folders above it; one that is there already is kept."""
    with _refusals_of(path):
        path.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def _refusals_of(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> OutsideError:
    # EEXIST comes where a folder is to be made.
    reason = "a file is in the way" if error.errno == errno.EEXIST else reason_of(error)
    hint = _HINTS.get(error.errno or 0, "choose another place")
    return OutsideError(f"cannot be written: {reason}", location=Location(path), hint=hint)


def reason_of(error: OSError) -> str:
    """The system's words; of a tree that could not be copied those about its first file."""
    told = error.args[0] if isinstance(error, shutil.Error) and error.args else None
    if isinstance(told, list) and told:
        return str(told[0][-1])
    return error.strerror or str(error)
