"""Requests to an application over a connection of its own, and the ways to wait for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("orjson")
pytest.importorskip("prometheus_client")
pytest.importorskip("uvicorn")

import uvicorn
from uvicorn.server import ServerState

from benchmarks.http_load import request_of
from tests.serving import tensor
from webnn.serving.application import Application
from webnn.serving.connections import Connection
from webnn.serving.listening import listen
from webnn.serving.polling import polling
from webnn.serving.transports import Transport

__all__ = ["ASKED", "GIVEN", "PATH", "ROW", "Client", "asked", "connected", "until", "y_of"]

PATH = "/v2/models/affine/infer"
ROW = [1.0, 2.0, 3.0]


def asked(items: int = 1, **more: Any) -> bytes:
    """A request for so many items, in JSON."""
    body = {"inputs": [tensor("x", [ROW] * items), tensor("z", [[0.5] * 3] * items)], **more}
    return request_of(PATH, json.dumps(body).encode())


ASKED = asked()
GIVEN = [2.5, 4.5, 6.5]


class Client:
    """One connection to an application, and how often the application itself was called."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Connection) -> None:
        self.reader, self.writer, self.connection = reader, writer, connection
        self.calls = 0

    async def answer(self) -> tuple[int, Any]:
        """The status of the next answer, and its JSON."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        return int(head.split()[1]), json.loads(await self.reader.readexactly(length))


@asynccontextmanager
async def connected(app: Application, state: ServerState | None = None, *, own: bool = False) -> AsyncIterator[Client]:
    """A connection of the event loop's transport, or of the server's own."""

    async def called(scope: Any, receive: Any, send: Any) -> None:
        client.calls += 1
        await app(scope, receive, send)

    config = uvicorn.Config(called, http=Connection, lifespan="off", log_config=None)
    config.load()
    loop = asyncio.get_running_loop()
    with listen("127.0.0.1", 0) as listener:
        reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        accepted, _ = listener.accept()

    def made() -> Connection:
        known = state or ServerState()
        return Connection(accepted, app.by_url, config=config, server_state=known, app_state={}, _loop=loop)

    if own:
        polled, connection = polling(loop), made()
        Transport(loop, polled, accepted, connection)
    else:
        _, connection = await loop.connect_accepted_socket(made, accepted)
    client = Client(reader, writer, connection)
    async with asyncio.timeout(15):
        try:
            yield client
        finally:
            writer.close()
            if own:
                while connection in connection.connections:  # noqa: ASYNC110 (connection_lost is called by the loop)
                    await asyncio.sleep(0)
                polled.close()


async def until(app: Application, *, items: int) -> None:
    """Wait until so many items are under way."""
    async with asyncio.timeout(10):
        while app.inferences[0].admission.items != items:  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0)


def y_of(document: Any) -> list[float]:
    (output,) = document["outputs"]
    return output["data"]  # type: ignore[no-any-return]
