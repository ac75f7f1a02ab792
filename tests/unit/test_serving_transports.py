"""The server's own transports: what asyncio's do, but those who have left are not read, and do not delay the others."""

from __future__ import annotations

import asyncio
import gc
import select
import socket
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

pytest.importorskip("uvicorn")

from tests.leaks import ErrorLog
from webnn.serving import polling as polling_module
from webnn.serving import transports as transports_module
from webnn.serving.listening import listen
from webnn.serving.polling import PLACES, Epoll, Polling, polling
from webnn.serving.transports import HIGH, READ, Transport

needs_epoll = pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")
KINDS = [Polling, pytest.param(Epoll, marks=needs_epoll)]


class Recorder(asyncio.Protocol):
    """Writes down what its transport tells it."""

    def __init__(self, story: list[str], name: str = "") -> None:
        self.story, self.name = story, name
        self.received = bytearray()
        self.ended = asyncio.Event()

    def tell(self, what: str) -> None:
        self.story.append(f"{self.name}{what}")

    def data_received(self, data: bytes) -> None:
        self.tell("data")
        self.received += data

    def eof_received(self) -> None:
        self.tell("left")

    def pause_writing(self) -> None:
        self.tell("pause")

    def resume_writing(self) -> None:
        self.tell("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.tell("lost")
        self.ended.set()


class Network:
    """Connections of this process with itself."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._listener = self._stack.enter_context(listen("127.0.0.1", 0))
        self.story: list[str] = []
        self._made: list[tuple[Recorder, Transport]] = []

    def connect(
        self, polled: Polling, name: str = "", kind: type[Recorder] = Recorder
    ) -> tuple[socket.socket, Recorder, Transport]:
        client = self._stack.enter_context(socket.create_connection(self._listener.getsockname()[:2]))
        accepted, _ = self._listener.accept()
        recorder = kind(self.story, name)
        transport = Transport(asyncio.get_running_loop(), polled, accepted, recorder)
        self._made.append((recorder, transport))
        return client, recorder, transport

    async def end(self, polled: Polling) -> None:
        """End all connections."""
        async with asyncio.timeout(10):
            for recorder, transport in self._made:
                transport.abort()
                await recorder.ended.wait()
        polled.close()

    def forget(self) -> None:
        self._made.clear()

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.close()


async def received(recorder: Recorder, size: int) -> bytes:
    async with asyncio.timeout(10):
        while len(recorder.received) < size:  # noqa: ASYNC110 (the loop calls it)
            await asyncio.sleep(0)
    return bytes(recorder.received)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_sent_is_received_in_both_directions(network: Network, kind: type[Polling]) -> None:
    polled = kind(asyncio.get_running_loop())
    client, recorder, transport = network.connect(polled)
    client.sendall(b"a" * 1000)
    assert await received(recorder, 1000) == b"a" * 1000
    transport.write(b"answer")
    assert client.recv(100) == b"answer"
    assert transport.get_extra_info("peername") == client.getsockname()
    transport.close()
    await recorder.ended.wait()
    assert client.recv(1) == b""
    transport.close()
    transport.abort()
    transport.write(b"too late")
    await network.end(polled)
    assert network.story.count("lost") == 1


class Failing(Recorder):
    def data_received(self, data: bytes) -> None:
        raise AssertionError("a mistake of the server")


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
async def test_data_that_cannot_be_handled_ends_its_connection_and_the_others_are_read(
    network: Network, kind: type[Polling], error_log: ErrorLog
) -> None:
    polled = kind(asyncio.get_running_loop())
    wrong = [network.connect(polled, kind=Failing) for _ in range(2)]
    client, recorder, _ = network.connect(polled)
    for each, _, _ in [wrong[0], (client, recorder, None), wrong[1]]:
        each.sendall(b"a")
    assert await received(recorder, 1) == b"a"
    for each, failing, _ in wrong:
        await failing.ended.wait()
        assert each.recv(1) == b""
    assert ["could not be handled" in record.getMessage() for record in error_log.records] == [True, True]
    error_log.records.clear()
    await network.end(polled)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_that_reads_slowly_gets_all_and_the_protocol_is_told_to_wait(
    network: Network, kind: type[Polling]
) -> None:
    polled = kind(asyncio.get_running_loop())
    client, recorder, transport = network.connect(polled)
    parts = [bytes([number]) * 1_000_000 for number in range(16)]
    for part in parts:
        transport.write(part)
    assert network.story == ["pause"]
    assert transport.get_write_buffer_size() > HIGH
    transport.close()  # when all has been sent
    assert transport.is_closing()
    got = bytearray()
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(15):
        while data := await loop.sock_recv(client, READ):
            got += data
        await recorder.ended.wait()
    assert bytes(got) == b"".join(parts)
    assert network.story == ["pause", "resume", "lost"]
    await network.end(polled)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ends", [False, True])
async def test_what_clients_do_not_take_is_counted_and_timed(network: Network, kind: type[Polling], ends: bool) -> None:
    loop = asyncio.get_running_loop()
    polled = kind(loop)
    client, recorder, transport = network.connect(polled)
    other, _, _ = network.connect(polled)
    transport.write(b"answer")
    assert not transport.waits_since(loop.time() + 1)
    size = 32_000_000
    transport.write(bytes(size))
    assert 0 < transport.get_write_buffer_size() < size
    assert polled.memory.answers == size  # all of it is in memory until the last byte has been taken
    began = loop.time()
    assert transport.waits_since(began + 1)
    assert not transport.waits_since(began - 1)
    client.setblocking(False)
    async with asyncio.timeout(15):
        if ends:
            transport.abort()
            await recorder.ended.wait()
        else:
            taken, half = 0, transport.get_write_buffer_size() // 2
            while transport.get_write_buffer_size() > half:
                taken += len(await loop.sock_recv(client, READ))
            assert not transport.waits_since(began)
            assert transport.sends_since(began + 0.001)
            assert not transport.sends_since(began - 1)
            while taken < 6 + size:
                taken += len(await loop.sock_recv(client, READ))
    assert polled.memory.answers == 0
    assert not transport.waits_since(loop.time() + 1)
    assert not transport.sends_since(loop.time() + 1)
    other.close()
    await network.end(polled)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
async def test_a_transport_that_is_paused_receives_nothing(network: Network, kind: type[Polling]) -> None:
    polled = kind(asyncio.get_running_loop())
    client, recorder, transport = network.connect(polled)
    other, others, _ = network.connect(polled)
    transport.pause_reading()
    assert not transport.is_reading()
    client.sendall(b"first")
    other.sendall(b"second")
    await received(others, 6)
    assert not recorder.received
    transport.resume_reading()
    assert await received(recorder, 5) == b"first"
    await network.end(polled)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_gets_its_answer_though_not_all_was_read_that_it_has_sent(
    network: Network, kind: type[Polling]
) -> None:
    polled = kind(asyncio.get_running_loop())
    client, recorder, transport = network.connect(polled)
    transport.pause_reading()
    client.sendall(b"a" * 1000)
    transport.write(b"answer")
    transport.close()
    await recorder.ended.wait()
    assert client.recv(100) == b"answer"
    assert client.recv(100) == b""  # and no ConnectionResetError
    await network.end(polled)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
async def test_the_end_of_a_client_is_told_once(network: Network, kind: type[Polling]) -> None:
    polled = kind(asyncio.get_running_loop())
    client, recorder, transport = network.connect(polled)
    client.close()
    async with asyncio.timeout(10):
        await recorder.ended.wait()
    transport.abort()
    await asyncio.sleep(0)
    assert network.story.count("lost") == 1
    await network.end(polled)


@needs_epoll
@pytest.mark.asyncio
@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("leave", [socket.socket.close, lambda client: client.shutdown(socket.SHUT_WR)])
async def test_what_a_client_has_sent_is_not_read_when_it_has_left(
    network: Network, paused: bool, leave: Callable[[socket.socket], object]
) -> None:
    polled = polling(asyncio.get_running_loop())
    client, recorder, transport = network.connect(polled)
    if paused:
        transport.pause_reading()
    client.sendall(b"a" * 1000)
    leave(client)
    async with asyncio.timeout(10):
        await recorder.ended.wait()
    assert network.story == ["left", "lost"]
    await network.end(polled)


@needs_epoll
@pytest.mark.asyncio
async def test_those_who_have_left_are_given_up_first_and_closed_last(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling_module, "ENDING", 0)
    polled = polling(asyncio.get_running_loop())
    leavers = [network.connect(polled, f"{number} ") for number in range(50)]
    client, recorder, _ = network.connect(polled)
    for leaver, _, _ in leavers:
        leaver.sendall(b"request")
        leaver.close()
    client.sendall(b"request")
    await received(recorder, 7)
    assert sorted(network.story[:50]) == sorted(f"{number} left" for number in range(50))
    assert network.story[50] == "data"
    async with asyncio.timeout(10):
        for _, each, _ in leavers:
            await each.ended.wait()
    await network.end(polled)


class Waiting(Recorder):
    """One for whose client nothing runs."""

    runs = False


class Idle(Waiting):
    """One for whose client nothing is under way."""

    is_waited_for = False


@needs_epoll
@pytest.mark.asyncio
async def test_requests_are_read_after_the_runs_and_some_places_of_those_who_have_left_are_given_up(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling_module, "READING", 0)
    polled = polling(asyncio.get_running_loop())
    idle = [network.connect(polled, "idle ", Idle) for _ in range(50)]
    running = [network.connect(polled, "running ") for _ in range(50)]
    waiting = [network.connect(polled, "waiting ", Waiting) for _ in range(50)]
    client, recorder, _ = network.connect(polled)
    for leaver, _, _ in (*idle, *running, *waiting):
        leaver.sendall(b"request")
        leaver.close()
    client.sendall(b"request")
    await received(recorder, 7)
    assert network.story[: 51 + PLACES] == ["running left"] * 50 + ["waiting left"] * PLACES + ["data"]
    async with asyncio.timeout(10):
        for _, each, _ in (*idle, *running, *waiting):
            await each.ended.wait()
    await network.end(polled)


@needs_epoll
@pytest.mark.asyncio
async def test_those_who_have_left_are_told_little_by_little(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling_module, "ENDING", 0)
    polled = polling(asyncio.get_running_loop())
    idle = [network.connect(polled, "idle ", Idle) for _ in range(9)]
    for leaver, _, _ in idle:
        leaver.close()
    turns = 0
    async with asyncio.timeout(10):
        while network.story.count("idle left") < 9:
            await asyncio.sleep(0)
            turns += 1
        for _, each, _ in idle:
            await each.ended.wait()
    assert turns >= 9
    await network.end(polled)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pauses", [False, True])
async def test_what_does_not_fit_in_one_read_is_read_in_the_next_turns(
    network: Network, monkeypatch: pytest.MonkeyPatch, kind: type[Polling], pauses: bool
) -> None:
    monkeypatch.setattr(transports_module, "READ", 1000)
    monkeypatch.setattr(transports_module, "_memory", memoryview(bytearray(1000)))
    monkeypatch.setattr(polling_module, "READING", 0)
    loop = asyncio.get_running_loop()
    polled = kind(loop)
    both = [network.connect(polled) for _ in range(2)]
    sent = bytes(range(250)) * 100
    for client, recorder, transport in both:
        client.sendall(sent)
        if pauses:

            def receive(data: bytes, recorder: Recorder = recorder, transport: Transport = transport) -> None:
                recorder.received += data
                transport.pause_reading()
                loop.call_soon(transport.resume_reading)

            monkeypatch.setattr(recorder, "data_received", receive)
    for client, recorder, _ in both:
        assert await received(recorder, len(sent)) == sent
        client.sendall(b"more")
        assert await received(recorder, len(sent) + 4) == sent + b"more"
    await network.end(polled)


class Large(Recorder):
    """One whose requests have a hundred bytes."""

    @property
    def is_between(self) -> bool:
        return len(self.received) % 100 == 0


@needs_epoll
@pytest.mark.asyncio
@pytest.mark.parametrize(("seconds", "expected"), [(1, "210131"), (0, "212121")])  # all in one turn; one read in each
async def test_the_requests_that_began_last_and_first_are_read_in_turn(
    network: Network, monkeypatch: pytest.MonkeyPatch, seconds: float, expected: str
) -> None:
    monkeypatch.setattr(transports_module, "READ", 20)
    monkeypatch.setattr(transports_module, "_memory", memoryview(bytearray(20)))
    polled = polling(asyncio.get_running_loop())
    connections = [network.connect(polled, f"{number} ", Large) for number in range(4)]
    order = [2, 0, 3, 1]
    for number in order:  # begins before the others, and goes on after them
        connections[number][0].sendall(b"a")
        await received(connections[number][1], 1)
    network.story.clear()
    monkeypatch.setattr(polling_module, "READING", seconds)
    for client, _, _ in connections:
        client.sendall(b"a" * 59)
    for _, recorder, _ in connections:
        await received(recorder, 60)
    assert "".join(each[0] for each in network.story[:6]) == expected
    await network.end(polled)


class Body(Recorder):
    """One that receives its data in its own memory, but for the first byte."""

    def __init__(self, story: list[str], name: str = "") -> None:
        super().__init__(story, name)
        self.memory = memoryview(bytearray(1000))
        self.size = 0

    @property
    def body_memory(self) -> memoryview | None:
        return self.memory[self.size :] if self.received and self.size < 1000 else None

    def body_received(self, size: int) -> None:
        self.size += size


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
async def test_a_protocol_may_have_data_received_in_its_own_memory(
    network: Network, monkeypatch: pytest.MonkeyPatch, kind: type[Polling]
) -> None:
    monkeypatch.setattr(transports_module, "READ", 300)
    polled = kind(asyncio.get_running_loop())
    client, recorder, _ = network.connect(polled, "", Body)
    client.sendall(b"a")
    await received(recorder, 1)
    sent = bytes(range(250)) * 4
    client.sendall(sent + b"bcd")
    assert await received(recorder, 4) == b"abcd"
    assert isinstance(recorder, Body)
    assert bytes(recorder.memory) == sent
    await network.end(polled)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("leaves", [False, True])
async def test_nothing_is_left_to_the_garbage_collector(network: Network, kind: type[Polling], leaves: bool) -> None:
    polled = kind(asyncio.get_running_loop())
    client, recorder, transport = network.connect(polled)
    client.sendall(b"request")
    await received(recorder, 7)
    if leaves:
        client.close()
    else:
        transport.close()
    async with asyncio.timeout(10):
        await recorder.ended.wait()
    await asyncio.sleep(0)
    seen = weakref.ref(transport)
    network.forget()
    gc.disable()
    try:
        del transport
        assert seen() is None
    finally:
        gc.enable()
    await network.end(polled)


@needs_epoll
@pytest.mark.asyncio
@pytest.mark.parametrize("why", ["no request is under way", "patience", "no more files may be open"])
async def test_connections_are_closed_later_while_requests_are_under_way(
    network: Network, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    busy = True
    polled = polling(asyncio.get_running_loop(), lambda: busy)
    client, recorder, transport = network.connect(polled)
    client.close()
    async with asyncio.timeout(10):
        while not transport.is_closing():  # noqa: ASYNC110 (the loop calls it)
            await asyncio.sleep(0)
    await asyncio.sleep(0.02)
    assert network.story == ["left"]
    if why == "patience":
        monkeypatch.setattr(polled, "_latest", 0.0)
    elif why == "no request is under way":
        busy = False
    else:
        polled.close_left()
        assert network.story == ["left", "lost"]
    async with asyncio.timeout(10):
        await recorder.ended.wait()
    await network.end(polled)


@needs_epoll
@pytest.mark.asyncio
async def test_the_system_is_asked_again_who_has_left_while_requests_are_read(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling_module, "READING", 0)
    polled = polling(asyncio.get_running_loop())
    first, first_recorder, _ = network.connect(polled)
    second, second_recorder, _ = network.connect(polled, "second ")

    def leave(data: bytes) -> None:
        first_recorder.received += data
        second.close()

    monkeypatch.setattr(first_recorder, "data_received", leave)
    first.sendall(b"request")
    second.sendall(b"request")
    await received(first_recorder, 7)
    async with asyncio.timeout(10):
        await second_recorder.ended.wait()
    assert network.story == ["second left", "second lost"]
    await network.end(polled)
