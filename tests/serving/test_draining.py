from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator

import pytest

from flowpack.serving.draining import drain, refuse_new_connections, waiting_connections

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="socket filters and TCP_INFO are Linux's")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listening:
        yield listening


def test_connections_that_came_before_are_served_and_later_ones_wait_outside(listener: socket.socket) -> None:
    before = [socket.create_connection(listener.getsockname()) for _ in range(3)]
    assert waiting_connections(listener) == 3
    refuse_new_connections(listener)
    with pytest.raises(TimeoutError):
        socket.create_connection(listener.getsockname(), timeout=0.3)
    for client in before:
        client.sendall(b"request")
        accepted, _ = listener.accept()
        assert accepted.recv(100) == b"request"
        accepted.sendall(b"answer")
        assert client.recv(100) == b"answer"
        accepted.close()
        client.close()
    assert waiting_connections(listener) == 0


def test_a_connection_refused_by_the_closed_socket_was_never_taken(listener: socket.socket) -> None:
    """The client that is kept waiting learns by its next SYN that nobody is there: its request was not lost on us."""
    address = listener.getsockname()
    refuse_new_connections(listener)
    threading.Timer(0.2, listener.close).start()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=10)


def test_draining_waits_until_the_queue_is_empty(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()):
        accepting = threading.Timer(0.2, listener.accept)
        accepting.start()
        drain([listener], patience=30, settle=0.05)
        assert waiting_connections(listener) == 0
        accepting.join()


def test_draining_gives_up(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()):
        drain([listener], patience=0.2, settle=0.1)
        assert waiting_connections(listener) == 1
