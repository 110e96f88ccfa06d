from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from flowpack.serving import draining
from flowpack.serving.draining import drain, drop_handshakes, refuse_new_connections, waiting_connections

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what closes the door, and TCP_INFO, are Linux's")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listening:
        yield listening


@pytest.fixture(params=[refuse_new_connections, drop_handshakes])
def close_door(request: pytest.FixtureRequest) -> Callable[[socket.socket], None]:
    """Both ways: a kernel from 5.1 on takes the first, for any user; later ones the second from an administrator."""

    def close(listener: socket.socket) -> None:
        if not request.param(listener):
            pytest.skip(f"this kernel does not let this user {request.param.__name__}")

    return close


def test_connections_that_came_before_are_served_and_later_ones_wait_outside(
    listener: socket.socket, close_door: Callable[[socket.socket], None]
) -> None:
    before = [socket.create_connection(listener.getsockname()) for _ in range(3)]
    assert waiting_connections(listener) == 3
    close_door(listener)
    with pytest.raises((ConnectionRefusedError, TimeoutError)):
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


def test_a_listener_of_both_internet_protocols_refuses_both() -> None:
    try:
        listening = socket.create_server(("::", 0), family=socket.AF_INET6, backlog=16, dualstack_ipv6=True)
    except OSError:
        pytest.skip("there is no IPv6 on this machine")
    with listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert refuse_new_connections(listening)
            with pytest.raises((ConnectionRefusedError, TimeoutError)):
                socket.create_connection(("127.0.0.1", port), timeout=0.3)
            assert waiting_connections(listening) == 1


def test_a_connection_refused_by_the_closed_socket_was_never_taken(
    listener: socket.socket, close_door: Callable[[socket.socket], None]
) -> None:
    """The client that is kept waiting learns by its next SYN that nobody is there: its request was not lost on us."""
    address = listener.getsockname()
    close_door(listener)
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


def test_a_door_that_stays_open_does_not_keep_the_server_from_stopping(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients go on and on: it stops at a moment in which none of them waits."""
    monkeypatch.setattr(draining, "refuse_new_connections", lambda _: False)
    listener.settimeout(0.1)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                listener.accept()[0].close()
            except TimeoutError:
                continue

    def ask() -> None:
        while not over.is_set():
            socket.create_connection(listener.getsockname(), timeout=10).close()

    threads = [threading.Thread(target=each) for each in (serve, ask)]
    for each in threads:
        each.start()
    begun = time.monotonic()
    drain([listener], patience=300)
    over.set()
    for each in threads:
        each.join()
    assert time.monotonic() - begun < 60
