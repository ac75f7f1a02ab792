"""Requests that are not answered with results: no room, too late, clients that leave, runs that fail."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette")
pytest.importorskip("orjson")
pytest.importorskip("prometheus_client")

from tests.scripted import Gate, scripted_context
from tests.serving import affine, application, ask, infer, tensor
from webnn.runtime.context import MLContext
from webnn.runtime.ml import ML
from webnn.serving.access_log import AccessLog
from webnn.serving.admission import Admission
from webnn.serving.application import Application
from webnn.serving.figures import Requests
from webnn.serving.repository import Served

X, Z = tensor("x", [[1.0, 2.0, 3.0]]), tensor("z", [[0.0, 0.0, 0.0]])
INFER = "/v2/models/affine/infer"

asynchronous = pytest.mark.asyncio


@pytest.fixture
def context(gate: Gate) -> Iterator[MLContext]:
    """All runs wait at the gate."""
    with scripted_context(on_run=gate)[0] as context:
        yield context
        gate.open()


async def under_way(app: Application, number: int) -> None:
    """Wait until so many items are."""
    async with asyncio.timeout(10):
        while app.inferences[0].admission.items != number:  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0)


@asynchronous
async def test_a_full_queue_refuses_at_once_and_says_when_to_come_again(context: MLContext, gate: Gate) -> None:
    app = application(affine(context), max_queue=2)
    waiting = [asyncio.create_task(infer(app, X, Z)) for _ in range(2)]
    await under_way(app, 2)
    refused = await infer(app, X, Z)
    assert refused.status == 503
    assert refused.headers["retry-after"] == "1"
    assert "the queue of 'affine' is full: 2 items; try again in 1 s" in refused.error
    gate.open()
    assert [answer.status for answer in await asyncio.gather(*waiting)] == [200, 200]
    assert (await infer(app, X, Z)).status == 200


@asynchronous
async def test_items_count_in_the_queue_and_more_than_it_takes_are_never_taken(context: MLContext, gate: Gate) -> None:
    app = application(affine(context), max_queue=3)
    two = tensor("x", [[1.0] * 3] * 2), tensor("z", [[1.0] * 3] * 2)
    waiting = asyncio.create_task(infer(app, *two))
    await under_way(app, 2)
    assert (await infer(app, *two)).status == 503
    four = tensor("x", [[1.0] * 3] * 4), tensor("z", [[1.0] * 3] * 4)
    answer = await infer(app, *four)
    assert (answer.status, answer.error) == (400, "input 'x': 4 items, at most 3 are taken at once")
    gate.open()
    assert (await waiting).status == 200


@asynchronous
async def test_a_late_answer_is_a_504_and_gives_its_run_up(context: MLContext, gate: Gate) -> None:
    app = application(affine(context), timeout=0.05)
    answers = await asyncio.gather(infer(app, X, Z), infer(app, X, Z))
    assert [(answer.status, answer.error) for answer in answers] == [(504, "the run was not done in time")] * 2
    assert app.inferences[0].admission.items == 0
    context.memory_info()  # tidies up
    assert context.statistics().drops == {"cancelled": 1}  # the other one had begun


@asynchronous
async def test_a_client_may_want_its_answer_sooner(context: MLContext) -> None:
    app = application(affine(context), timeout=100)
    assert (await infer(app, X, Z, parameters={"timeout": 20_000})).status == 504


class Watched:
    """A connection that tells when its client leaves."""

    def __init__(self, *, is_closing: bool = False) -> None:
        self.left: Callable[[], object] | None = None
        self.is_closing = is_closing
        self.has_left = False

    def answer(self, *_: object) -> bool:
        return False  # as if its buffer was full

    def answer_nothing(self, _: object) -> None:
        pass

    def watch(self, left: Callable[[], object] | None) -> None:
        self.left = left


@asynchronous
@pytest.mark.parametrize("watched", [True, False], ids=["told by the connection", "told by receive"])
async def test_a_client_that_goes_away_gives_its_run_up(context: MLContext, gate: Gate, watched: bool) -> None:
    app = application(affine(context))
    first = asyncio.create_task(infer(app, X, Z))
    await under_way(app, 1)
    connection, left = Watched(), asyncio.Event()
    asked = {"connection": connection} if watched else {"left": left}
    second = asyncio.create_task(infer(app, X, Z, asked=asked))
    await under_way(app, 2)
    if watched:
        assert connection.left is not None
        connection.left()
    else:
        left.set()
    assert (await second).status == 0
    assert connection.left is None
    assert app.inferences[0].admission.items == 1
    gate.open()
    assert (await first).status == 200
    assert app.inferences[0].requests.by_status == {499: 1, 200: 1}
    assert context.statistics().drops == {"cancelled": 1}


@asynchronous
async def test_those_who_have_left_make_room_in_a_full_queue_before_the_event_loop_sees_it(
    context: MLContext, gate: Gate
) -> None:
    app = application(affine(context), max_queue=2)
    first = asyncio.create_task(infer(app, X, Z))
    await under_way(app, 1)
    connection = Watched()
    second = asyncio.create_task(infer(app, X, Z, asked={"connection": connection}))
    await under_way(app, 2)
    assert (await infer(app, X, Z)).status == 503
    connection.has_left = True
    app.shared._next_look = 0.0
    third = asyncio.create_task(infer(app, X, Z))
    assert (await second).status == 0
    gate.open()
    assert [(await each).status for each in (first, third)] == [200, 200]


@asynchronous
async def test_a_request_is_not_begun_if_its_client_has_left(context: MLContext, gate: Gate) -> None:
    app = application(affine(context))
    assert (await infer(app, X, Z, asked={"connection": Watched(is_closing=True)})).status == 0
    assert app.inferences[0].requests.by_status == {499: 1}
    assert not gate.reached.is_set()


@asynchronous
async def test_a_client_that_goes_away_with_half_of_its_body_is_no_error(context: MLContext) -> None:
    app = application(affine(context))
    left = asyncio.Event()
    left.set()
    assert (await ask(app, INFER, b"{}", parts=0, left=left)).status == 0
    assert app.shared.memory.bodies == 0


@asynchronous
async def test_a_large_body_of_a_client_that_has_left_is_not_read(gate: Gate) -> None:
    with scripted_context(on_run=gate)[0] as context:
        builder = context.create_graph_builder()
        graph = builder.build({"y": builder.neg(builder.input("x", [1, 20_000], "float32"))})
        app = application(Served("wide", "1", graph))
        wide = tensor("x", np.zeros((1, 20_000)).tolist())
        lefts = [asyncio.Event() for _ in range(3)]
        tasks = [asyncio.create_task(infer(app, wide, model="wide", asked={"left": left})) for left in lefts]
        lefts[0].set()
        lefts[2].set()
        await under_way(app, 1)
        gate.open()
        assert [answer.status for answer in await asyncio.gather(*tasks)] == [0, 200, 0]
        assert context.statistics().graphs[0].runs == 1


@asynchronous
async def test_a_body_that_does_not_come_is_a_408(context: MLContext) -> None:
    app = application(affine(context), timeout=0.02)
    answer = await ask(app, INFER, b"{}", parts=0)
    assert (answer.status, answer.error) == (408, "the body was not received in time")


@asynchronous
async def test_bodies_have_a_limit_together(context: MLContext) -> None:
    app = application(affine(context), max_bodies=300)
    waiting = asyncio.create_task(infer(app, X, Z))
    await under_way(app, 1)
    assert 100 < app.shared.memory.bodies < 200
    answer = await ask(app, INFER, b" " * 250, parts=5)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert "no memory for more requests" in answer.error
    app.shared.memory.keep(180)  # answers that their clients do not take count, too
    answer = await infer(app, X, Z)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert app.shared.memory.bodies == 0


@asynchronous
async def test_long_json_counts_until_it_has_been_read_and_then_its_numbers_do(context: MLContext, gate: Gate) -> None:
    app = application(affine(context))
    items = 40
    x, z = (tensor(name, [[0.123456789] * 3] * items, note=" " * 40_000) for name in "xz")
    asked = asyncio.create_task(infer(app, x, z))
    while not app.shared.memory.bodies:  # noqa: ASYNC110 (it tells nobody)
        await asyncio.sleep(0)
    assert app.shared.memory.bodies > 80_000
    await under_way(app, items)
    assert app.shared.memory.bodies == 2 * items * 3 * 4
    gate.open()
    assert (await asked).status == 200
    assert app.shared.memory.bodies == 0


@asynchronous
@pytest.mark.parametrize("what", ["read_in_steps", "answer_in_steps"])
@pytest.mark.parametrize("why", ["left", "late"])
async def test_long_json_is_given_up_amid_reading_and_writing(
    context: MLContext, gate: Gate, monkeypatch: pytest.MonkeyPatch, what: str, why: str
) -> None:
    app = application(affine(context), timeout=0.5 if why == "late" else 100.0)
    begun, left = asyncio.Event(), asyncio.Event()

    def endless(*_: Any) -> Iterator[None]:
        while True:
            begun.set()
            yield

    (inference,) = app.inferences
    monkeypatch.setattr(inference._calls, what, endless)
    monkeypatch.setattr("webnn.serving.inference.MANY_NUMBERS", 0)
    gate.open()
    note = " " * 80_000 if what == "read_in_steps" else ""
    asked = asyncio.create_task(infer(app, X, {**Z, "note": note}, asked={"left": left}))
    await begun.wait()
    if why == "left":
        left.set()
    answer = await asked
    assert answer.status == (0 if why == "left" else 504)
    assert inference.requests.by_status == {(499 if why == "left" else 504): 1}
    assert not app.shared.turn.locked()
    assert app.shared.memory.used == inference.admission.items == app.backlog.items == 0


@asynchronous
async def test_the_bodies_of_those_who_have_left_make_room_for_others(context: MLContext, gate: Gate) -> None:
    app = application(affine(context), max_bodies=300)
    connection = Watched()
    first = asyncio.create_task(infer(app, X, Z, asked={"connection": connection}))
    await under_way(app, 1)
    assert (await infer(app, X, Z)).status == 503
    connection.has_left = True
    app.shared._next_look = 0.0
    assert (await infer(app, X, Z)).status == 503  # the task of the first one ends in the next turn of the loop
    assert (await first).status == 0
    gate.open()
    assert (await infer(app, X, Z)).status == 200
    assert app.shared.memory.bodies == 0


@asynchronous
async def test_a_server_that_cancels_a_request_has_it_answered_in_json(context: MLContext) -> None:
    app = application(affine(context))
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": INFER, "headers": []}
    task = asyncio.create_task(app(scope, receive, send))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (sent[0]["status"], sent[1]["body"]) == (503, b'{"error":"the server is shutting down"}')


@asynchronous
async def test_a_run_that_fails_is_a_500_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("out of beans")

    with scripted_context(on_run=fail)[0] as context:
        app = application(affine(context))
        answer = await infer(app, X, Z)
        assert answer.status == 500
        assert answer.error.endswith(": the backend failed: RuntimeError: out of beans")
    assert "out of beans" in caplog.text
    caplog.clear()


@asynchronous
async def test_a_server_without_its_context_is_unavailable() -> None:
    with ML().create_context(backend="arrays") as context:
        app = application(affine(context))
    answer = await infer(app, X, Z)
    assert (answer.status, answer.error) == (503, "the server is shutting down")


# Figures.


@asynchronous
async def test_the_metrics_count_requests_queues_batches_and_memory() -> None:
    with ML().create_context(backend="arrays", max_batch=8) as context:
        app = application(affine(context), affine(context, version="2"))
        assert (await infer(app, X, Z)).status == 200
        assert (await infer(app, X)).status == 400
        answer = await ask(app, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.body.decode().splitlines()
    for line in (
        'webnn_requests_total{code="200",model="affine",version="2"} 1.0',
        'webnn_requests_total{code="400",model="affine",version="2"} 1.0',
        'webnn_items_total{model="affine",version="2"} 1.0',
        'webnn_request_seconds_bucket{le="+Inf",model="affine",version="2"} 1.0',
        'webnn_request_seconds_count{model="affine",version="1"} 0.0',
        'webnn_queue_items{model="affine"} 0.0',
        'webnn_queue_items_limit{model="affine"} 256.0',
        "webnn_batch_items_count 0.0",
        "webnn_requests_in_progress 0.0",
        "webnn_body_bytes 0.0",
    ):
        assert line in lines
    assert any(line.startswith('webnn_memory_bytes{kind="peak"} ') for line in lines)
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)


@asynchronous
async def test_the_access_log_has_a_line_for_each_request() -> None:
    with ML().create_context(backend="arrays") as context:
        file = io.StringIO()
        log = AccessLog(file)
        app = Application([affine(context)], version="0", log=log)
        answer = await infer(app, X, Z)
        await ask(app, "/v2/health/live")
        nowhere = await ask(app, "/nope\n\x1b[31m")
        log.flush()
    lines = file.getvalue().splitlines()
    assert [line.split('"', 1)[1].rsplit(" ", 1)[0] for line in lines] == [
        f'POST {INFER}" 200 {len(answer.body)}',
        'GET /v2/health/live" 200 13',
        f'GET /nope\\n\\x1b[31m" 404 {len(nowhere.body)}',
    ]


def test_percentiles_of_requests() -> None:
    requests = Requests()
    assert requests.percentile(50) is None
    for seconds in (0.004, 0.004, 0.004, 0.2):
        requests.count(200, seconds, 1)
    requests.count(503, 30.0, 0)
    median, p99 = requests.percentile(50), requests.percentile(99)
    assert median is not None
    assert p99 is not None
    assert 0.0025 < median <= 0.005
    assert 0.1 < p99 <= 0.25


# The policy of the queue.


def test_a_queue_takes_what_it_can_work_off_in_time() -> None:
    queue = Admission(most=100, timeout=2.0)
    assert queue.has_room(100)
    assert not queue.has_room(101)
    queue.enter(10, 0.0)
    queue.leave(10, 1.0, done=True)  # 0.1 s for each
    assert queue.pace == pytest.approx(0.1)
    queue.enter(15, 5.0)
    assert queue.has_room(5)
    assert not queue.has_room(6)
    assert queue.retry_after == 2


def test_a_pause_at_the_start_refuses_nobody() -> None:
    queue = Admission(most=256, timeout=10.0, pace=0.005)
    queue.enter(64, 0.0)
    queue.leave(1, 2.0, done=True)
    assert queue.has_room()
    for i in range(100):
        queue.enter(1, 2.0 + 0.01 * i)
        queue.leave(1, 2.01 + 0.01 * i, done=True)
    assert queue.pace == pytest.approx(0.01, rel=0.2)


def test_an_idle_queue_takes_a_request_even_if_one_takes_too_long() -> None:
    queue = Admission(most=100, timeout=1.0)
    queue.enter(1, 0.0)
    queue.leave(1, 3.0, done=True)
    assert queue.pace == 3.0
    assert queue.has_room()
    queue.enter(1, 9.0)
    assert not queue.has_room()


def test_clients_who_all_leave_say_nothing_of_the_pace() -> None:
    queue = Admission(most=256, timeout=10.0, pace=0.01)
    queue.enter(64, 0.0)
    queue.leave(4, 0.04, done=True)
    queue.leave(60, 9.0, done=False)
    queue.enter(64, 10.0)
    queue.leave(60, 10.6, done=True)
    assert queue.pace == pytest.approx(0.01)


def test_idle_time_and_work_that_was_given_up_do_not_count() -> None:
    queue = Admission(most=100, timeout=1.0)
    queue.enter(2, 0.0)
    queue.leave(1, 0.3, done=False)
    queue.leave(1, 0.4, done=True)
    queue.enter(1, 100.0)
    queue.leave(1, 100.2, done=True)
    assert queue.pace == pytest.approx(0.3)
