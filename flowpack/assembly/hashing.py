"""Digests of files' contents, in constant memory and on all cores."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from flowpack.assembly.copying import Advance, copy_content, write_content

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_CHUNK = 1024 * 1024
_PIECE = 64 * _CHUNK
_MOST_THREADS = 8


def sum_up(descriptor: int, size: int, advance: Advance) -> str:
    """The SHA-256 in hex. For a file of several pieces, the SHA-256 of the pieces' digests, so that cores share the
    work, with the prefix ``pieces:``, so that no small file has the same digest.

    The descriptor's position does not change.
    """
    if size <= _PIECE:
        digest = _piece(descriptor, 0, size).hex()
        advance(size)
        return digest
    summed = hashlib.sha256()
    starts = range(0, size, _PIECE)
    with _threads(min(_MOST_THREADS, os.cpu_count() or 1)) as threads:
        for start, piece in zip(
            starts, threads.map(lambda start: _piece(descriptor, start, _PIECE), starts), strict=True
        ):
            summed.update(piece)
            advance(min(_PIECE, size - start))
    return f"pieces:{summed.hexdigest()}"


def copy_and_sum_up(source: int, target: int, size: int, advance: Advance, *, settled: bool) -> str:
    """Copies from one descriptor to another and returns the digest of the copy.

    A small file is read once, so the copy and the digest have the same bytes. If a large file's times will show a
    change (``settled``), it is hashed during the copy, which takes as long as the slower of the two; else the copy is.
    """
    if size <= _CHUNK:
        content = os.read(source, size)
        while len(content) < size and (more := os.read(source, size - len(content))):
            content += more
        write_content(target, content, advance)
        return hashlib.sha256(content).hexdigest()
    if not settled:
        copy_content(source, target, size, advance)
        return sum_up(target, size, lambda _: None)
    with _threads(1) as beside:  # neither hashing nor copying holds the GIL
        summed = beside.submit(sum_up, source, size, lambda _: None)
        copy_content(source, target, size, advance)
        return summed.result()


def _piece(descriptor: int, start: int, size: int) -> bytes:
    summed = hashlib.sha256()
    position, end = start, start + size
    while position < end and (chunk := os.pread(descriptor, min(_CHUNK, end - position), position)):
        summed.update(chunk)
        position += len(chunk)
    return summed.digest()


def _threads(number: int) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  (small files do not need it)

    return ThreadPoolExecutor(number)
