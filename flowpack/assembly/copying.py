"""Copies a file's content as fast as the file system allows, in constant memory.

It uses a reflink where the file system has them (btrfs, XFS), else a copy inside the kernel, else chunks. It never
makes a hard link to the source: an edit in the output would change the source, and both would share modes and times.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

if sys.platform != "win32":
    import fcntl

Advance = Callable[[int], None]
"""Called with the number of bytes read or written since the last call."""

_SMALL = 64 * 1024
_CHUNK = 1024 * 1024
_IN_THE_KERNEL = 64 * 1024 * 1024
_FICLONE = 0x40049409


def copy_content(source: int, target: int, size: int, advance: Advance) -> None:
    """Copies between two descriptors at their start. ``size`` is expected; copying ends at the source's end."""
    if size <= _SMALL:
        content = os.read(source, size + 1)
        write_content(target, content, advance)
        if len(content) == size:  # saves a system call for each of thousands of files
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
    """Makes a reflink: both files share their content on disk until one is written to. False where it cannot."""
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def _copy_in_the_kernel(source: int, target: int, advance: Advance) -> None:
    """Copies to the end, or as far as the kernel can; the caller copies the rest."""
    if sys.platform != "linux":
        return
    try:
        while copied := os.copy_file_range(source, target, _IN_THE_KERNEL):
            advance(copied)
    except OSError:  # two file systems, or one without support
        return
