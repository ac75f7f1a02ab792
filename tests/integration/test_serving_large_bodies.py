"""Large bodies of bytes, which come in pieces and go to their model without the application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("starlette")
pytest.importorskip("orjson")
pytest.importorskip("prometheus_client")
pytest.importorskip("uvicorn")


from benchmarks.http_load import request_of
from tests.connections import ASKED, Client, connected, until
from tests.scripted import Gate, scripted_context
from tests.serving import affine, application
from webnn.runtime.context import MLContext
from webnn.runtime.ml import ML
from webnn.serving.application import Application
from webnn.serving.repository import Served


@pytest.fixture
def context() -> Iterator[MLContext]:
    with ML().create_context(backend="arrays") as context:
        yield context


SIDE = 40_000


def wide(context: MLContext) -> Served:
    """A model of one large input: `y = 2 x`."""
    builder = context.create_graph_builder()
    x = builder.input("x", [1, SIDE], "float32")
    return Served("wide", "1", builder.build({"y": x * 2}))


def large_request(number: float = 1.0, **more: str) -> bytes:
    """A request for a run of `wide`, all of whose inputs are `number`. Its answer has bytes, too."""
    array = np.full((1, SIDE), number, np.float32)
    x = {"name": "x", "shape": [1, SIDE], "datatype": "FP32", "parameters": {"binary_data_size": array.nbytes}}
    head = json.dumps({"inputs": [x], "parameters": {"binary_data_output": True}}).encode()
    more["Inference-Header-Content-Length"] = str(len(head))
    return request_of("/v2/models/wide/infer", head + array.tobytes(), more)


async def numbers(client: Client) -> set[float]:
    """The elements of the next answer."""
    head = (await client.reader.readuntil(b"\r\n\r\n")).decode().lower()
    assert head.startswith("http/1.1 200 ")
    length = int(head.partition("\r\ncontent-length: ")[2].partition("\r\n")[0])
    return set(np.frombuffer((await client.reader.readexactly(length))[-4 * SIDE :], np.float32).tolist())


async def until_received(app: Application, *, of: float) -> None:
    """Wait until more than a part of a large body is there."""
    async with asyncio.timeout(10):
        while app.shared.memory.bodies <= of * 4 * SIDE:  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0)


OWN = pytest.mark.parametrize("own", [False, True], ids=["the loop's transport", "the server's transport"])


@pytest.mark.asyncio
@OWN
@pytest.mark.parametrize("pieces", [1, 2, 7, 40])
async def test_a_large_body_of_bytes_goes_to_its_model_and_what_follows_is_read(
    context: MLContext, own: bool, pieces: int
) -> None:
    app = application(wide(context))
    sent = large_request(1) + large_request(2) + b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n" + large_request(3)
    size = -(-len(sent) // pieces)
    async with connected(app, own=own) as client:
        for begin in range(0, len(sent), size):
            client.writer.write(sent[begin : begin + size])
            await client.writer.drain()
            await asyncio.sleep(0)
        assert await numbers(client) == {2.0}
        assert await numbers(client) == {4.0}
        assert await client.answer() == (200, {"live": True})
        assert await numbers(client) == {6.0}
        for number in (4, 5):
            sent = large_request(number)
            client.writer.write(sent[:1000])
            while not client.connection._upload:  # noqa: ASYNC110 (data_received is called by the loop)
                await asyncio.sleep(0)
            client.writer.write(sent[1000:])
            calls = client.calls
            assert await numbers(client) == {2.0 * number}
            assert client.calls == calls
        client.writer.write(large_request(6, Connection="close"))
        assert (await client.reader.read()).endswith(np.full(SIDE, 12, np.float32).tobytes())
    assert not app.shared.exchanges
    assert app.shared.memory.bodies == 0


@pytest.mark.asyncio
@OWN
async def test_a_large_body_that_does_not_come_is_a_408_and_ends_the_connection(context: MLContext, own: bool) -> None:
    app = application(wide(context), timeout=0.1)
    async with connected(app, own=own) as client:
        client.writer.write(large_request()[:100_000])
        assert await client.answer() == (408, {"error": "the body was not received in time"})
        assert await client.reader.read() == b""
    assert app.inferences[0].requests.by_status == {408: 1}
    assert app.shared.memory.bodies == 0


@pytest.mark.asyncio
@OWN
async def test_a_client_that_leaves_amid_a_large_body_is_forgotten(context: MLContext, own: bool) -> None:
    app = application(wide(context))
    async with connected(app, own=own) as client:
        client.writer.write(large_request()[:100_000])
        await until_received(app, of=0.2)
        client.writer.close()
        while app.shared.exchanges:  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0)
        assert client.connection._upload is None
    assert app.inferences[0].requests.by_status == {499: 1}
    assert app.shared.memory.bodies == 0


@pytest.mark.asyncio
@OWN
async def test_the_rest_of_a_large_body_that_was_refused_is_dropped(context: MLContext, own: bool) -> None:
    app = application(wide(context), max_bodies=100_000)
    sent = large_request()
    async with connected(app, own=own) as client:
        client.writer.write(sent[:70_000])
        await until_received(app, of=0.1)
        client.writer.write(sent[70_000:120_000])
        status, document = await client.answer()
        assert (status, "no memory for more requests" in document["error"]) == (503, True)
        client.writer.write(sent[120_000:] + b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await client.answer() == (200, {"live": True})
    assert app.shared.memory.bodies == 0


@pytest.mark.asyncio
async def test_a_large_body_finds_room_in_a_queue_of_those_who_have_left(gate: Gate) -> None:
    with scripted_context(on_run=gate)[0] as context:
        app = application(affine(context), wide(context), max_queue=1, timeout=100.0)
        app.inferences[1].admission = app.inferences[0].admission  # as versions of one model have it
        async with connected(app, own=True) as client, connected(app, own=True) as leaver:
            sent = large_request()
            client.writer.write(sent[:1000])
            while not client.connection._upload:  # noqa: ASYNC110 (data_received is called by the loop)
                await asyncio.sleep(0)
            leaver.writer.write(ASKED)
            await until(app, items=1)
            leaver.connection.transport.pause_reading()
            leaver.connection.transport.gone()  # type: ignore[attr-defined]  # as the epoll tells it
            client.writer.write(sent[1000:])
            while client.connection._upload:  # noqa: ASYNC110
                await asyncio.sleep(0)
            gate.open()
            assert await numbers(client)
            leaver.connection.transport.end()  # type: ignore[attr-defined]
    assert app.inferences[0].requests.by_status == {499: 1}


@pytest.mark.asyncio
@pytest.mark.parametrize("what", ["too long", "JSON", "no length"])
async def test_the_application_is_called_for_other_large_bodies(context: MLContext, what: str) -> None:
    app = application(wide(context))
    async with connected(app) as client:
        head, _, body = large_request().partition(b"\r\n\r\n")
        if what == "too long":
            head = head.replace(b"Content-Length: %d" % len(body), b"Content-Length: 100000000")
        elif what == "JSON":
            body = b" " * len(body)
            head = head.partition(b"\r\nInference")[0]
        else:
            head = head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        client.writer.write(head + b"\r\n\r\n" + body)
        if what == "no length":
            assert await numbers(client) == {2.0}
        else:
            assert (await client.answer())[0] == {"too long": 413, "JSON": 400}[what]
        assert client.calls == 1
