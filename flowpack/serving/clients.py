"""The connections of one Flask worker: accepted, read, answered and ended without ever waiting for one of them."""

from __future__ import annotations

import collections
import contextlib
import functools
import select
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from logging import Logger
from typing import Any

from .framing import Incoming, WholeRequest
from .limits import LINGER, BodyMemory, Limits
from .refusals import Refused, body_too_slow, header_too_slow

_PIECE = 64 * 1024
_BETWEEN_LOOKS_AT_DEADLINES = 0.25
_MOST_WAITING_TO_BE_SENT = 4_000_000  # of one answer; a flow that streams more than that waits for its client
_MOST_READ_IN_VAIN = 16_000_000  # of a request that was refused, so that its client gets to read the refusal


class Outgoing:
    """What gunicorn takes for the client's socket; it keeps what the client does not take yet."""

    def __init__(self, sock: socket.socket, patience: float) -> None:
        self._sock = sock
        self._patience = patience
        self.pending = bytearray()

    def sendall(self, data: bytes) -> None:
        self.flush()
        sent = 0
        if not self.pending:
            with contextlib.suppress(BlockingIOError):
                sent = self._sock.send(data)
        if sent < len(data):
            self.pending += memoryview(data)[sent:]
            self._wait_for_the_client()

    def send(self, data: bytes) -> int:
        self.sendall(data)
        return len(data)

    def flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self.pending:
                with memoryview(self.pending) as view:
                    sent = self._sock.send(view[: 16 * _PIECE])
                del self.pending[:sent]

    def _wait_for_the_client(self) -> None:
        deadline = time.monotonic() + self._patience
        while len(self.pending) > _MOST_WAITING_TO_BE_SENT:
            left = deadline - time.monotonic()
            poll = select.poll()
            poll.register(self._sock, select.POLLOUT)
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError("the client does not take its answer")
            self.flush()


class Connection:
    """``state`` is what it waits for: a request (``idle``), its ``header`` or ``body``, the ``flow``, the client to
    take the ``answer``, or the client to see the ``end``."""

    __slots__ = (
        "deadline",
        "incoming",
        "keep",
        "outgoing",
        "peer",
        "read_in_vain",
        "server",
        "sock",
        "state",
        "watched",
    )

    def __init__(self, sock: socket.socket, peer: Any, limits: Limits) -> None:
        self.sock = sock
        self.peer = peer
        self.server: Any = ("", 0)
        with contextlib.suppress(OSError):  # the client may be gone
            self.server = sock.getsockname()
        self.incoming = Incoming(limits.body)
        self.outgoing = Outgoing(sock, limits.body_seconds)
        self.state = "flow"
        self.deadline = float("inf")
        self.watched = 0
        self.keep = True
        self.read_in_vain = 0


class Clients:
    """``ready`` are the whole requests that a thread may run. One thread at a time uses this, the one that leads.

    ``answer_health`` answers a request for ``/health`` at once and says whether the connection is kept.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        keep_alive: float,
        most: int,
        answer_health: Callable[[Connection, WholeRequest], bool],
        log: Logger,
    ) -> None:
        self._limits = limits
        self._keep_alive = keep_alive
        self._most = most
        self._answer_health = answer_health
        self._log = log
        self._selector = selectors.DefaultSelector()
        self._memory = BodyMemory(limits.body)
        self._connections: set[Connection] = set()
        self._unread: dict[Connection, None] = {}  # without a whole request yet, the longest waiting first
        self._held_back: set[Connection] = set()
        # They sent the next request before the answer to the last: nothing more may come that would wake the selector.
        self._begun_already: collections.deque[Connection] = collections.deque()
        self._next_look = 0.0
        self._listeners: Sequence[socket.socket] = ()
        self.draining = False
        self.ready: collections.deque[tuple[Connection, WholeRequest]] = collections.deque()

    def __len__(self) -> int:
        return len(self._connections)

    def watch(self, source: Any, call: Callable[[], None] | None) -> None:
        """``call`` when there is something to read from ``source``; None ends it."""
        watched = self._selector.get_map().get(source)
        if call and not watched:
            self._selector.register(source, selectors.EVENT_READ, call)
        elif watched and not call:
            self._selector.unregister(source)

    def listen_to(self, listeners: Sequence[socket.socket]) -> None:
        self._listeners = listeners

    def turn(self, timeout: float) -> None:
        """Waits for something to happen, at most ``timeout`` seconds, and sees to all that did."""
        room = len(self._connections) < self._most or bool(self._unread)
        for listener in self._listeners:
            self.watch(listener, functools.partial(self._accept, listener) if room else None)
        for key, _ in self._selector.select(0 if self._begun_already else timeout):
            if isinstance(key.data, Connection):
                self._see_to(key.data)
            else:
                key.data()
        for _ in range(len(self._begun_already)):
            connection = self._begun_already.popleft()
            if connection in self._unread:
                self._look_for_a_request(connection)
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _BETWEEN_LOOKS_AT_DEADLINES
            for connection in [each for each in self._connections if each.deadline <= now]:
                self._end_late(connection)

    def drain(self) -> None:
        """No new connections; one that is kept gets a moment for a request that its client may be sending."""
        self.draining = True
        for listener in self._listeners:
            self.watch(listener, None)
        self._listeners = ()
        latest = time.monotonic() + LINGER
        for connection in self._unread:
            if connection.state == "idle":
                connection.deadline = min(connection.deadline, latest)

    def adopt(self, sock: socket.socket, peer: Any, rest: bytes) -> Connection:
        """Of another worker, whose request this one runs."""
        connection = Connection(sock, peer, self._limits)
        connection.incoming.feed(rest)
        self._connections.add(connection)
        return connection

    def forget(self, connection: Connection) -> None:
        """It is another worker's now, or over."""
        self._watch_connection(connection, 0)
        self._connections.discard(connection)
        self._stop_reading(connection)
        self._memory.release(connection)
        connection.sock.close()
        self._let_go_on()

    def answered(self, connection: Connection, keep: bool) -> None:
        connection.keep = keep
        self._memory.release(connection)
        self._let_go_on()
        if connection.outgoing.pending:
            connection.state = "answer"
            connection.deadline = time.monotonic() + self._limits.body_seconds
            self._watch_connection(connection, selectors.EVENT_WRITE)
        elif keep:
            self._await_request(connection, self._keep_alive)
            if connection.incoming.begun:
                self._begun_already.append(connection)
        else:
            self._end(connection)

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, peer = listener.accept()
        except OSError:  # another worker was quicker, or no descriptor is left
            return
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while len(self._connections) >= self._most and self._unread:
            self.forget(next(iter(self._unread)))
        connection = Connection(sock, peer, self._limits)
        self._connections.add(connection)
        self._await_request(connection, self._limits.header_seconds)
        self._read(connection)

    def _await_request(self, connection: Connection, seconds: float) -> None:
        connection.state = "idle"
        connection.deadline = time.monotonic() + (min(seconds, LINGER) if self.draining else seconds)
        self._unread[connection] = None
        self._watch_connection(connection, selectors.EVENT_READ)

    def _see_to(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        if connection.state == "answer":
            self._send(connection)
        elif connection.state == "end":
            self._read_in_vain(connection)
        else:
            self._read(connection)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.forget(connection)
            return
        connection.incoming.feed(data)
        self._look_for_a_request(connection)

    def _look_for_a_request(self, connection: Connection) -> None:
        incoming = connection.incoming
        try:
            request = incoming.next_request()
        except Refused as refused:
            self._refuse(connection, refused)
            return
        if request is not None:
            self._stop_reading(connection)
            self._watch_connection(connection, 0)
            connection.state = "flow"
            connection.deadline = float("inf")
            self._memory.hold(connection, len(request.body))
            if request.asks_for_health:
                self.answered(connection, self._answer_health(connection, request))
            else:
                self.ready.append((connection, request))
            return
        if incoming.in_body and connection.state != "body":
            connection.state = "body"
            connection.deadline = time.monotonic() + self._limits.body_seconds
            if incoming.wants_continue:
                with contextlib.suppress(OSError):
                    connection.outgoing.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif incoming.begun and connection.state == "idle":
            connection.state = "header"
            connection.deadline = time.monotonic() + self._limits.header_seconds
        self._memory.hold(connection, incoming.size)
        if not self._memory.may_grow(connection):
            self._held_back.add(connection)
            self._watch_connection(connection, 0)

    def _stop_reading(self, connection: Connection) -> None:
        self._unread.pop(connection, None)
        self._held_back.discard(connection)

    def _let_go_on(self) -> None:
        for connection in [each for each in self._held_back if self._memory.may_grow(each)]:
            self._held_back.discard(connection)
            self._watch_connection(connection, selectors.EVENT_READ)

    def _refuse(self, connection: Connection, refused: Refused) -> None:
        self._log.info("Refused a request of %s: %s %s", connection.peer, refused.status, refused.message)
        try:
            connection.outgoing.sendall(refused.answer())
        except OSError:
            self.forget(connection)
            return
        self._stop_reading(connection)
        self.answered(connection, keep=False)

    def _send(self, connection: Connection) -> None:
        try:
            connection.outgoing.flush()
        except OSError:
            self.forget(connection)
            return
        if not connection.outgoing.pending:
            self._watch_connection(connection, 0)
            self.answered(connection, connection.keep)

    def _end(self, connection: Connection) -> None:
        """Closing with something unread would take the answer away from a client that has not read it yet."""
        try:
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.forget(connection)
            return
        connection.state = "end"
        connection.deadline = time.monotonic() + LINGER
        self._watch_connection(connection, selectors.EVENT_READ)

    def _read_in_vain(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(4 * _PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        connection.read_in_vain += len(data)
        if not data or connection.read_in_vain > _MOST_READ_IN_VAIN:
            self.forget(connection)

    def _end_late(self, connection: Connection) -> None:
        if connection.state == "idle":
            self._read(connection)  # it may have come this very moment
            if connection.state == "idle" and connection in self._connections:
                self.forget(connection)
        elif connection.state == "header":
            self._refuse(connection, header_too_slow(self._limits.header_seconds))
        elif connection.state == "body":
            self._refuse(connection, body_too_slow(self._limits.body_seconds))
        else:
            self.forget(connection)

    def _watch_connection(self, connection: Connection, events: int) -> None:
        if events == connection.watched:
            return
        if not connection.watched:
            self._selector.register(connection.sock, events, connection)
        elif events:
            self._selector.modify(connection.sock, events, connection)
        else:
            self._selector.unregister(connection.sock)
        connection.watched = events
