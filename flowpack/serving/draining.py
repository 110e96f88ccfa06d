"""Stops a listening socket from taking new connections while those it already took are still served.

Closing a listening socket resets every connection that the kernel completed and no worker has accepted yet: requests
that a client has already sent. So new connections are refused first, then the queue runs empty, and only then may the
workers stop.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import sys
import time
from collections.abc import Sequence

_SO_ATTACH_FILTER = 26
_SO_BINDTOIFINDEX = 62
_NO_INTERFACE = 2**31 - 1
_TCP_INFO = 11
_UNACKED = 24  # tcp_info.tcpi_unacked: of a listening socket, how many connections wait to be accepted

# A classic BPF program over a TCP segment: drop it where the SYN bit is set in its flags, else keep all of it.
_DROP_SYN = (
    (0x30, 0, 0, 13),
    (0x45, 0, 1, 0x02),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFFFFFF),
)

# How long to wait for a moment in which nobody waits, where new connections cannot be kept away.
_PATIENCE_WITH_THE_DOOR_OPEN = 5.0


def drain(listeners: Sequence[socket.socket], patience: float, settle: float = 0.25, step: float = 0.02) -> None:
    """Returns once no connection has waited for ``settle`` seconds, or ``patience`` is over.

    A handshake that was half way when the door closed has until then to complete, and a worker that has just accepted
    a connection has until then to read its request. Where the door stays open there may never be such a time: then
    the first moment without a waiting connection is the best one.
    """
    kept_out = [refuse_new_connections(listener) for listener in listeners]
    if not all(kept_out):
        patience, settle, step = min(patience, _PATIENCE_WITH_THE_DOOR_OPEN), 0, min(step, 0.001)
    deadline = time.monotonic() + patience
    quiet_since: float | None = None
    while (now := time.monotonic()) < deadline:
        if any(waiting_connections(listener) for listener in listeners):
            quiet_since = None
        elif quiet_since is None:
            quiet_since = now
        if quiet_since is not None and now - quiet_since >= settle:
            return
        time.sleep(step)


def refuse_new_connections(listener: socket.socket) -> bool:
    """Whether the kernel keeps new connections away from now on; what it took before stays in the queue.

    Bound to an interface that there is not, the socket hears of no new handshake and their senders are refused, as if
    it were closed. Kernels before 5.1 have a filter for it, which later ones allow to administrators of the network
    alone; there a client is left without an answer until the socket is closed.
    """
    if sys.platform != "linux":
        return False
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX, _NO_INTERFACE)
        return True
    return drop_handshakes(listener)


def drop_handshakes(listener: socket.socket) -> bool:
    instructions = b"".join(struct.pack("HBBI", *each) for each in _DROP_SYN)
    program = ctypes.create_string_buffer(instructions, len(instructions))
    with contextlib.suppress(OSError):
        listener.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_DROP_SYN), ctypes.addressof(program))
        )
        return True
    return False


def waiting_connections(listener: socket.socket) -> int:
    """How many connections the kernel has completed and nobody accepted; 0 where it does not tell."""
    try:
        information = listener.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 104)
    except OSError:
        return 0
    return int(struct.unpack_from("I", information, _UNACKED)[0]) if len(information) >= _UNACKED + 4 else 0
