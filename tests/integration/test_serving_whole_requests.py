"""Requests that come as a whole, which models answer without the application; and those that do not."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette")
pytest.importorskip("orjson")
pytest.importorskip("prometheus_client")
pytest.importorskip("uvicorn")

from uvicorn.server import ServerState

from benchmarks.http_load import request_of
from tests.connections import ASKED, GIVEN, PATH, Client, asked, connected, until, y_of
from tests.scripted import Gate, scripted_context
from tests.serving import affine, application
from webnn.runtime.context import MLContext
from webnn.runtime.ml import ML
from webnn.scheduler.promise import Promise
from webnn.serving.access_log import AccessLog
from webnn.serving.application import Application
from webnn.serving.exchanges import LATE, LEFT, Exchange, Limits
from webnn.serving.repository import Served


@pytest.fixture
def waiting(gate: Gate) -> Iterator[Application]:
    """An application all of whose runs wait at the gate."""
    with scripted_context(on_run=gate)[0] as context:
        yield application(affine(context), max_queue=4)
        gate.open()


@pytest.fixture
def context() -> Iterator[MLContext]:
    with ML().create_context(backend="arrays") as context:
        yield context


@pytest.mark.asyncio
async def test_the_application_is_not_called(context: MLContext) -> None:
    app = application(affine(context))
    async with connected(app) as client:
        for _ in range(2):
            client.writer.write(ASKED)
            status, document = await client.answer()
            assert (status, y_of(document)) == (200, GIVEN)
        client.writer.write(asked(2))
        assert y_of((await client.answer())[1]) == GIVEN * 2
        assert client.calls == 0
        client.writer.write(b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await client.answer() == (200, {"live": True})
        assert client.calls == 1
    assert app.inferences[0].requests.by_status == {200: 3}
    assert app.inferences[0].requests.items == 4
    assert not app.shared.exchanges
    assert app.shared.memory.bodies == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("end", [20, len(ASKED) - len(ASKED.partition(b"\r\n\r\n")[2]), len(ASKED) - 1])
async def test_a_body_in_pieces_goes_to_the_application(context: MLContext, end: int) -> None:
    app = application(affine(context))
    async with connected(app) as client:
        client.writer.write(ASKED[:end])
        while not (client.connection._in_head or client.calls):  # noqa: ASYNC110 (data_received is called by the loop)
            await asyncio.sleep(0)
        client.writer.write(ASKED[end:])
        assert y_of((await client.answer())[1]) == GIVEN
        assert client.calls == (end > 20)  # the body came as a whole after half of the head


@pytest.mark.asyncio
async def test_chunks_that_come_together_are_one_body(context: MLContext) -> None:
    head, _, body = ASKED.partition(b"\r\n\r\n")
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:30], body[30:]))
    head = head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
    async with connected(application(affine(context))) as client:
        client.writer.write(head + b"\r\n\r\n" + chunks + b"0\r\n\r\n")
        assert y_of((await client.answer())[1]) == GIVEN
        assert client.calls == 0


@pytest.mark.asyncio
async def test_requests_behind_each_other_are_answered_in_their_order(context: MLContext) -> None:
    async with connected(application(affine(context))) as client:
        client.writer.write(
            asked(1) + asked(2) + asked(3) + b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n" + asked(4)
        )
        for items in (1, 2, 3):
            assert y_of((await client.answer())[1]) == GIVEN * items
        assert await client.answer() == (200, {"live": True})
        assert y_of((await client.answer())[1]) == GIVEN * 4


@pytest.mark.asyncio
async def test_a_client_that_expects_to_be_told_to_go_on_is_told_so(context: MLContext) -> None:
    async with connected(application(affine(context))) as client:
        head, _, body = ASKED.partition(b"\r\n\r\n")
        client.writer.write(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.writer.write(body)
        assert (await client.answer())[0] == 200


@pytest.mark.asyncio
async def test_a_client_of_http_1_0_is_not_told_to_go_on(context: MLContext) -> None:
    async with connected(application(affine(context))) as client:
        client.writer.write(ASKED.replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\nExpect: 100-continue\r\n"))
        assert (await client.reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.asyncio
async def test_the_value_of_a_header_ends_before_the_space_behind_it(context: MLContext) -> None:
    async with connected(application(affine(context))) as client:
        head, _, body = ASKED.partition(b"\r\n\r\n")
        client.writer.write(head + b"\r\nInference-Header-Content-Length: %d \t\r\n" % len(body))
        client.writer.write(b"Content-Encoding: identity \r\n\r\n" + body)
        assert y_of((await client.answer())[1]) == GIVEN


@pytest.mark.asyncio
async def test_a_refusal_of_head_has_no_body(context: MLContext) -> None:
    answers = []
    for method in (b"HEAD", b"GET"):
        async with connected(application(affine(context))) as client:
            client.writer.write(method + b" /v2 HTTP/1.1\r\n\r\n")  # without a host
            answers.append((await client.reader.read()).partition(b"\r\n\r\n"))
    (head, _, no_body), (same_head, _, body) = answers
    assert head.startswith(b"HTTP/1.1 400 ")
    assert head == same_head
    assert no_body == b""
    assert b"host" in body.lower()


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["HTTP/1.0", "Connection: close", "the server stops"])
async def test_the_last_answer_closes_the_connection(context: MLContext, how: str) -> None:
    state = ServerState()
    sent = ASKED.replace(b"HTTP/1.1", b"HTTP/1.0") if how == "HTTP/1.0" else ASKED
    if how == "Connection: close":
        sent = sent.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    if how == "the server stops":
        state.default_headers = [(b"connection", b"close")]
    async with connected(application(affine(context)), state) as client:
        client.writer.write(sent)
        answered = await client.reader.read()
        assert answered.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answered.count(b"connection: close\r\n") == 1


@pytest.mark.asyncio
async def test_a_client_that_leaves_gives_its_runs_up(waiting: Application, gate: Gate) -> None:
    async with connected(waiting) as client, connected(waiting) as other:
        other.writer.write(ASKED)
        await until(waiting, items=1)
        client.writer.write(asked(2))
        await until(waiting, items=3)
        client.writer.close()
        await until(waiting, items=1)
        gate.open()
        assert y_of((await other.answer())[1])
    assert waiting.inferences[0].requests.by_status == {200: 1, 499: 1}
    assert waiting.shared.memory.bodies == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("why", ["", "left", "late"])
async def test_a_long_answer_in_json_is_written_without_the_application_and_given_up(
    context: MLContext, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    app = application(affine(context), timeout=0.5 if why == "late" else 100.0)
    (inference,) = app.inferences
    monkeypatch.setattr("webnn.serving.inference.MANY_NUMBERS", 0)
    begun = asyncio.Event()

    def endless(*_: Any) -> Iterator[None]:
        while True:
            begun.set()
            yield

    if why:
        monkeypatch.setattr(inference._calls, "answer_in_steps", endless)
    async with connected(app) as client:
        client.writer.write(asked(40))
        if why:
            await begun.wait()
        if why == "left":
            client.writer.close()
            while app.shared.exchanges:  # noqa: ASYNC110 (it tells nobody)
                await asyncio.sleep(0)
        else:
            status, document = await client.answer()
            assert (status, document["error"] if why else y_of(document)) == (
                (504, "the answer was not written in time") if why else (200, GIVEN * 40)
            )
        assert client.calls == 0
    assert inference.requests.by_status == {{"": 200, "left": 499, "late": 504}[why]: 1}
    assert app.shared.memory.used == inference.admission.items == app.backlog.items == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("why", [LEFT, LATE])
async def test_a_long_answer_that_is_given_up_before_it_is_begun_leaves_nothing_behind(
    context: MLContext, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    app = application(affine(context))
    (inference,) = app.inferences
    monkeypatch.setattr("webnn.serving.inference.MANY_NUMBERS", 0)
    run_ended = inference._run_ended

    def ended_and_given_up(exchange: Exchange, promise: Promise[Any]) -> None:
        run_ended(exchange, promise)
        exchange.end(why)

    monkeypatch.setattr(inference, "_run_ended", ended_and_given_up)
    async with connected(app) as client:
        client.writer.write(ASKED)
        if why == LATE:
            assert await client.answer() == (504, {"error": "the answer was not written in time"})
        while app.shared.exchanges or not inference.requests.by_status:  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0)
    assert inference.requests.by_status == {499 if why == LEFT else 504: 1}
    assert app.shared.memory.used == inference.admission.items == app.backlog.items == 0


@pytest.mark.asyncio
async def test_a_client_that_leaves_with_requests_behind_each_other_is_no_error(
    waiting: Application, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(waiting) as client:
        client.writer.write(ASKED[:-1])  # so it goes to the application
        while client.calls == 0:  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0)
        client.writer.write(ASKED[-1:] + ASKED)
        await until(waiting, items=1)
        client.writer.close()
        await until(waiting, items=0)
        while client.connection.tasks:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert waiting.inferences[0].requests.by_status == {499: 1}
    assert caplog.text == ""


@pytest.mark.asyncio
async def test_a_run_that_has_begun_ends_when_its_client_leaves() -> None:
    with ML().create_context(backend="onnxruntime") as context:
        app = application(long(context))
        async with connected(app) as client, asyncio.timeout(20):
            client.writer.write(ASKED)
            while context.statistics().running == 0:  # noqa: ASYNC110 (it tells nobody)
                await asyncio.sleep(0.001)
            client.writer.close()
            while context.statistics().running:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        statistics = context.statistics()
        assert statistics.drops == {"cancelled": 1}
        assert statistics.graphs[0].runs == 0
        assert context.memory_info().in_use == 0


def long(context: MLContext) -> Served:
    """A model like that of `affine`, whose runs have 300 large operators and take a second or so."""
    builder = context.create_graph_builder()
    x, z = (builder.input(port, [1, 3], "float32") for port in "xz")
    weights = builder.constant(np.full((512, 512), 1 / 512, np.float32))
    state = weights * builder.reduce_sum(x)
    for _ in range(300):
        state = builder.tanh(builder.matmul(state, weights))
    graph = builder.build({"y": x * 2 + z + builder.reduce_mean(state)})
    return Served("affine", "1", graph, batched=False)


@pytest.mark.asyncio
async def test_a_client_that_has_closed_its_half_of_the_connection_counts_as_one_that_has_left(
    waiting: Application,
) -> None:
    async with connected(waiting) as client:
        client.writer.write(ASKED)
        await until(waiting, items=1)
        client.writer.write_eof()
        await until(waiting, items=0)
        assert await client.reader.read() == b""
    assert waiting.inferences[0].requests.by_status == {499: 1}


@pytest.mark.asyncio
@pytest.mark.parametrize("max_batch", [1, 4])
@pytest.mark.parametrize("pace", [0.0, 1.0], ids=["all in the runtime", "most in the backlog"])
async def test_no_run_of_those_who_have_left_starts_before_that_of_a_client_who_stays(
    gate: Gate, max_batch: int, pace: float
) -> None:
    context, backend = scripted_context(on_run=gate, max_batch=max_batch)
    async with AsyncExitStack() as stack:
        stack.enter_context(context)
        stack.callback(gate.open)
        app = application(affine(context, pace=pace), timeout=100.0)
        first, *leavers, last = [await stack.enter_async_context(connected(app)) for _ in range(32)]
        first.writer.write(ASKED)
        await asyncio.to_thread(gate.reached.wait, 10)
        for leaver in leavers:
            leaver.writer.write(ASKED)
        await until(app, items=31)
        last.writer.write(ASKED)
        await until(app, items=32)
        waits = sum(not each.connection.runs for each in (*leavers, last))
        assert (waits > 0) == (pace > 0)
        began = backend.ran
        for leaver in leavers:
            leaver.writer.close()
        await until(app, items=2)
        gate.open()
        assert (await last.answer())[0] == 200
        assert backend.ran == began + 1


def in_pieces(sent: bytes) -> list[bytes]:
    """A request whose body is not there with its head."""
    head, end, body = sent.partition(b"\r\n\r\n")
    return [head + end, body]


@asynccontextmanager
async def backlogged(
    app: Application, context: MLContext, number: int, *, pieces: bool
) -> AsyncIterator[tuple[list[Client], list[Client]]]:
    """Clients whose runs are under way, and so many whose requests wait in the server behind those."""
    ahead = len(context._device.lanes) + 1
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(app)) for _ in range(ahead + number)]
        for items, client in enumerate(clients, 1):
            for part in in_pieces(ASKED) if pieces else [ASKED]:
                client.writer.write(part)
                await asyncio.sleep(0)
            await until(app, items=items)
        assert app.backlog.items == ahead
        yield clients[:ahead], clients[ahead:]


@pytest.mark.asyncio
@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "in pieces"])
async def test_requests_that_wait_in_the_server_are_answered(gate: Gate, pieces: bool) -> None:
    with scripted_context(on_run=gate)[0] as context:
        app = application(affine(context, pace=1.0), timeout=100.0)
        async with backlogged(app, context, 3, pieces=pieces) as (ahead, waiting):
            gate.open()
            for client in (*ahead, *waiting):
                assert y_of((await client.answer())[1]) == GIVEN
        assert app.inferences[0].requests.by_status == {200: len(ahead) + 3}
        assert app.backlog.items == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "in pieces"])
async def test_a_request_that_waits_in_the_server_ends_when_its_client_leaves_or_wants_it_no_more(
    gate: Gate, pieces: bool
) -> None:
    context, backend = scripted_context(on_run=gate)
    with context:
        app = application(affine(context, pace=1.0), timeout=100.0)
        async with backlogged(app, context, 3, pieces=pieces) as (ahead, waiting):
            leaver, late, last = waiting
            items = app.inferences[0].admission.items
            leaver.writer.close()
            await until(app, items=items - 1)
            next(each for each in app.shared.exchanges if each.connection is late.connection).end(LATE)
            assert await late.answer() == (504, {"error": "the run was not done in time"})
            app.shared.stop()
            assert await last.answer() == (503, {"error": "the server is shutting down"})
            gate.open()
        assert app.inferences[0].requests.by_status == {499: 1, 504: 1, 503: len(ahead) + 1}
        assert app.inferences[0].admission.items == app.backlog.items == 0
        assert backend.ran <= len(ahead) + 2  # two when it was made


@pytest.mark.asyncio
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell who has left")
async def test_the_system_is_asked_whether_a_client_is_still_there_before_its_run_begins(gate: Gate) -> None:
    context, backend = scripted_context(on_run=gate)
    with context:
        app = application(affine(context, pace=1.0), timeout=100.0)
        async with backlogged(app, context, 20, pieces=False) as (ahead, waiting):
            *leavers, last = waiting
            before = backend.ran
            for leaver in leavers:
                leaver.connection.transport.pause_reading()  # the event loop cannot see it
                leaver.writer.transport.abort()
            gate.open()
            for client in (*ahead, last):
                assert (await client.answer())[0] == 200
            assert backend.ran - before <= len(ahead) + 1
            for leaver in leavers:
                leaver.connection.transport.resume_reading()
            await until(app, items=0)


@pytest.mark.asyncio
async def test_a_run_that_cannot_begin_after_a_wait_is_answered(gate: Gate) -> None:
    with scripted_context(on_run=gate)[0] as context:
        app = application(affine(context, pace=1.0), timeout=100.0)
        async with backlogged(app, context, 2, pieces=False) as (ahead, waiting):
            asyncio.get_running_loop().call_soon(gate.open)
            context.destroy()
            for client in (*ahead, *waiting):
                assert (await client.answer())[0] == 503
        assert app.backlog.items == 0


@pytest.mark.asyncio
async def test_a_full_queue_a_late_answer_and_an_end(waiting: Application) -> None:
    async with connected(waiting) as client, connected(waiting) as other:
        client.writer.write(asked(parameters={"timeout": 1000}))
        status, document = await client.answer()
        assert (status, document) == (504, {"error": "the run was not done in time"})
        client.writer.write(asked(4))
        await until(waiting, items=4)
        other.writer.write(ASKED)
        status, document = await other.answer()
        assert status == 503
        assert "the queue of 'affine' is full: 4 items" in document["error"]
        waiting.shared.stop()
        assert await client.answer() == (503, {"error": "the server is shutting down"})
    assert waiting.inferences[0].admission.items == 0


@pytest.mark.asyncio
async def test_a_connection_that_is_asked_is_not_idle(waiting: Application, gate: Gate) -> None:
    async with connected(waiting) as client:
        client.writer.write(ASKED)
        await until(waiting, items=1)
        assert client.connection.is_waited_for
        client.connection.close_if_idle(asyncio.get_running_loop().time() + 1)
        gate.open()
        assert (await client.answer())[0] == 200
        assert not client.connection.is_waited_for
        client.connection.close_if_idle(asyncio.get_running_loop().time() + 1)
        assert await client.reader.read() == b""


@pytest.mark.asyncio
async def test_what_is_wrong_with_a_request_or_a_run_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("out of luck")

    with scripted_context(on_run=fail)[0] as context:
        app = application(affine(context))
        async with connected(app) as client:
            client.writer.write(request_of(PATH, b"{}"))
            status, document = await client.answer()
            assert (status, document) == (400, {"error": '"inputs" must be a list of tensors, got null'})
            client.writer.write(asked(3))
            status, document = await client.answer()
            assert status == 500
            assert "Traceback" not in document["error"]
            assert client.calls == 0
        assert app.inferences[0].admission.items == 0
        assert not app.shared.exchanges
    async with connected(app) as client:
        client.writer.write(ASKED)
        assert (await client.answer())[0] == 503
    assert "the run failed" not in caplog.text


@pytest.mark.asyncio
async def test_they_are_logged(context: MLContext) -> None:
    lines = io.StringIO()
    log = AccessLog(lines)
    app = Application([affine(context)], version="0", limits=Limits(), log=log)
    async with connected(app) as client:
        client.writer.write(ASKED)
        await client.answer()
    log.flush()
    assert f'127.0.0.1 "POST {PATH}" 200' in lines.getvalue()


@pytest.mark.asyncio
async def test_a_request_is_logged_with_its_own_path_though_another_one_follows(
    waiting: Application, gate: Gate
) -> None:
    logged: list[str] = []
    app = Application(
        [each.served for each in waiting.inferences], version="0", log=lambda *a: logged.append(a[0]["path"])
    )
    async with connected(app) as client:
        client.writer.write(ASKED)
        await until(app, items=1)
        client.writer.write(b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
        while client.connection.url != b"/v2/health/live":  # noqa: ASYNC110 (the loop calls data_received)
            await asyncio.sleep(0)
        gate.open()
        assert (await client.answer())[0] == (await client.answer())[0] == 200
    assert logged == [PATH, "/v2/health/live"]
