"""Batching in whole programs: on event loops and threads, with a real backend."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import Any

import anyio
import anyio.lowlevel
import numpy as np
import pytest

import webnn
from tests.scripted import filled, scripted_context
from webnn.errors import ContextLostError, OperationError, ValidationError

CLIENTS = 24
EACH = 30
RNG = np.random.default_rng(5)
WEIGHTS = [RNG.standard_normal(shape).astype(np.float32) / 20 for shape in ((256, 512), (512, 512), (512, 10))]
FRAMES = RNG.standard_normal((CLIENTS, 1, 256)).astype(np.float32)


def mlp(context: webnn.MLContext) -> webnn.MLGraph:
    builder = context.create_graph_builder()
    y = builder.input("x", [1, 256], "float32")
    for weights in WEIGHTS:
        y = builder.relu(builder.matmul(y, builder.constant(weights)))
    return builder.build({"y": y})


def expected() -> list[np.ndarray[Any, Any]]:
    with webnn.ML().create_context(accelerated=False) as context:
        graph = mlp(context)
        return [context.compute(graph, {"x": frame})["y"] for frame in FRAMES]


def assert_close(actual: np.ndarray[Any, Any], exact: np.ndarray[Any, Any]) -> None:
    """The tolerance that docs/performance.md states."""
    assert actual.shape == exact.shape
    assert float(np.abs(actual - exact).max()) <= 1e-5 * float(np.abs(exact).max())


@pytest.mark.anyio
async def test_a_crowd_of_tasks_gets_the_results_of_unbatched_runs() -> None:
    exact = expected()
    async with webnn.ML().create_context(accelerated=False, max_batch=16) as context:
        graph = await mlp(context)

        async def client(i: int) -> None:
            for _ in range(EACH):
                assert_close((await context.run(graph, {"x": FRAMES[i]}))["y"], exact[i])

        async with anyio.create_task_group() as clients:
            for i in range(CLIENTS):
                clients.start_soon(client, i)
        statistics = context.statistics()
        assert statistics.queued == statistics.running == 0
        (figures,) = statistics.graphs
        assert figures.runs == CLIENTS * EACH, "each request is counted"
        batching = statistics.batching
        assert batching.batches == 0 or 2 <= batching.mean_size <= 16


@pytest.mark.anyio
async def test_a_lone_task_is_never_batched() -> None:
    async with webnn.ML().create_context(accelerated=False, max_batch=16) as context:
        graph = await mlp(context)
        for _ in range(100):
            await context.run(graph, {"x": FRAMES[0]})
        assert context.statistics().batching.batches == 0


def test_a_crowd_of_threads_is_served() -> None:
    exact = expected()
    with webnn.ML().create_context(accelerated=False, max_batch=16) as context:
        graph = mlp(context)

        def client(i: int) -> None:
            for _ in range(EACH):
                assert_close(context.compute(graph, {"x": FRAMES[i]})["y"], exact[i])

        with concurrent.futures.ThreadPoolExecutor(6) as threads:
            list(threads.map(client, range(CLIENTS)))


def gathering(context: webnn.MLContext) -> webnn.MLGraph:
    """A graph whose requests gather from the start, with batches of 4 compiled."""
    builder = context.create_graph_builder()
    x = builder.input("x", [1, 4], "float32")
    graph = builder.build({"y": builder.mul(x, builder.constant("float32", 2))})
    graph._compiled.result()
    batcher, sizes = graph._batcher, graph._batch_sizes
    assert batcher is not None
    assert sizes is not None
    batcher.policy.cheap = 0
    batcher.policy.meets_company(1e6)
    batcher.policy.pays = True
    batcher.policy._compiling.add(4)
    sizes._start(4, narrow=True)
    built = threading.Event()
    assert context._device.build_lane.call(built.set)  # after the size
    assert built.wait(10)
    assert 4 in batcher.policy.usable
    return graph


def test_requests_of_two_event_loops_and_a_thread_meet_in_one_batch() -> None:
    context, backend = scripted_context(max_batch=4)
    with context:
        graph = gathering(context)
        ready = threading.Barrier(3)

        async def client(number: float) -> float:
            promise = context.run(graph, {"x": filled(number, (1, 4))})
            return float((await promise)["y"][0, 0])

        def on_loop(number: float) -> float:
            ready.wait(10)
            return asyncio.run(client(number))

        def on_thread(number: float) -> float:
            ready.wait(10)
            return float(context.compute(graph, {"x": filled(number, (1, 4))})["y"][0, 0])

        with concurrent.futures.ThreadPoolExecutor(3) as threads:
            results = [threads.submit(f, n) for f, n in ((on_loop, 1), (on_loop, 2), (on_thread, 3))]
            assert [result.result(10) for result in results] == [2, 4, 6]
    assert backend.ran


@pytest.mark.anyio
async def test_a_promise_of_another_loop_and_its_callbacks_are_settled() -> None:
    context, _ = scripted_context(max_batch=4)
    async with context:
        graph = gathering(context)
        promises = [context.run(graph, {"x": filled(number, (1, 4))}) for number in range(3)]
        told: list[object] = []
        promises[0].add_done_callback(told.append)
        derived = promises[1].then(lambda outputs: outputs["y"][0, 0])
        assert await anyio.to_thread.run_sync(lambda: float(derived.result(10))) == 2
        done, _ = await anyio.to_thread.run_sync(lambda: concurrent.futures.wait(promises, timeout=10))
        assert len(done) == 3
        assert (await promises[2])["y"][0, 0] == 4
        while not told:
            await anyio.lowlevel.checkpoint()
        assert told == [promises[0]]


def test_requests_of_a_loop_that_has_ended_are_settled() -> None:
    context, _ = scripted_context(max_batch=4)
    with context:
        graph = gathering(context)

        async def leave() -> list[Any]:
            return [context.run(graph, {"x": filled(number, (1, 4))}) for number in range(3)]

        promises = asyncio.run(leave())
        assert [float(promise.result(10)["y"][0, 0]) for promise in promises] == [0, 2, 4]


@pytest.mark.anyio
async def test_a_cancelled_task_leaves_the_others_alone() -> None:
    context, _ = scripted_context(max_batch=4)
    async with context:
        graph = gathering(context)

        async def client(number: float) -> float:
            return float((await context.run(graph, {"x": filled(number, (1, 4))}, timeout=10))["y"][0, 0])

        results: dict[float, float] = {}

        async def keep(number: float) -> None:
            results[number] = await client(number)

        for _ in range(10):
            async with anyio.create_task_group() as clients:
                for number in range(4):
                    clients.start_soon(keep, number)
            with anyio.move_on_after(0):
                await client(7)
        assert results == {0: 0, 1: 2, 2: 4, 3: 6}


def test_a_failing_batch_is_run_again_one_by_one() -> None:
    failures = iter([OperationError("it broke")])

    def fail_once() -> None:
        error = next(failures, None)
        if error is not None:
            raise error

    context, backend = scripted_context(on_run=fail_once, max_batch=4)
    with context:
        graph = gathering(context)
        promises = [context.run(graph, {"x": filled(number, (1, 4))}) for number in range(3)]
        assert [float(promise.result(10)["y"][0, 0]) for promise in promises] == [0, 2, 4]
        assert backend.ran == 4 or context.statistics().batching.batches


def test_destroying_a_graph_lets_its_queued_requests_finish() -> None:
    context, _ = scripted_context(max_batch=4)
    with context:
        graph = gathering(context)
        promises = [context.run(graph, {"x": filled(number, (1, 4))}) for number in range(3)]
        graph.destroy()
        assert [float(promise.result(10)["y"][0, 0]) for promise in promises] == [0, 2, 4]
        assert graph._batcher is None


def test_destroying_a_context_rejects_its_requests() -> None:
    context, _ = scripted_context(max_batch=4)
    graph = gathering(context)
    promises = [context.run(graph, {"x": filled(number, (1, 4))}) for number in range(3)]
    context.destroy()
    for promise in promises:
        with pytest.raises(ContextLostError, match=r"destroy\(\) was called"):
            promise.result(10)


def test_a_graph_that_is_not_separable_runs_as_ever() -> None:
    with webnn.ML().create_context(accelerated=False, max_batch=8) as context:
        builder = context.create_graph_builder()
        graph = builder.build({"y": builder.softmax(builder.input("x", [2, 2], "float32"), 0)})
        promises = [context.run(graph, {"x": np.zeros((2, 2), np.float32)}) for _ in range(5)]
        assert all((promise.result()["y"] == 0.5).all() for promise in promises)
        assert graph._batcher is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_batch": 0}, "create_context: max_batch must be at least 1, got 0"),
        ({"max_batch": "many"}, "create_context: max_batch"),
        ({"max_delay": -1}, "create_context: max_delay must be a number of seconds that is finite and not negative"),
    ],
)
def test_options_that_are_not_valid_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        webnn.ML().create_context(**options)
