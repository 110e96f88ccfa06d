"""Cuts what a connection sends into whole requests, so that no thread that runs the flow waits for a client.

Only the end of a request is looked for here; gunicorn's parser reads the header. Where the two could disagree about
that end (several lengths, a length beside chunks, lines that do not end in CRLF), the request is refused: this is how
requests are smuggled past a proxy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .refusals import Refused, too_large

MOST_OF_A_HEADER = 64 * 1024
# What chunks may cost beside their data: each is a turn of a loop, and a client chooses how many there are.
_MOST_OF_CHUNK_LINES = 1_000_000
_LONGEST_CHUNK_LINE = 4096

_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_DIGITS = re.compile(rb"[0-9]{1,18}")
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n\0]*)?")


@dataclass(frozen=True)
class WholeRequest:
    """``head`` ends with the empty line; ``body`` is what it says, chunks put together."""

    head: bytes
    body: bytes

    @property
    def asks_for_health(self) -> bool:
        method, _, rest = self.head[:256].partition(b" ")
        return method in (b"GET", b"HEAD") and rest.partition(b" ")[0].partition(b"?")[0] == b"/health"


class Incoming:
    """The bytes of one connection; ``feed`` it, then ask for ``next_request``."""

    def __init__(self, most_of_a_body: int) -> None:
        self._most = most_of_a_body
        self._buffer = bytearray()
        self._searched = 0
        self._head: bytes | None = None
        self._length: int | None = None  # of the body; None: it comes in chunks
        self._chunks: _Chunks | None = None
        self.wants_continue = False

    @property
    def size(self) -> int:
        return len(self._buffer) + (len(self._chunks.data) if self._chunks else 0)

    @property
    def begun(self) -> bool:
        return self._head is not None or bool(self._buffer)

    @property
    def in_body(self) -> bool:
        return self._head is not None

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def rest(self) -> bytes:
        """What came after the last whole request."""
        return bytes(self._buffer)

    def next_request(self) -> WholeRequest | None:
        """None until a request is whole; Refused where it cannot become one."""
        if self._head is None and not self._read_head():
            return None
        if self._chunks is not None:
            if not self._chunks.read(self._buffer):
                return None
            body = bytes(self._chunks.data)
        else:
            length = self._length or 0
            if len(self._buffer) < length:
                return None
            body = bytes(memoryview(self._buffer)[:length])
            del self._buffer[:length]
        request = WholeRequest(self._head or b"", body)
        self._head = self._length = self._chunks = None
        self._searched = 0
        self.wants_continue = False
        return request

    def _read_head(self) -> bool:
        while self._buffer[:2] == b"\r\n" and not self._searched:  # an empty line before a request is passed over
            del self._buffer[:2]
        start = max(0, self._searched - 3)
        end = self._buffer.find(b"\r\n\r\n", start)
        stop = end if end >= 0 else len(self._buffer)
        if _BARE_LINE_FEED.search(self._buffer, start, stop):
            raise Refused(400, "A line of the request's header does not end with CR LF.")
        if stop > MOST_OF_A_HEADER:
            raise Refused(431, f"The request's header is longer than {MOST_OF_A_HEADER} bytes.")
        self._searched = len(self._buffer)
        if end < 0:
            return False
        self._head = bytes(memoryview(self._buffer)[: end + 4])
        del self._buffer[: end + 4]
        self._look_for_a_body(self._head)
        return True

    def _look_for_a_body(self, head: bytes) -> None:
        lengths, codings, expects = [], [], False
        request_line, *lines = head[:-4].split(b"\r\n")
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon or name[:1] in b" \t" or name[-1:] in b" \t":
                raise Refused(400, "A line of the request's header is not 'name: value'.")
            name = name.lower()
            if name == b"content-length":
                lengths.append(value.strip(b" \t"))
            elif name == b"transfer-encoding":
                codings.append(value.strip(b" \t").lower())
            elif name == b"expect":
                expects = value.strip(b" \t").lower() == b"100-continue"
        if codings:
            if lengths:
                raise Refused(400, "The request has both a Content-Length and a Transfer-Encoding.")
            if codings != [b"chunked"] or not request_line.endswith(b"HTTP/1.1"):
                raise Refused(400, "The request's Transfer-Encoding is not 'chunked'.")
            self._chunks = _Chunks(self._most)
        elif lengths:
            if len(lengths) > 1 or not lengths[0].isdigit():
                raise Refused(400, "The request's Content-Length is not one whole number.")
            if not _DIGITS.fullmatch(lengths[0]) or int(lengths[0]) > self._most:
                raise too_large(self._most)
            self._length = int(lengths[0])
        self.wants_continue = expects and bool(codings or self._length)


class _Chunks:
    """A body in chunks; each is taken out of the connection's buffer when it is there."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._left: int | None = None  # of the chunk that is being read; None: its line comes next
        self._overhead = 0
        self._last = False
        self.data = bytearray()

    def read(self, buffer: bytearray) -> bool:
        """Whether the body is whole. Takes from ``buffer`` in one go at the end: taking each line would copy it all."""
        position = 0
        try:
            while True:
                if self._left:
                    piece = buffer[position : position + self._left]
                    if not piece:
                        return False
                    self.data += piece
                    position += len(piece)
                    self._left -= len(piece)
                    continue
                end = buffer.find(b"\r\n", position, position + _LONGEST_CHUNK_LINE + 2)
                if end < 0:
                    if len(buffer) - position > _LONGEST_CHUNK_LINE:
                        raise Refused(400, "A line between the chunks of the request's body is too long.")
                    return False
                line = bytes(buffer[position:end])
                self._overhead += end + 2 - position
                position = end + 2
                if self._overhead > _MOST_OF_CHUNK_LINES + len(self.data) // 4:
                    raise Refused(400, "The request's body is in too many small chunks.")
                if self._line_ends_the_body(line):
                    return True
        finally:
            del buffer[:position]

    def _line_ends_the_body(self, line: bytes) -> bool:
        if self._last:  # trailers, which nobody reads, up to an empty line
            return not line
        if self._left == 0:  # what ends a chunk
            if line:
                raise Refused(400, "A chunk of the request's body is longer than it says.")
            self._left = None
            return False
        found = _CHUNK.fullmatch(line)
        if not found:
            raise Refused(400, "A chunk of the request's body does not say its size.")
        size = int(found[1], 16)
        if len(self.data) + size > self._most:
            raise too_large(self._most)
        self._last = size == 0
        self._left = size or None
        return False
