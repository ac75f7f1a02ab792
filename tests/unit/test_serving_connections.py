"""Connections of the server over real sockets: answers in one piece, and an end for those that are idle."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from webnn.serving.connections import Connection
from webnn.serving.exchanges import CONNECTION
from webnn.serving.listening import listen

ASK = b"POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"


async def echo(scope: Any, receive: Any, _: Any) -> None:
    """Answer with the body, in one piece."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    headers = [(b"content-length", b"%d" % len(body))]
    assert scope[CONNECTION].answer(scope, 200, headers, body)


@asynccontextmanager
async def connected(state: ServerState) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, Connection]]:
    config = uvicorn.Config(echo, http=Connection, lifespan="off", log_config=None, date_header=False)
    config.load()
    loop = asyncio.get_running_loop()
    with listen("127.0.0.1", 0) as listener:
        reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        accepted, _ = listener.accept()
    _, connection = await loop.connect_accepted_socket(
        lambda: Connection(accepted, config=config, server_state=state, app_state={}, _loop=loop), accepted
    )
    try:
        yield reader, writer, connection
    finally:
        writer.close()


@pytest.mark.asyncio
async def test_requests_are_answered_in_one_piece_each_also_those_in_a_pipeline() -> None:
    state = ServerState()
    async with connected(state) as (reader, writer, _):
        writer.write(ASK)
        assert await reader.readuntil(b"hi") == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
        writer.write(2 * ASK)
        for _ in range(2):
            assert (await reader.readuntil(b"hi")).startswith(b"HTTP/1.1 200 OK\r\n")
        assert state.total_requests == 3


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "asked", [ASK.replace(b"/1.1\r\n", b"/1.1\r\nConnection: close\r\n"), ASK.replace(b"1.1", b"1.0")]
)
async def test_a_client_that_wants_no_more_is_told_so_and_the_connection_ends(asked: bytes) -> None:
    async with connected(ServerState()) as (reader, writer, _):
        writer.write(asked)
        assert (await reader.read()).endswith(b"connection: close\r\n\r\nhi")


@pytest.mark.asyncio
async def test_a_request_that_has_been_answered_leaves_nothing_to_the_garbage_collector() -> None:
    async with connected(ServerState()) as (reader, writer, connection):
        writer.write(ASK)
        await reader.readuntil(b"hi")
        cycle = weakref.ref(connection.cycle)
        gc.disable()
        try:
            writer.write(ASK)
            await reader.readuntil(b"hi")
            assert cycle() is None
        finally:
            gc.enable()


@pytest.mark.asyncio
async def test_an_answer_to_a_client_that_has_left_is_dropped() -> None:
    async with connected(ServerState()) as (_, writer, connection):
        writer.write(ASK[:-1])
        while connection.cycle is None:  # noqa: ASYNC110 (data_received is called by the loop)
            await asyncio.sleep(0)
        scope: Any = connection.scope
        connection.transport.abort()
        while connection in connection.connections:  # noqa: ASYNC110 (connection_lost is called by the loop)
            await asyncio.sleep(0)
        assert connection.answer(scope, 503, [], b"")


@pytest.mark.asyncio
async def test_a_server_that_stops_closes_the_connection_with_the_answer() -> None:
    state = ServerState()
    state.default_headers = [(b"connection", b"close")]
    async with connected(state) as (reader, writer, _):
        writer.write(ASK)
        assert (await reader.read()).count(b"connection: close\r\n") == 1


@pytest.mark.asyncio
async def test_a_connection_that_is_idle_is_closed_and_one_that_is_asked_is_not() -> None:
    async with connected(ServerState()) as (reader, writer, connection):
        now = asyncio.get_running_loop().time()
        connection.close_if_idle(now - 1)
        writer.write(ASK[:-1])
        while connection.cycle is None:  # noqa: ASYNC110 (data_received is called by the loop)
            await asyncio.sleep(0)
        connection.close_if_idle(now + 1)
        writer.write(ASK[-1:])
        assert (await reader.readuntil(b"hi")).startswith(b"HTTP/1.1 200 OK\r\n")
        connection.close_if_idle(now + 1000)
        assert await reader.read() == b""
