"""The end of a server: what was accepted is answered, and clients that do not take their answers do not hold it up."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("orjson")
pytest.importorskip("prometheus_client")
pytest.importorskip("uvicorn")

from tests.serving import application
from webnn.runtime.context import MLContext
from webnn.runtime.ml import ML
from webnn.serving import server as server_module
from webnn.serving.connections import Connection
from webnn.serving.listening import listen
from webnn.serving.repository import Served
from webnn.serving.server import Server

SIZE = 32 * 1024 * 1024
"""Bytes of the tensor in an answer, which no system takes off the server's hands."""
DOCUMENT = json.dumps(
    {
        "inputs": [{"name": "x", "shape": [1, 1], "datatype": "UINT8", "data": [1]}],
        "parameters": {"binary_data_output": True},
    }
).encode()
ASKED = b"POST /v2/models/large/infer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(DOCUMENT), DOCUMENT)


@pytest.fixture
def context() -> Iterator[MLContext]:
    with ML().create_context(backend="arrays") as context:
        yield context


def large(context: MLContext) -> Served:
    """A model with a large output."""
    builder = context.create_graph_builder()
    y = builder.expand(builder.input("x", [1, 1], "uint8"), [1024, SIZE // 1024])
    return Served("large", "1", builder.build({"y": y}), batched=False)


@asynccontextmanager
async def serving(
    context: MLContext, monkeypatch: pytest.MonkeyPatch, **limits: Any
) -> AsyncIterator[tuple[Server, socket.socket]]:
    """A server in this loop, and a client that has asked for a large answer. At the end, the server has ended."""
    monkeypatch.setattr(server_module, "GRACE", 0.0)
    monkeypatch.setattr(server_module, "LINGER", 0.01)
    with listen("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        server = Server(application(large(context), max_bodies=SIZE, **limits))
        ends = asyncio.create_task(server.serve([listener]))
        async with asyncio.timeout(20):
            with socket.create_connection(address) as client:
                client.setblocking(False)
                await asyncio.get_running_loop().sock_sendall(client, ASKED)
                while not unsent(server):  # noqa: ASYNC110 (it tells nobody)
                    await asyncio.sleep(0.001)
                yield server, client
                await ends


def unsent(server: Server) -> int:
    """The bytes that clients have not taken."""
    connections = server.server_state.connections
    return sum(each.transport.get_write_buffer_size() for each in connections if isinstance(each, Connection))


@pytest.mark.asyncio
@pytest.mark.parametrize("again", [False, True])
async def test_a_client_that_takes_nothing_does_not_hold_up_the_end(
    context: MLContext, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    monkeypatch.setattr(server_module, "UNREAD_AT_END", 1000.0 if again else 0.05)
    async with serving(context, monkeypatch) as (server, _):
        server.stop()
        if again:
            server.stop()


@pytest.mark.asyncio
async def test_a_client_that_takes_its_answer_while_the_server_ends_gets_it(
    context: MLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(context, monkeypatch) as (server, client):
        server.stop()
        received = 0
        while data := await asyncio.get_running_loop().sock_recv(client, 1 << 20):
            received += len(data)
        assert received > SIZE


@pytest.mark.asyncio
@pytest.mark.parametrize("why", ["for long", "while memory is short"])
async def test_a_client_that_takes_nothing_is_disconnected(
    context: MLContext, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setattr(server_module, "UNREAD", 0.05 if why == "for long" else 5.0)
    monkeypatch.setattr(server_module, "UNREAD_IF_FULL", 0.05 if why == "while memory is short" else 1000.0)
    async with serving(context, monkeypatch) as (server, _):
        while unsent(server):  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0.001)
        assert not server.server_state.connections
        server.stop()


@pytest.mark.asyncio
async def test_a_client_that_takes_too_long_while_memory_is_short_is_disconnected(
    context: MLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "UNREAD", 1.0)
    loop, received = asyncio.get_running_loop(), 0
    async with serving(context, monkeypatch, timeout=0.3) as (server, client):
        while server.server_state.connections:
            received += len(await loop.sock_recv(client, 1 << 16))
            await asyncio.sleep(0.005)
        server.stop()
    assert 0 < received < SIZE // 2


@pytest.mark.asyncio
async def test_answers_that_clients_do_not_take_hold_up_the_runs_of_others_and_not_more_memory(
    context: MLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "UNREAD_IF_FULL", 0.05)
    loop = asyncio.get_running_loop()
    with listen("127.0.0.1", 0) as listener, ExitStack() as stack:
        app = application(large(context), max_bodies=4 * SIZE + 100)
        memory, most = app.shared.memory, 0

        def keep(size: int) -> None:
            nonlocal most
            memory.answers += size
            most = max(most, memory.answers)

        monkeypatch.setattr(memory, "keep", keep)
        server = Server(app)
        ends = asyncio.create_task(server.serve([listener]))
        clients = [stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(7)]
        async with asyncio.timeout(30):
            for client in clients:
                client.setblocking(False)
                await loop.sock_sendall(client, ASKED)
            received = 0
            while received < SIZE:  # the last one takes its answer
                received += len(await loop.sock_recv(clients[-1], 1 << 20))
            while app.inferences[0].requests.by_status[200] < len(clients):  # noqa: ASYNC110 (it tells nobody)
                await asyncio.sleep(0.001)
            for client in clients:
                client.close()
            while memory.used:  # noqa: ASYNC110 (it tells nobody)
                await asyncio.sleep(0.001)
            server.stop()
            await ends
        assert SIZE < most < 3 * SIZE + 1000  # one is counted twice while it is handed over
