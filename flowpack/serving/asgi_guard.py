"""What uvicorn leaves to a proxy in front: deadlines, a limit of bodies, and a stop that loses no kept connection.

``Guard.protocol`` is uvicorn's own protocol, whichever it chose, with deadlines for headers; ``Guard`` itself stands
around the application, and gives it a request when its body is whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import struct
import termios
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .framing import MOST_OF_A_HEADER
from .limits import LINGER, BodyMemory, Limits
from .refusals import Refused, body_too_slow, header_too_slow, too_large

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_MOST_READ_IN_VAIN = 16_000_000  # of a request that was refused, so that its client gets to read the refusal
_CLOSE = (b"connection", b"close")


class Guard:
    """An ASGI application around ``application``, and what the connections of one worker share."""

    def __init__(self, application: Any, limits: Limits, most_connections: int) -> None:
        self._application = application
        self._memory = BodyMemory(limits.body)
        self.limits = limits
        self.most_connections = most_connections
        self.unread: dict[Any, None] = {}
        """Connections without a request, the longest waiting first."""
        self.draining = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        try:
            body = await self._whole_body(scope, receive) if _has_a_body(scope) else b""
        except Refused as refused:
            await _refuse(refused, receive, send)
            return
        except ConnectionError:
            return

        async def send_the_end_too(message: Message) -> None:
            if self.draining and message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), _CLOSE]}
            await send(message)

        await self._application(scope, _with_body_first(body, receive), send_the_end_too)

    def protocol(self, of_uvicorn: type) -> type:
        return type("GuardedProtocol", (_Guarded, of_uvicorn), {"guard": self})

    async def _whole_body(self, scope: Message, receive: Receive) -> bytes:
        holder = object()
        try:
            async with _Deadline(self.limits.body_seconds):
                return await self._read(holder, scope, receive)
        except asyncio.TimeoutError:
            raise body_too_slow(self.limits.body_seconds) from None
        finally:
            self._memory.release(holder)

    async def _read(self, holder: object, scope: Message, receive: Receive) -> bytes:
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if len(declared) > 18 or int(declared) > self.limits.body:
            raise too_large(self.limits.body)
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise ConnectionError("the client is gone")
            body += message.get("body", b"")
            if len(body) > self.limits.body:
                raise too_large(self.limits.body)
            if not message.get("more_body"):
                return bytes(body)
            self._memory.hold(holder, len(body))
            while not self._memory.may_grow(holder):
                await asyncio.sleep(0.05)


def _has_a_body(scope: Message) -> bool:
    """Refused if the length is unknown, or if the header is longer than uvicorn's limit."""
    length = coding = False
    size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    for name, value in scope["headers"]:
        size += len(name) + len(value)
        if name == b"content-length":
            length = True
        elif name == b"transfer-encoding":
            coding = True
    if size > MOST_OF_A_HEADER:
        raise Refused(431, f"The request's header is longer than {MOST_OF_A_HEADER} bytes.")
    if length and coding:
        raise Refused(400, "The request has both a Content-Length and a Transfer-Encoding.")
    return length or coding


async def _refuse(refused: Refused, receive: Receive, send: Send) -> None:
    """Closing with something unread would take the answer away from a client that has not read it yet."""
    body = refused.body
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), _CLOSE]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    read, more = 0, True
    with contextlib.suppress(asyncio.TimeoutError):
        async with _Deadline(LINGER):
            while more and read < _MOST_READ_IN_VAIN:
                message = await receive()
                read += len(message.get("body", b""))
                more = bool(message.get("more_body"))
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Deadline:
    """``asyncio.timeout``, which Python has from 3.11 on; ``wait_for`` would cost each request a task."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()

        def end() -> None:
            self._over = True
            if task:
                task.cancel()

        self._timer = asyncio.get_running_loop().call_later(self._seconds, end)

    async def __aexit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self._timer.cancel()
        if self._over and kind is asyncio.CancelledError:
            task = asyncio.current_task()
            if task and hasattr(task, "uncancel"):
                task.uncancel()
            raise asyncio.TimeoutError from error


def _with_body_first(body: bytes, receive: Receive) -> Receive:
    """A client that hangs up is known after its request, so that the application does not fail at reading it."""
    whole: Message | None = {"type": "http.request", "body": body, "more_body": False}

    async def receive_it_first() -> Message:
        nonlocal whole
        message, whole = whole, None
        return message or await receive()

    return receive_it_first


class _Guarded:
    """Goes before a protocol class of uvicorn's; h11's and httptools' have all names in common that are used here."""

    guard: Guard
    # Of uvicorn's protocols:
    loop: Any
    transport: Any
    cycle: Any
    connections: Any
    timeout_keep_alive: float
    timeout_keep_alive_task: Any
    _unset_keepalive_if_required: Callable[[], None]

    _timer: Any = None
    _header_size = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        guard = self.guard
        while len(self.connections) > guard.most_connections and guard.unread:
            oldest = next(iter(guard.unread))
            del guard.unread[oldest]
            oldest.transport.abort()
        guard.unread[self] = None
        if guard.draining:
            self.shutdown()
        else:
            self._expect_a_header()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)  # type: ignore[misc]
        if self._has_a_request() or self.transport.is_closing() or self not in self.connections:  # or a WebSocket
            self._stop_expecting()
            return
        self._header_size += len(data)
        if self._header_size > MOST_OF_A_HEADER:
            self._refuse(Refused(431, f"The request's header is longer than {MOST_OF_A_HEADER} bytes."))
        elif self._timer is None or self._header_size == len(data):
            self._expect_a_header()

    def on_response_complete(self) -> None:
        super().on_response_complete()  # type: ignore[misc]
        if not self._has_a_request() and not self.transport.is_closing():
            self.guard.unread[self] = None
            if self.guard.draining:
                self._linger()

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_expecting()
        super().connection_lost(error)  # type: ignore[misc]

    def shutdown(self) -> None:
        """uvicorn would close a connection whose next request is on its way, and keep quiet about it in an answer."""
        self.guard.draining = True
        if not self._has_a_request() and not self._header_size:
            self._stop_expecting()
            self._linger()

    def timeout_keep_alive_handler(self) -> None:
        if _unread_bytes(self.transport):
            self._linger()
        else:
            super().timeout_keep_alive_handler()  # type: ignore[misc]

    def send_400_response(self, message: str) -> None:
        self._refuse(Refused(400, message))

    def _has_a_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _linger(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(LINGER, self.timeout_keep_alive_handler)

    def _expect_a_header(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_later(self.guard.limits.header_seconds, self._end_late)

    def _stop_expecting(self) -> None:
        self.guard.unread.pop(self, None)
        self._header_size = 0
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _end_late(self) -> None:
        if self._header_size:
            self._refuse(header_too_slow(self.guard.limits.header_seconds))
        elif _unread_bytes(self.transport):
            self._expect_a_header()
        else:
            self.transport.close()

    def _refuse(self, refused: Refused) -> None:
        self._stop_expecting()
        if not self._has_a_request() or not self.cycle.response_started:
            self.transport.write(refused.answer())
        self.transport.close()


def _unread_bytes(transport: Any) -> bool:
    """Whether something came that the loop has not read yet."""
    sock = transport.get_extra_info("socket")
    with contextlib.suppress(OSError, AttributeError, ValueError):
        return bool(struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.FIONREAD, b"\0" * 4))[0])
    return False
