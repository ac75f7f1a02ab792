"""What a stream can be asked for: functions, order, the latest item, deadlines, errors, keys, state, stages."""

from __future__ import annotations

import asyncio
import contextvars
import math
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import numpy as np
import pytest

import webnn
from tests.loops import Loop
from tests.scripted import PATIENCE, Gate, double, filled, scripted_context
from tests.stepped import number_in
from webnn.errors import ContextLostError, OperationError, ValidationError
from webnn.runtime.streaming import calls


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams work on two items side by side, whatever the machine has."""
    monkeypatch.setattr(calls, "usable_threads", lambda: 2)


def feeds(i: int) -> dict[str, Any]:
    return {"x": filled(i)}


def result(outputs: dict[str, Any]) -> float:
    return number_in(outputs["y"])


def counter(context: webnn.MLContext) -> webnn.MLGraph:
    """`total_out = total_in + x`."""
    builder = context.create_graph_builder()
    total = builder.add(builder.input("total_in", [1], "float32"), builder.input("x", [1], "float32"))
    return builder.build({"total_out": total})


# Threads.


async def test_neither_the_source_nor_the_functions_run_on_the_consumers_thread(
    context: webnn.MLContext, loop: Loop
) -> None:
    threads: dict[str, set[threading.Thread]] = {"source": set(), "before": set(), "after": set()}

    def source() -> Iterator[int]:
        for i in range(20):
            threads["source"].add(threading.current_thread())
            yield i

    def before(i: int) -> dict[str, Any]:
        threads["before"].add(threading.current_thread())
        return feeds(i)

    def after(outputs: dict[str, Any]) -> float:
        threads["after"].add(threading.current_thread())
        return result(outputs)

    stream = context.stream(double(context), source(), before=before, after=after)
    assert [number async for number in loop.items(stream)] == [2 * i for i in range(20)]
    assert len(threads["source"]) == 1
    for used in threads.values():
        assert threading.current_thread() not in used


@pytest.mark.usefixtures("two_cores")
async def test_items_go_side_by_side(context: webnn.MLContext, loop: Loop) -> None:
    barrier = threading.Barrier(2, timeout=PATIENCE)

    def before(i: int) -> dict[str, Any]:
        if i < 2:
            barrier.wait()  # until the other one is here too
        return feeds(i)

    stream = context.stream(double(context), range(6), before=before, after=result)
    assert [number async for number in loop.items(stream)] == [0, 2, 4, 6, 8, 10]


async def test_with_a_depth_of_one_items_go_one_after_the_other(context: webnn.MLContext, loop: Loop) -> None:
    inside = threading.Lock()

    def before(i: int) -> dict[str, Any]:
        assert inside.acquire(blocking=False)
        return feeds(i)

    def after(outputs: dict[str, Any]) -> float:
        inside.release()
        return result(outputs)

    stream = context.stream(double(context), range(20), before=before, after=after, depth=1)
    assert [number async for number in loop.items(stream)] == [2 * i for i in range(20)]


VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


async def test_functions_and_sources_see_the_consumers_context_variables(context: webnn.MLContext, loop: Loop) -> None:
    def source() -> Iterator[str]:
        yield VARIABLE.get()

    def before(seen: str) -> dict[str, Any]:
        assert (seen, VARIABLE.get()) == ("mine", "mine")
        return feeds(1)

    VARIABLE.set("mine")
    assert [
        number async for number in loop.items(context.stream(double(context), source(), before=before, after=result))
    ]


@pytest.mark.anyio
async def test_results_that_are_ready_leave_the_loop_to_other_tasks(context: webnn.MLContext) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as group:
        group.start_soon(count_turns)
        stream = context.stream(double(context), range(2000), before=feeds, after=result)
        longest = before = 0
        async for number in stream:
            longest, before = (max(longest, int(number) - before), int(number)) if turns else (longest, before)
            turns = 0
        group.cancel_scope.cancel()
    assert longest < 2000


@pytest.mark.anyio
async def test_cancelling_a_wait_for_the_next_result_loses_nothing(context: webnn.MLContext) -> None:
    go_on = threading.Semaphore(0)

    def source() -> Iterator[int]:
        for i in range(10):
            assert go_on.acquire(timeout=PATIENCE)
            yield i

    results, seen = aiter(context.stream(double(context), source(), before=feeds, after=result)), list[float]()
    for _ in range(10):
        with anyio.move_on_after(0):
            seen.append(await anext(results))
        go_on.release()
        seen.append(await anext(results))
    assert seen == [2 * i for i in range(10)]
    with pytest.raises(StopAsyncIteration):
        await anext(results)


@pytest.mark.asyncio
async def test_asyncio_cancelling_a_wait_at_random_moments_loses_nothing(context: webnn.MLContext) -> None:
    results = aiter(context.stream(double(context), range(300), before=feeds, after=result))
    seen: list[float] = []

    async def take() -> None:
        async for number in results:
            seen.append(number)
            await asyncio.sleep(0)

    rounds = 0
    while len(seen) < 300:
        task = asyncio.create_task(take())
        for _ in range(rounds % 7):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        rounds += 1
    assert seen == [2 * i for i in range(300)]


def test_a_source_that_waits_for_ever_holds_up_neither_the_consumer_nor_the_end_of_the_program() -> None:
    program = """
import asyncio, threading
import numpy as np, webnn

def source():
    yield {"x": np.ones(4, np.float32)}
    threading.Event().wait()

async def main():
    async for outputs in context.stream(graph, source()):
        break

context = webnn.ML().create_context(backend="arrays")
builder = context.create_graph_builder()
x = builder.input("x", [4], "float32")
graph = builder.build({"y": builder.mul(x, x)})
for outputs in context.stream(graph, source()):
    break
asyncio.run(main())
print("done")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)


async def test_destroying_the_context_ends_a_stream_whose_source_waits(event_loop: Loop) -> None:
    gate = Gate()

    def source() -> Iterator[int]:
        yield 1
        gate()

    context = webnn.ML().create_context(backend="arrays")
    results = aiter(context.stream(double(context), source(), before=feeds, after=result))
    assert await anext(results) == 2

    async def next_one() -> float:
        return await anext(results)

    started = event_loop.start(next_one)
    await event_loop.until(gate.reached.is_set)
    context.destroy()
    with pytest.raises(ContextLostError):
        await event_loop.join(started)
    gate.open()


# Order, and items that are left out.


@pytest.mark.usefixtures("two_cores")
async def test_without_order_a_result_does_not_wait_for_an_earlier_item(context: webnn.MLContext, loop: Loop) -> None:
    others = threading.Event()

    def before(i: int) -> dict[str, Any]:
        assert i != 0 or others.wait(PATIENCE)
        return feeds(i)

    seen = []
    async for number in loop.items(
        context.stream(double(context), range(5), before=before, after=result, ordered=False)
    ):
        seen.append(number)
        if number == 8:
            others.set()
    assert seen[-1] == 0
    assert sorted(seen) == [0, 2, 4, 6, 8]


class Camera:
    """Gives a frame when the test says so."""

    def __init__(self) -> None:
        self._frames = threading.Semaphore(0)
        self.given = 0
        self.ended = False

    def __iter__(self) -> Iterator[int]:
        while True:
            assert self._frames.acquire(timeout=PATIENCE)
            if self.ended:
                return
            self.given += 1
            yield self.given - 1

    def shoot(self) -> None:
        """There is another frame."""
        self._frames.release()

    def end(self) -> None:
        """There are no more frames."""
        self.ended = True
        self._frames.release()


async def test_the_latest_frame_is_taken_when_a_place_is_free(event_loop: Loop) -> None:
    gate = Gate()
    context, _ = scripted_context(on_run=gate)
    with context:
        camera = Camera()
        stream = context.stream(double(context), camera, before=feeds, after=result, policy="latest")
        results = aiter(stream)

        async def first() -> float:
            return await anext(results)

        started = event_loop.start(first)
        camera.shoot()
        await event_loop.until(gate.reached.is_set)
        for i in range(5):
            camera.shoot()
            await event_loop.until(lambda i=i: stream.statistics().taken == i + 2)  # type: ignore[misc]
        gate.open()
        assert await event_loop.join(started) == 0
        assert await anext(results) == 10
        camera.end()
        with pytest.raises(StopAsyncIteration):
            await anext(results)
        assert stream.statistics() == webnn.StreamStatistics(taken=6, delivered=2, left_out=4, late=0, failed=0)
        assert context.statistics().drops == {"left out": 4}


async def test_late_items_are_dropped_before_any_work(event_loop: Loop) -> None:
    gate, begun = Gate(), list[int]()

    def before(i: int) -> dict[str, Any]:
        begun.append(i)
        if i == 0:
            gate()
        return feeds(i)

    with webnn.ML().create_context(backend="arrays") as context:
        stream = context.stream(double(context), range(4), before=before, after=result, deadline=0, depth=3, state=None)
        results = aiter(stream)
        numbers: list[float] = []

        async def rest() -> None:
            numbers.extend([number async for number in results])

        started = event_loop.start(rest)
        gate.open()
        await event_loop.join(started)
        counts = stream.statistics()
        assert counts.taken == 4
        assert counts.late == 4 - len(begun)
        assert numbers == [2 * i for i in begun]
        assert counts.late > 0
        assert context.statistics().drops == {"late": counts.late}


# Errors.


async def test_an_error_can_stand_in_the_place_of_its_result(context: webnn.MLContext, loop: Loop) -> None:
    def before(i: int) -> dict[str, Any]:
        if i == 2:
            raise LookupError("frame 2 is broken")
        return feeds(i) if i != 4 else {"z": filled(i)}

    stream = context.stream(double(context), range(6), before=before, after=result, on_error="yield")
    seen = [each async for each in loop.items(stream)]
    assert [each for each in seen if isinstance(each, float)] == [0, 2, 6, 10]
    first, second = (each for each in seen if isinstance(each, webnn.ItemError))
    assert (first.number, str(first.error)) == (2, "frame 2 is broken")
    assert second.number == 4
    assert "missing 'x' and unknown 'z'" in str(second.error)
    assert seen.index(first) == 2
    assert stream.statistics().failed == 2


async def test_a_run_that_fails_stands_in_its_place_too(loop: Loop) -> None:
    runs = iter(range(100))

    def fail() -> None:
        if next(runs) == 1:
            raise OperationError("it broke")

    context, _ = scripted_context(on_run=fail)
    with context:
        stream = context.stream(
            double(context), range(3), before=feeds, after=result, on_error="yield", key=lambda i: f"item {i}", depth=1
        )
        seen = [each async for each in loop.items(stream)]
    assert [key for key, _ in seen] == ["item 0", "item 1", "item 2"]
    error = seen[1][1]
    assert isinstance(error, webnn.ItemError)
    assert "it broke" in str(error.error)


async def test_an_error_of_the_source_ends_the_stream_anyway(context: webnn.MLContext, loop: Loop) -> None:
    def source() -> Iterator[int]:
        yield 1
        raise LookupError("no more frames")

    stream = context.stream(double(context), source(), before=feeds, after=result, on_error="yield")
    results = aiter(loop.items(stream))
    assert await anext(results) == 2
    with pytest.raises(LookupError, match="no more frames"):
        await anext(results)


async def test_a_lost_context_ends_the_stream_anyway(event_loop: Loop) -> None:
    context = webnn.ML().create_context(backend="arrays")
    stream = context.stream(double(context), range(10**9), before=feeds, after=result, on_error="yield")

    async def consume() -> None:
        async for each in stream:
            assert isinstance(each, float)
            if each == 10:
                context.destroy()

    with pytest.raises(ContextLostError):
        await event_loop.join(event_loop.start(consume))


# Keys, state and stages.


async def test_a_key_stands_beside_its_result(context: webnn.MLContext, loop: Loop) -> None:
    stream = context.stream(double(context), range(3), before=feeds, after=result, key=str)
    assert [pair async for pair in loop.items(stream)] == [("0", 0), ("1", 2), ("2", 4)]


async def test_an_output_is_fed_back(context: webnn.MLContext, loop: Loop) -> None:
    def one(i: int) -> dict[str, Any]:
        return {"x": np.array([i], np.float32)}

    def total(outputs: dict[str, Any]) -> float:
        return float(outputs["total_out"][0])

    graph = counter(context)
    stream = context.stream(graph, range(100), before=one, after=total, state={"total_out": "total_in"})
    assert [number async for number in loop.items(stream)] == [i * (i + 1) / 2 for i in range(100)]


async def test_an_item_may_set_the_state(context: webnn.MLContext, loop: Loop) -> None:
    items = [{"x": 1, "total_in": 10}, {"x": 2}, {"x": 3, "total_in": 100}, {"x": 4}]
    arrays = [{name: np.array([value], np.float32) for name, value in item.items()} for item in items]
    stream = context.stream(counter(context), arrays, state={"total_out": "total_in"})
    assert [float(each["total_out"][0]) async for each in loop.items(stream)] == [11, 13, 103, 107]


async def test_an_item_that_fails_leaves_the_state_as_it_was(context: webnn.MLContext, loop: Loop) -> None:
    arrays: list[dict[str, Any]] = [{"x": np.array([i], np.float32)} for i in (1, 2, 3)]
    arrays.insert(2, {"x": "not a number"})
    stream = context.stream(counter(context), arrays, state={"total_out": "total_in"}, on_error="yield")
    seen = [each async for each in loop.items(stream)]
    assert isinstance(seen.pop(2), webnn.ItemError)
    assert [float(each["total_out"][0]) for each in seen if isinstance(each, dict)] == [1, 3, 6]


async def test_stages_follow_each_other(context: webnn.MLContext, loop: Loop) -> None:
    two, three = double(context), double(context, times=3)
    stages: list[Any] = [feeds, two, lambda outputs: {"x": outputs["y"] + 1}, three]
    stream = context.stream(stages, range(4), before=lambda i: 10 * i, after=result)
    assert [number async for number in loop.items(stream)] == [3 * (2 * 10 * i + 1) for i in range(4)]


async def test_an_async_source_takes_the_same_options(context: webnn.MLContext, event_loop: Loop) -> None:
    async def source() -> AsyncIterator[int]:
        for i in range(6):
            yield i

    def before(i: int) -> dict[str, Any]:
        if i == 3:
            raise LookupError("mine")
        return feeds(i)

    stream = context.stream(
        double(context), source(), before=before, after=result, key=str, on_error="yield", ordered=False, depth=2
    )
    found = dict([pair async for pair in stream])
    error = found.pop("3")
    assert isinstance(error, webnn.ItemError)
    assert error.number == 3
    assert found == {str(i): 2 * i for i in (0, 1, 2, 4, 5)}
    assert event_loop.name


# Arguments.


async def awaited(item: object) -> object:
    return item


class Awaited:
    async def __call__(self, item: object) -> object:
        return item


async def each(item: object) -> AsyncIterator[object]:
    yield item


@pytest.mark.parametrize(("name", "hint"), [("latest", "write policy="), ("prefetch", "the call is stream")])
def test_options_of_other_names_are_told_from_these(context: webnn.MLContext, name: str, hint: str) -> None:
    options: dict[str, Any] = {name: True}
    with pytest.raises(TypeError, match=f"stream: there is no argument '{name}'.*{hint}"):
        context.stream(double(context), [], **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": "newest"}, "stream: policy must be one of 'all', 'latest', got 'newest'"),
        ({"on_error": "ignore"}, "stream: on_error must be one of 'raise', 'yield', got 'ignore'"),
        ({"ordered": 1}, "stream: ordered must be True or False, got 1"),
        ({"deadline": -1}, "stream: deadline must be a number of seconds that is finite and not negative, got -1"),
        ({"deadline": math.nan}, "stream: deadline must be a number of seconds"),
        ({"before": 3}, "stream: before must be a function, got int"),
        ({"after": "f"}, "stream: after must be a function, got str"),
        ({"key": 3}, "stream: key must be a function, got int"),
        ({"before": awaited}, "stream: before must be a plain function, got an async one, .* await in the source"),
        ({"after": partial(awaited)}, "stream: after must be a plain function, got an async one"),
        ({"after": Awaited()}, "stream: after must be a plain function, got an async one"),
        ({"key": each}, "stream: key must be a plain function, got an async one"),
        ({"state": "y"}, "stream: state must map names of outputs to names of inputs, got str"),
        ({"state": {"z": "x"}}, "state feeds 'z' back to 'x', but 0 of the graphs have both"),
        ({"state": {"y": "z"}}, r"there is \['y'\] to \['x'\]"),
    ],
)
def test_options_without_a_valid_value_are_refused_at_the_call(
    context: webnn.MLContext, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        context.stream(double(context), [], **options)


def test_a_state_of_another_shape_is_refused(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    x = builder.input("x", [2, 2], "float32")
    graph = builder.build({"y": builder.reduce_sum(x)})
    with pytest.raises(ValidationError, match=r"output 'y', float32 \[\], back to input 'x', float32 \[2, 2\]"):
        context.stream(graph, [], state={"y": "x"})


def test_two_outputs_are_not_fed_back_to_one_input(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    x = builder.input("x", [2], "float32")
    graph = builder.build({"a": builder.neg(x), "b": builder.abs(x)})
    with pytest.raises(ValidationError, match="feeds two outputs back to input 'x'"):
        context.stream(graph, [], state={"a": "x", "b": "x"})


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([], "at least one of the stages must be a graph, got 0 functions"),
        ([str, abs], "at least one of the stages must be a graph, got 2 functions"),
        ([str, 3], "stage 1 must be a graph or a function, got int"),
        ([awaited], "stream: stage 0 must be a plain function, got an async one"),
        (abs, "graph must be an MLGraph, got builtin_function_or_method"),
    ],
)
def test_what_is_no_stage_is_refused(context: webnn.MLContext, stages: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        context.stream(stages, [])
