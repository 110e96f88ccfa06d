"""Reads files that a stranger may have written: opened once, inside their project, regular, bounded, unchanged.

A flow's files, its repository's and the documents beside it are read through here alone; a test looks for other ways.
What a person names on the command line (``within=None``) may lie anywhere; the other rules hold for it too.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from flowpack.errors import InputError, Location
from flowpack.quoting import shell_word

DOCUMENT_BYTES = 4 * 1024 * 1024
"""A document that is parsed: YAML, JSON, a prompty, requirements, an ignore file, a template, a Python source."""
LOCK_BYTES = 16 * 1024 * 1024
"""A lock: 600 packages with all their hashes take some 2 MB."""
RECORD_BYTES = 64 * 1024 * 1024
"""What flowpack itself wrote: a record of 20,000 files takes 4 MB."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


Roots = Sequence[Path]
"""Folders with their links resolved, one of which must hold each file that is read."""

_VERSION_CONTROL = (".git", ".hg", ".svn")


def project_root(folder: Path) -> Path:
    """The folder under version control, else the working directory if it contains ``folder``, else its parent.

    Always one of the folders above: a ``.git`` that someone planted makes the project smaller, never larger.
    """
    for each in (folder, *folder.parents):
        if any(os.path.lexists(each / name) for name in _VERSION_CONTROL):
            return each
    with contextlib.suppress(OSError):  # the working directory may have been deleted
        here = Path.cwd().resolve()
        if here in folder.parents:
            return here
    return folder.parent


def kind_of(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "of an unknown kind")


def read_bytes(path: Path, *, limit: int, within: Roots | None, error: type[InputError] = InputError) -> bytes:
    """The whole content of a regular file of at most ``limit`` bytes.

    ``within`` are folders with their links resolved, one of which must hold the file that was opened, wherever a link
    on the way to it leads. Raises ``error`` with the file as its place.
    """
    with opened(path, within=within, error=error) as (descriptor, found):
        if found.st_size > limit:
            raise too_large(path, limit, error)
        content = read_whole(descriptor, limit, path, error)
        check_unchanged(descriptor, found, path, error)
        return content


def read_text(path: Path, *, limit: int, within: Roots | None, error: type[InputError] = InputError) -> str:
    """As ``read_bytes``, decoded as UTF-8, with or without a byte order mark; line ends stay as they are."""
    raw = read_bytes(path, limit=limit, within=within, error=error)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        before = raw[: wrong.start]
        where = Location(path, before.count(b"\n") + 1, wrong.start - before.rfind(b"\n"))
        is_utf_16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
        message = "the file is UTF-16, not UTF-8" if is_utf_16 else "the file is not UTF-8"
        raise error(message, location=where, hint="save it as UTF-8") from wrong


@contextlib.contextmanager
def opened(
    path: Path, *, within: Roots | None, error: type[InputError] = InputError
) -> Iterator[tuple[int, os.stat_result]]:
    """A descriptor of a regular file and what it was when it was opened; nothing of it has been read yet."""
    try:
        # A named pipe without a writer does not hold the opening up, and a terminal does not become the process's own.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
    except (OSError, ValueError) as wrong:  # a ValueError for a name that no path may hold
        reason = wrong.strerror if isinstance(wrong, OSError) else str(wrong)
        raise error(f"cannot be read: {reason}", location=Location(path)) from wrong
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise error(
                f"is not a regular file: it is {kind_of(found.st_mode)}", location=Location(path), hint="take it out"
            )
        if within is not None:
            check_within(descriptor, path, within, error)
        try:
            yield descriptor, found
        except OSError as wrong:
            raise error(f"cannot be read: {wrong.strerror}", location=Location(path)) from wrong
    finally:
        os.close(descriptor)


def check_within(descriptor: int, path: Path, within: Roots, error: type[InputError] = InputError) -> None:
    """Refuses an open file that is in none of the folders, by its real path."""
    real = real_path(descriptor, path)
    if lies_within(real, within):
        return
    raise error(
        f"leads out of the project, to '{real}'",
        location=Location(path),
        hint=f"put the file itself there, or allow its folder with --include-root {shell_word(os.path.dirname(real))}",  # noqa: PTH120
    )


def is_there(path: Path) -> bool:
    """False also for what no path may be: too long, or with a null byte."""
    return os.path.exists(path)  # noqa: PTH110  (Path's own raises for some of them)


def is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112


def lies_within(real: str, within: Roots) -> bool:
    return any(real == str(folder) or real.startswith(f"{str(folder).rstrip('/')}/") for folder in within)


def real_path(descriptor: int, path: Path | str) -> str:
    """The open file's path, with links resolved. Linux has it for the descriptor itself, so that a link that is
    changed meanwhile has no effect; elsewhere the path is resolved again, and must lead to the same file."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
    except OSError:
        real = os.path.realpath(path)
    if not os.path.samestat(os.lstat(real), os.fstat(descriptor)):
        raise InputError("has changed while it was read", location=Location(Path(path)), hint="run the command again")
    return real


def read_whole(descriptor: int, limit: int, path: Path, error: type[InputError] = InputError) -> bytes:
    parts = []
    left = limit + 1  # a file of /proc says that it has no bytes
    while left and (part := os.read(descriptor, min(left, 1024 * 1024))):
        parts.append(part)
        left -= len(part)
    if not left:
        raise too_large(path, limit, error)
    return b"".join(parts)


def check_unchanged(descriptor: int, before: os.stat_result, path: Path, error: type[InputError] = InputError) -> None:
    """The change time is the system's own: a writer that puts the modification time back does not hide."""
    now = os.fstat(descriptor)
    if (now.st_size, now.st_mtime_ns, now.st_ctime_ns) != (before.st_size, before.st_mtime_ns, before.st_ctime_ns):
        raise error("has changed while it was read", location=Location(path), hint="run the command again")


def too_large(path: Path, limit: int, error: type[InputError] = InputError) -> InputError:
    return error(f"the file is larger than {limit // 2**20} MB", location=Location(path))
