from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from flowpack.serving.framing import WholeRequest
from flowpack.serving.handover import Handover

REQUEST = WholeRequest(b"POST /score HTTP/1.1\r\n\r\n", b"body")


@pytest.fixture
def handover() -> Iterator[Handover]:
    made = Handover()
    yield made
    made.close()


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    client, server = socket.socketpair()
    with client, server:
        yield client, server


def test_a_request_goes_to_another_process_with_its_connection(
    handover: Handover, connection: tuple[socket.socket, socket.socket]
) -> None:
    client, server = connection
    assert handover.give(server, ("127.0.0.1", 5), REQUEST, b"rest")
    server.close()
    child = os.fork()
    if not child:
        taken = handover.take()
        if taken and taken[1:] == (("127.0.0.1", 5), REQUEST, b"rest"):
            taken[0].sendall(b"answer")
        os._exit(0)
    os.waitpid(child, 0)
    assert client.recv(100) == b"answer"


def test_a_large_request_arrives_whole(handover: Handover, connection: tuple[socket.socket, socket.socket]) -> None:
    large = WholeRequest(REQUEST.head, os.urandom(1_500_000))
    assert handover.give(connection[1], None, large, b"")
    taken = handover.take()
    assert taken
    assert taken[2] == large
    taken[0].close()


def test_a_full_queue_takes_nothing_more_and_an_empty_one_gives_nothing(
    handover: Handover, connection: tuple[socket.socket, socket.socket]
) -> None:
    assert handover.take() is None
    given = 0
    while handover.give(connection[1], None, REQUEST, b""):
        given += 1
        assert given < 100_000
    assert given >= 1
    taken = 0
    while found := handover.take():
        found[0].close()
        taken += 1
    assert taken == given
