"""Stops a listening socket from taking new connections while those it already took are still served.

Closing a listening socket resets every connection that the kernel completed and no worker has accepted yet: requests
that a client has already sent. So new handshakes are dropped first (a client's SYN goes unanswered, and is refused
once the socket is closed), then the queue runs empty, and only then may the workers stop.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import time
from collections.abc import Sequence

_SO_ATTACH_FILTER = 26
_TCP_INFO = 11
_UNACKED = 24  # tcp_info.tcpi_unacked: of a listening socket, how many connections wait to be accepted

# A classic BPF program over a TCP segment: drop it where the SYN bit is set in its flags, else keep all of it.
_DROP_SYN = (
    (0x30, 0, 0, 13),
    (0x45, 0, 1, 0x02),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFFFFFF),
)


def drain(listeners: Sequence[socket.socket], patience: float, settle: float = 0.25, step: float = 0.02) -> None:
    """Returns once no connection has waited for ``settle`` seconds, or ``patience`` is over.

    A handshake that was half way when the filter came has until then to complete, and a worker that has just
    accepted a connection has until then to read its request.
    """
    for listener in listeners:
        refuse_new_connections(listener)
    deadline = time.monotonic() + patience
    quiet_since = time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - quiet_since < settle:
        if any(waiting_connections(listener) for listener in listeners):
            quiet_since = time.monotonic()
        time.sleep(step)


def refuse_new_connections(listener: socket.socket) -> None:
    """Best effort: a kernel without socket filters lets new connections come until the socket is closed."""
    instructions = b"".join(struct.pack("HBBI", *each) for each in _DROP_SYN)
    program = ctypes.create_string_buffer(instructions, len(instructions))
    with contextlib.suppress(OSError):
        listener.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_DROP_SYN), ctypes.addressof(program))
        )


def waiting_connections(listener: socket.socket) -> int:
    """How many connections the kernel has completed and nobody accepted; 0 where it does not tell."""
    try:
        information = listener.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 104)
    except OSError:
        return 0
    return int(struct.unpack_from("I", information, _UNACKED)[0]) if len(information) >= _UNACKED + 4 else 0
