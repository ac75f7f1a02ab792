"""Clients that have connected and not sent anything yet: they have a socket, and no connection until they send."""

from __future__ import annotations

import asyncio
import math
import select
import socket
from collections.abc import Iterator

import pytest

pytest.importorskip("uvicorn")

from webnn.serving.arrivals import Arrivals
from webnn.serving.listening import listen
from webnn.serving.polling import Epoll, Polling
from webnn.serving.transports import Transport

KINDS = [
    Polling,
    pytest.param(Epoll, marks=pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")),
]


class Recorder(asyncio.Protocol):
    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


class Door:
    """Takes connections to itself, whose protocols are recorders."""

    def __init__(self, listener: socket.socket, polled: Polling) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._polling = polled
        self.connected: list[tuple[Recorder, Transport]] = []
        self.arrivals = Arrivals(self._loop, polled, self._connect)

    def _connect(self, connection: socket.socket) -> Transport:
        recorder = Recorder()
        self.connected.append((recorder, Transport(self._loop, self._polling, connection, recorder)))
        return self.connected[-1][1]

    def arrive(self) -> socket.socket:
        client = socket.create_connection(self._listener.getsockname()[:2])
        self.arrivals.add(self._listener.accept()[0])
        return client

    async def until_received(self, data: bytes) -> None:
        """Wait until the last one that was connected has received it."""
        async with asyncio.timeout(10):
            while not self.connected or self.connected[-1][0].received != data:  # noqa: ASYNC110 (the loop calls it)
                await asyncio.sleep(0)

    async def end(self) -> None:
        async with asyncio.timeout(10):
            for recorder, transport in self.connected:
                transport.abort()
                await recorder.ended.wait()
        self.arrivals.close_before(math.inf)
        self._polling.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with listen("127.0.0.1", 0) as listener:
        yield listener


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_is_connected_when_it_sends_something(listener: socket.socket, kind: type[Polling]) -> None:
    door = Door(listener, kind(asyncio.get_running_loop()))
    with door.arrive() as first, door.arrive() as second:
        second.sendall(b"hello")
        await door.until_received(b"hello")
        second.sendall(b" again")
        await door.until_received(b"hello again")
        assert len(door.connected) == len(door.arrivals.waiting) == 1
        first.sendall(b"a" * 600_000)  # more than one read
        await door.until_received(b"a" * 600_000)
        assert not door.arrivals.waiting
        door.connected[0][1].write(b"answer")
        assert second.recv(100) == b"answer"
        await door.end()


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_that_leaves_without_sending_anything_leaves_nothing(
    listener: socket.socket, kind: type[Polling]
) -> None:
    door = Door(listener, kind(asyncio.get_running_loop()))
    door.arrive().close()
    async with asyncio.timeout(10):
        while door.arrivals.waiting and not door.connected:  # noqa: ASYNC110 (the loop calls it)
            await asyncio.sleep(0)
    assert len(door.connected) == (kind is Polling)  # which has to read to learn of it
    await door.end()


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
async def test_those_who_came_before_a_time_are_disconnected(listener: socket.socket, kind: type[Polling]) -> None:
    door = Door(listener, kind(asyncio.get_running_loop()))
    with door.arrive() as first, door.arrive() as second:
        (_, arrival) = door.arrivals.waiting
        door.arrivals.close_before(arrival.came)
        assert list(door.arrivals.waiting) == [arrival]
        assert first.recv(1) == b""
        second.sendall(b"hello")
        await door.until_received(b"hello")
        door.arrivals.close_before(math.inf)  # it is none of them any more
        second.sendall(b" again")
        await door.until_received(b"hello again")
        await door.end()
