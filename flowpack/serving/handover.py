"""Requests that are ready to run, on their way from a worker that is busy to one that is not.

Each worker reads what its clients send, also while its own threads run flows. What is whole then goes, with the
connection itself, into a queue that all workers share, and whoever is free next takes it. The queue is the kernel's: a
worker that dies takes nothing along that waits in it.
"""

from __future__ import annotations

import contextlib
import io
import marshal
import os
import socket
import tempfile
from array import array
from typing import Any, BinaryIO, cast

from .framing import WholeRequest

MOST_OF_A_REQUEST = 2_000_000
"""Larger ones wait for the worker that read them: no worker's memory limit covers the queue."""

_IN_THE_MESSAGE = 16 * 1024
_FEW_DESCRIPTORS = 2

# marshal, not pickle: it makes nothing but values, and a queue of one program needs no format for others.
_Parts = tuple[Any, bytes, bytes, bytes]


class Handover:
    """Made before the workers are forked."""

    def __init__(self) -> None:
        kind = getattr(socket, "SOCK_SEQPACKET", socket.SOCK_DGRAM) if os.uname().sysname == "Linux" else None
        self._in, self._out = socket.socketpair(socket.AF_UNIX, kind or socket.SOCK_DGRAM)
        for end in (self._in, self._out):
            end.setblocking(False)

    def fileno(self) -> int:
        """Readable when something waits."""
        return self._out.fileno()

    def give(self, connection: socket.socket, peer: Any, request: WholeRequest, rest: bytes) -> bool:
        """Whether there was room; the caller then closes its own copy of the connection."""
        message = marshal.dumps((peer, request.head, request.body, rest))
        descriptors = [connection.fileno()]
        file: BinaryIO | None = None
        try:
            if len(message) > _IN_THE_MESSAGE:
                file = _file_in_memory()
                file.write(message)
                file.flush()
                descriptors.append(file.fileno())
                message = b"\0"
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))]
            self._in.sendmsg([message], ancillary)
        except OSError:  # full, or too many descriptors are on their way
            return False
        finally:
            if file:
                file.close()
        return True

    def take(self) -> tuple[socket.socket, Any, WholeRequest, bytes] | None:
        space = socket.CMSG_SPACE(_FEW_DESCRIPTORS * array("i").itemsize)
        try:
            message, ancillary, _, _ = self._out.recvmsg(2 * _IN_THE_MESSAGE, space)
        except OSError:
            return None
        descriptors = array("i")
        for _, kind, data in ancillary:
            if kind == socket.SCM_RIGHTS:
                descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        if not descriptors:
            return None
        connection = socket.socket(fileno=descriptors[0])
        connection.setblocking(False)
        if len(descriptors) > 1:
            with os.fdopen(descriptors[1], "rb") as file:
                file.seek(0)
                message = file.read()
        peer, head, body, rest = cast(_Parts, marshal.loads(message))  # noqa: S302 - written by another worker
        return connection, peer, WholeRequest(head, body), rest

    def close(self) -> None:
        for end in (self._in, self._out):
            end.close()


def _file_in_memory() -> BinaryIO:
    with contextlib.suppress(AttributeError, OSError):
        return cast(BinaryIO, io.FileIO(os.memfd_create("request"), "wb"))
    return cast(BinaryIO, tempfile.TemporaryFile())
