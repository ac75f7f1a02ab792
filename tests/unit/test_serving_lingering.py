"""Connections that the server ends while their clients send: what they have been answered reaches them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

pytest.importorskip("uvicorn")

from tests.unit.test_serving_transports import KINDS, Network, Recorder
from webnn.serving import lingering as lingering_module
from webnn.serving.polling import Polling

ANSWER = b"refused"
MUCH = b"the rest of a large body" * 200_000


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network()
    yield network
    network.close()


class Sender(Recorder):
    """The protocol of a client that may still be sending."""

    may_send = True


def sent_and_received(client: socket.socket) -> bytes:
    """Send `MUCH`, whatever comes meanwhile, and then read to the end; gives what came."""
    client.settimeout(10)
    client.sendall(MUCH)
    received = b""
    while part := client.recv(1 << 16):
        received += part
    return received


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_that_is_still_sending_gets_its_answer(network: Network, kind: type[Polling]) -> None:
    polled = kind(asyncio.get_running_loop())
    client, recorder, transport = network.connect(polled, kind=Sender)
    transport.write(ANSWER)
    transport.close()
    assert await asyncio.to_thread(sent_and_received, client) == ANSWER
    assert network.story == ["lost"]  # nothing of what it sends reaches the protocol
    client.close()
    async with asyncio.timeout(10):
        while polled.lingering:  # noqa: ASYNC110 (they tell nobody)
            await asyncio.sleep(0)
    await recorder.ended.wait()
    await network.end(polled)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
async def test_what_has_come_that_was_not_read_says_that_more_may_come(network: Network, kind: type[Polling]) -> None:
    polled = kind(asyncio.get_running_loop())
    client, recorder, transport = network.connect(polled)
    transport.pause_reading()
    client.sendall(b"a request behind another one")
    transport.write(ANSWER)
    transport.close()
    await recorder.ended.wait()
    assert len(polled.lingering) == 1
    assert await asyncio.to_thread(sent_and_received, client) == ANSWER
    polled.close_left()  # as where no more files may be open
    assert not polled.lingering
    await network.end(polled)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
async def test_others_are_closed_at_once(network: Network, kind: type[Polling]) -> None:
    polled = kind(asyncio.get_running_loop())
    client, recorder, transport = network.connect(polled)
    transport.close()
    await recorder.ended.wait()
    assert not polled.lingering
    client.settimeout(10)
    assert client.recv(1) == b""
    client, recorder, transport = network.connect(polled, kind=Sender)
    client.close()
    transport.close()
    await recorder.ended.wait()
    assert not polled.lingering
    await network.end(polled)


@pytest.mark.asyncio
@pytest.mark.parametrize("talks", [False, True])
async def test_clients_that_do_not_close_are_not_waited_for_long(
    network: Network, monkeypatch: pytest.MonkeyPatch, talks: bool
) -> None:
    monkeypatch.setattr(lingering_module, "SILENT", 0.05)
    monkeypatch.setattr(lingering_module, "LONGEST", 0.2)
    polled = Polling(asyncio.get_running_loop())
    client, _, transport = network.connect(polled, kind=Sender)
    transport.close()
    await asyncio.sleep(0.001)
    assert polled.lingering
    async with asyncio.timeout(10):
        while polled.lingering:
            if talks:
                client.sendall(b"more")
            await asyncio.sleep(0.01)
    await network.end(polled)
