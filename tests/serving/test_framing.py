from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowpack.serving.framing import MOST_OF_A_HEADER, Incoming, WholeRequest
from flowpack.serving.refusals import Refused

BODY = b'{"text": "a"}'
PLAIN = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n" + BODY
CHUNKED = (
    b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;a=b\r\n" + BODY[:5] + b"\r\n8\r\n" + BODY[5:] + b"\r\n0\r\nTrailer: x\r\n\r\n"
)
GET = b"GET /health?a HTTP/1.1\r\nHost: x\r\n\r\n"


_PIECES = [
    *(b"POST /score HTTP/1.1", b"Host: x", b"Content-Length: ", b"Transfer-Encoding: chunked", b"9" * 30, b"a" * 100),
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"7", b"ff", b"0", b":", b" ", b"\0", b"\xff", b";", b"-"),
]


def read(pieces: list[bytes], most: int = 1000) -> list[WholeRequest]:
    incoming = Incoming(most)
    found = []
    for piece in pieces:
        incoming.feed(piece)
        while request := incoming.next_request():
            found.append(request)
    return found


def cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = sorted({place % (len(data) + 1) for place in places})
    return [data[start:end] for start, end in zip([0, *marks], [*marks, len(data)], strict=True)]


@given(st.lists(st.integers(min_value=0), max_size=8))
def test_requests_are_the_same_however_their_bytes_arrive(places: list[int]) -> None:
    first, second, third = read(cut(PLAIN + CHUNKED + GET, places))
    assert first.body == second.body == BODY
    assert first.head + first.body == PLAIN
    assert (third.body, third.asks_for_health, first.asks_for_health) == (b"", True, False)


def test_a_request_is_not_whole_before_its_last_byte() -> None:
    for data in (PLAIN, CHUNKED, GET):
        assert read([data[:-1]]) == []
        assert len(read([bytes([each]) for each in data])) == 1


@pytest.mark.attack("held: malformed requests")
@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from(_PIECES) | st.binary(max_size=20),
        max_size=30,
    )
)
def test_any_bytes_are_requests_or_refused_with_a_4xx(pieces: list[bytes]) -> None:
    try:
        found = read(pieces)
    except Refused as refused:
        assert 400 <= refused.status < 500
        return
    assert all(len(request.body) <= 1000 for request in found)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Content-Length: 2\r\nContent-Length: 2", 400),
        ("Content-Length: 2\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: gzip, chunked", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
        ("Content-Length: -1", 400),
        ("Content-Length: +1", 400),
        ("Content-Length: 1_0", 400),
        ("Content-Length: ", 400),
        ("Content-Length : 2", 400),
        (" Content-Length: 2", 400),
        ("no colon", 400),
        ("a: b\nContent-Length: 2", 400),
        ("Content-Length: 1001", 413),
        ("Content-Length: " + "9" * 5000, 413),
        ("a: " + "b" * MOST_OF_A_HEADER, 431),
    ],
)
def test_a_header_that_leaves_the_end_of_the_request_open_is_refused(header: str, status: int) -> None:
    with pytest.raises(Refused) as refused:
        read([f"POST /score HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode()])
    assert refused.value.status == status


@pytest.mark.parametrize("body", [b"zz\r\n", b"-1\r\n", b"\r\n", b"1" * 5000, b"1\r\nab\r\n0\r\n\r\n", b"0x1\r\n"])
def test_chunks_that_say_no_size_are_refused(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read([b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + body])
    assert refused.value.status == 400


@pytest.mark.attack("M8")
def test_a_body_in_chunks_is_refused_when_it_grows_too_large_not_when_it_ends() -> None:
    incoming = Incoming(1000)
    incoming.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(Refused) as refused:
        for _ in range(1000):
            incoming.feed(b"64\r\n" + b"a" * 100 + b"\r\n")
            assert incoming.next_request() is None
            assert incoming.size < 2000
    assert refused.value.status == 413


def test_a_body_of_very_many_chunks_is_refused() -> None:
    incoming = Incoming(10**9)
    incoming.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(Refused, match="small chunks"):
        for _ in range(50):
            incoming.feed(b"1\r\na\r\n" * 10_000)
            incoming.next_request()
