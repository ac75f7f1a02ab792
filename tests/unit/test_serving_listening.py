"""The socket of a server: who has left before being accepted, and an end at which no connection is lost."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from webnn.errors import ValidationError
from webnn.serving.listening import has_left, listen, refuse_new

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs options of Linux's sockets")


@pytest.fixture(params=["127.0.0.1", "::1"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    try:
        found = listen(request.param, 0)
    except OSError:
        pytest.skip(f"this machine has no {request.param}")
    with found:
        yield found


def connected(listener: socket.socket, timeout: float = 5.0) -> socket.socket:
    return socket.create_connection(listener.getsockname()[:2], timeout)


@linux
def test_a_client_that_has_left_is_known_before_what_it_sent_is_read(listener: socket.socket) -> None:
    for leaves in (False, True):
        with connected(listener) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            if leaves:
                client.close()
            accepted, _ = listener.accept()
            with accepted:
                assert has_left(accepted) is leaves


@linux
def test_a_socket_that_stops_keeps_who_is_connected_and_lets_no_one_begin(listener: socket.socket) -> None:
    with connected(listener) as early:
        refuse_new(listener)
        with pytest.raises(TimeoutError):
            connected(listener, 0.1)
        early.sendall(b"hello")
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.recv(5) == b"hello"
            accepted.sendall(b"good day")
            assert early.recv(8) == b"good day"


def test_a_host_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ValidationError, match=r"--host nowhere\.invalid: "):
        listen("nowhere.invalid", 0)
