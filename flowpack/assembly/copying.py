"""Copies a file's content as quickly as the file system can, in constant memory.

Content is shared where the file system has reflinks (btrfs, XFS), else copied inside the kernel, else in chunks. It is
never hard-linked to its source: an edit in the output would change the source, and the output's modes and times would
become the source's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

if sys.platform != "win32":
    import fcntl

Advance = Callable[[int], None]
"""Is told how many bytes were read or written since it was called last."""

_SMALL = 64 * 1024
_CHUNK = 1024 * 1024
_IN_THE_KERNEL = 64 * 1024 * 1024
_FICLONE = 0x40049409


def copy_content(source: int, target: int, size: int, advance: Advance) -> None:
    """From one descriptor to another, both at their start. ``size`` is what is expected; the source's end decides."""
    if size <= _SMALL:
        content = os.read(source, size + 1)
        write_content(target, content, advance)
        if len(content) == size:  # a call less for each of thousands
            return
    elif _share(source, target):
        advance(size)
        return
    else:
        _copy_in_the_kernel(source, target, advance)
    while chunk := os.read(source, _CHUNK):
        write_content(target, chunk, advance)


def write_content(target: int, content: bytes, advance: Advance) -> None:
    written = os.write(target, content)
    while written < len(content):
        written += os.write(target, content[written:])
    advance(written)


def _share(source: int, target: int) -> bool:
    """A reflink: both files have one content on disk until one of the two is written to."""
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def _copy_in_the_kernel(source: int, target: int, advance: Advance) -> None:
    """Copies up to the end, or as far as it comes: where it cannot go on, reading and writing take over from there."""
    if sys.platform != "linux":
        return
    try:
        while copied := os.copy_file_range(source, target, _IN_THE_KERNEL):
            advance(copied)
    except OSError:  # another file system, or one without it
        return
