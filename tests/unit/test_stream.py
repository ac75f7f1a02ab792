"""Streams: results in order, a bounded number under way, clean whatever ends them."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import itertools
from collections.abc import AsyncIterable, AsyncIterator, Generator
from typing import Any

import numpy as np
import pytest
import trio
import trio.testing

import webnn
from tests.leaks import ErrorLog
from tests.loops import Loop
from tests.scripted import Gate, double, eventually, filled, scripted_context
from tests.stepped import number_in
from webnn.backends.processors import usable_threads
from webnn.errors import ContextLostError, InvalidStateError, OperationError, ValidationError


class Source:
    """A sync and an async source of `count` inputs, which knows how far it was taken and whether it was closed."""

    def __init__(self, count: int | None = None, error: BaseException | None = None) -> None:
        self.taken = 0
        self.closed = 0
        self._count = count
        self._error = error

    def __iter__(self) -> Generator[dict[str, Any]]:
        try:
            for i in itertools.count():
                if i == self._count:
                    if self._error is not None:
                        raise self._error
                    return
                self.taken += 1
                yield {"x": filled(i)}
        finally:
            self.closed += 1

    async def each(self, loop: Loop) -> AsyncIterator[dict[str, Any]]:
        items = self.__iter__()
        try:
            for item in items:
                await loop.pause()
                yield item
        finally:
            items.close()


def of_kind(kind: str, source: Source, loop: Loop) -> Any:
    return source if kind == "sync" else source.each(loop)


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    """Whether the source is an async one."""
    return str(request.param)


def number(outputs: Any) -> float:
    return number_in(outputs["y"])


async def gather(results: AsyncIterable[Any], numbers: list[float]) -> None:
    """Append the number of each result."""
    async for outputs in results:
        numbers.append(number(outputs))


# Results.


async def test_results_come_in_order_on_every_loop(context: webnn.MLContext, loop: Loop) -> None:
    source = Source(30)
    stream = context.stream(double(context), source)
    assert [number(outputs) async for outputs in loop.items(stream)] == [2 * i for i in range(30)]
    assert (source.taken, source.closed) == (30, 1)


async def test_an_async_source_gives_the_same(context: webnn.MLContext, event_loop: Loop) -> None:
    source = Source(30)
    stream = context.stream(double(context), source.each(event_loop))
    assert [number(outputs) async for outputs in stream] == [2 * i for i in range(30)]
    assert (source.taken, source.closed) == (30, 1)


@pytest.mark.parametrize("source", [[], (), iter([])])
async def test_nothing_in_nothing_out(context: webnn.MLContext, loop: Loop, source: Any) -> None:
    assert [outputs async for outputs in loop.items(context.stream(double(context), source))] == []


async def test_before_and_after_are_applied_to_each(context: webnn.MLContext, loop: Loop) -> None:
    stream = context.stream(
        double(context), range(5), before=lambda i: {"x": filled(i)}, after=lambda outputs: f"<{number(outputs):.0f}>"
    )
    assert [result async for result in loop.items(stream)] == ["<0>", "<2>", "<4>", "<6>", "<8>"]


async def test_results_may_be_kept(context: webnn.MLContext, loop: Loop) -> None:
    shape = (2048,)
    items = ({"x": filled(i, shape)} for i in range(12))
    kept = [outputs async for outputs in loop.items(context.stream(double(context, shape), items))]
    assert [number(outputs) for outputs in kept] == [2 * i for i in range(12)]


async def test_large_inputs_are_read_where_they_are(context: webnn.MLContext, event_loop: Loop) -> None:
    size = 1 << 20
    builder = context.create_graph_builder()
    graph = await builder.build({"y": builder.reduce_mean(builder.input("x", [size], "float32"))})
    items = ({"x": filled(i, (size,))} for i in range(12))
    assert [number(outputs) async for outputs in context.stream(graph, items)] == [*range(12)]
    assert context.memory_info().peak < size


async def test_two_streams_may_go_side_by_side(context: webnn.MLContext, loop: Loop) -> None:
    graph = double(context)
    first, second = (aiter(loop.items(context.stream(graph, Source(5)))) for _ in range(2))
    seen = [(number(await anext(first)), number(await anext(second))) for _ in range(5)]
    assert seen == [(2 * i, 2 * i) for i in range(5)]
    for items in (first, second):
        with pytest.raises(StopAsyncIteration):
            await anext(items)


# How much is under way.


@pytest.mark.parametrize("depth", [1, 3])
async def test_no_more_than_the_depth_is_under_way(event_loop: Loop, depth: int, kind: str) -> None:
    gate = Gate()
    context, _ = scripted_context(on_run=gate)
    with context:
        source = Source()
        results = aiter(context.stream(double(context), of_kind(kind, source, event_loop), depth=depth))

        async def first() -> float:
            return number(await anext(results))

        started = event_loop.start(first)
        await event_loop.until(gate.reached.is_set)
        for _ in range(10):
            await event_loop.pause()
        assert 1 <= source.taken <= depth
        gate.open()
        assert await event_loop.join(started) == 0
        for i in range(1, 10):
            assert number(await anext(results)) == 2 * i
            assert source.taken <= i + 1 + depth
        await results.aclose()
        await event_loop.until(lambda: source.closed)


async def test_a_slow_consumer_holds_the_source_up(context: webnn.MLContext, event_loop: Loop, kind: str) -> None:
    source = Source(40)
    async for outputs in context.stream(double(context), of_kind(kind, source, event_loop), depth=2):
        for _ in range(5):
            await event_loop.pause()
        assert source.taken <= number(outputs) / 2 + 4


async def test_a_result_does_not_wait_for_the_next_item_of_an_async_source(
    context: webnn.MLContext, event_loop: Loop
) -> None:
    arrived, asked = asyncio.Event(), False

    async def two_items() -> AsyncIterator[dict[str, Any]]:
        nonlocal asked
        yield {"x": filled(1)}
        asked = True
        while not more:
            await event_loop.pause()
        yield {"x": filled(2)}

    more: list[bool] = []
    results = aiter(context.stream(double(context), two_items()))
    assert number(await anext(results)) == 2
    await event_loop.until(lambda: asked)
    more.append(True)
    assert number(await anext(results)) == 4
    with pytest.raises(StopAsyncIteration):
        await anext(results)
    del arrived


# Errors.


async def test_what_the_source_raises_comes_after_the_results_before(context: webnn.MLContext, loop: Loop) -> None:
    source, seen = Source(6, LookupError("no more frames")), list[float]()
    with pytest.raises(LookupError, match="no more frames"):
        await gather(loop.items(context.stream(double(context), source)), seen)
    assert seen == [0, 2, 4, 6, 8, 10]
    assert source.closed == 1


async def test_what_an_async_source_raises_comes_after_the_results_before(
    context: webnn.MLContext, event_loop: Loop
) -> None:
    source, seen = Source(6, LookupError("no more frames")), list[float]()
    with pytest.raises(LookupError, match="no more frames"):
        await gather(context.stream(double(context), source.each(event_loop)), seen)
    assert seen == [0, 2, 4, 6, 8, 10]
    assert source.closed == 1


@pytest.mark.parametrize("where", ["source", "before"])
async def test_an_item_that_is_no_input_is_an_error_after_the_results_before(
    context: webnn.MLContext, loop: Loop, where: str
) -> None:
    items: list[Any] = [{"x": filled(1)}, {"x": filled(2)}, {"z": filled(3)}, {"x": filled(4)}]
    stream = context.stream(double(context), items if where == "source" else iter(items))
    seen: list[float] = []
    with pytest.raises(ValidationError, match=r"^stream: missing 'x' and unknown 'z' among the inputs"):
        await gather(loop.items(stream), seen)
    assert seen == [2, 4]


@pytest.mark.parametrize("name", ["before", "after"])
@pytest.mark.parametrize("error", [LookupError("mine"), StopIteration("mine"), StopAsyncIteration("mine")], ids=repr)
async def test_an_error_in_the_users_functions_reaches_the_user(
    context: webnn.MLContext, loop: Loop, name: str, error: Exception
) -> None:
    def fail(_: Any) -> Any:
        raise error

    source, functions = Source(5), dict[str, Any]({name: fail})
    with pytest.raises((LookupError, RuntimeError)) as caught:
        async for _ in loop.items(context.stream(double(context), source, **functions)):
            pass
    assert "mine" in str(caught.value) or "mine" in str(caught.value.__cause__)
    await loop.until(lambda: source.closed)


async def test_a_run_that_fails_ends_the_stream(loop: Loop, kind: str) -> None:
    if kind == "async" and loop.name == "thread":
        pytest.skip("a plain thread has no async sources")

    runs = itertools.count(1)

    def fail() -> None:
        if next(runs) >= 6:
            raise OperationError("it broke")

    context, backend = scripted_context(on_run=fail)
    with context:
        source, seen = Source(), list[float]()
        with pytest.raises(OperationError, match="it broke"):
            await gather(loop.items(context.stream(double(context), of_kind(kind, source, loop))), seen)
        assert seen == [2 * i for i in range(len(seen))]
        assert len(seen) < 6 <= backend.ran
        await loop.until(lambda: source.closed)
        runs = itertools.count(-100)
        assert number(await loop.result(context.run(double(context), {"x": filled(1)}))) == 2


async def test_an_async_source_that_fails_while_it_is_closed_is_logged(
    context: webnn.MLContext, event_loop: Loop, error_log: ErrorLog
) -> None:
    closed: list[bool] = []

    async def source() -> AsyncIterator[dict[str, Any]]:
        try:
            while True:
                yield {"x": filled(1)}
        finally:
            closed.append(True)
            raise LookupError("the camera is stuck")

    async for _ in context.stream(double(context), source()):
        break
    await event_loop.until(lambda: closed and error_log.records)
    (record,) = error_log.records
    assert "the camera is stuck" in str(record.exc_info)
    error_log.records.clear()


class OwnError(BaseException):
    """As libraries have for what must pass every `except Exception`."""


INTERRUPTS = [SystemExit(3), KeyboardInterrupt(), OwnError(), BaseExceptionGroup("two", [OwnError(), LookupError()])]


@pytest.mark.parametrize("error", INTERRUPTS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("count", [0, 6])
async def test_an_interrupt_in_an_async_source_is_raised_at_the_consumer(
    context: webnn.MLContext, event_loop: Loop, error: BaseException, count: int
) -> None:
    source, seen = Source(count, error), list[float]()
    with pytest.raises(type(error)) as caught:
        await gather(context.stream(double(context), source.each(event_loop)), seen)
    assert caught.value is error
    assert seen == [2 * i for i in range(count)]
    assert source.closed == 1
    assert number(await context.run(double(context), {"x": filled(1)})) == 2  # and the loop goes on


@pytest.mark.parametrize("error", INTERRUPTS, ids=lambda error: type(error).__name__)
async def test_an_interrupt_in_before_is_raised_at_the_consumer_of_an_async_source(
    context: webnn.MLContext, event_loop: Loop, error: BaseException
) -> None:
    def fail(_: Any) -> Any:
        raise error

    source = Source(5)
    with pytest.raises(type(error)) as caught:
        await gather(context.stream(double(context), source.each(event_loop), before=fail), [])
    assert caught.value is error
    await event_loop.until(lambda: source.closed)


@pytest.mark.parametrize("error", INTERRUPTS, ids=lambda error: type(error).__name__)
async def test_an_interrupt_in_an_async_source_that_is_being_closed_is_logged(
    context: webnn.MLContext, event_loop: Loop, error_log: ErrorLog, error: BaseException
) -> None:
    async def source() -> AsyncIterator[dict[str, Any]]:
        try:
            while True:
                yield {"x": filled(1)}
                await event_loop.pause()
        finally:
            raise error

    async for _ in context.stream(double(context), source()):
        break
    await event_loop.until(lambda: error_log.records)
    (record,) = error_log.records
    assert record.exc_info is not None
    raised = record.exc_info[1]
    assert type(raised) is type(error)
    error_log.records.clear()


async def test_an_interrupt_that_the_consumer_leaves_behind_is_logged(
    context: webnn.MLContext, event_loop: Loop, error_log: ErrorLog
) -> None:
    source = Source(2, SystemExit(3))
    async for _ in context.stream(double(context), source.each(event_loop)):
        await event_loop.until(lambda: source.closed)
        await event_loop.pause()
        break
    await event_loop.until(lambda: error_log.records)
    (record,) = error_log.records
    assert record.exc_info is not None
    assert record.exc_info[0] is SystemExit
    error_log.records.clear()


def test_a_trio_source_that_fails_in_a_nursery_while_it_is_cancelled_is_logged(
    context: webnn.MLContext, error_log: ErrorLog
) -> None:
    async def fail() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise LookupError("the camera is stuck")

    async def source() -> AsyncIterator[dict[str, Any]]:
        yield {"x": filled(1)}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            await trio.sleep_forever()
            yield {}

    async def main() -> None:
        async for _ in context.stream(double(context), source()):
            await trio.testing.wait_all_tasks_blocked()
            break
        await trio.testing.wait_all_tasks_blocked()

    trio.run(main)  # the nursery's group has a cancellation beside the error, and both reach the stream
    (record,) = error_log.records
    assert "the camera is stuck" in repr(record.exc_info)
    error_log.records.clear()


# The end.


async def test_leaving_the_loop_closes_the_source(context: webnn.MLContext, event_loop: Loop, kind: str) -> None:
    source = Source()
    async for outputs in context.stream(double(context), of_kind(kind, source, event_loop), depth=4):
        if number(outputs) == 10:
            break
    await event_loop.until(lambda: source.closed)
    assert source.taken <= 10


def test_leaving_a_blocking_loop_closes_the_source(context: webnn.MLContext) -> None:
    source = Source()
    for outputs in context.stream(double(context), source, depth=4):
        if number(outputs) == 10:
            break
    eventually(lambda: source.closed)
    assert source.taken <= 10


async def test_leaving_the_loop_drops_what_has_not_begun(event_loop: Loop, kind: str) -> None:
    context, backend = scripted_context()
    with context:
        graph = double(context)
        backend.on_run = gate = Gate()
        source = Source()
        results = aiter(context.stream(graph, of_kind(kind, source, event_loop), depth=8))

        async def first() -> None:
            async for _ in results:
                break

        started = event_loop.start(first)
        await event_loop.until(gate.reached.is_set)
        await event_loop.until(lambda: source.taken == 8)
        started.cancel()
        await event_loop.until(lambda: started.done)
        closing = event_loop.start(results.aclose)
        for _ in range(10):
            await event_loop.pause()
        assert not closing.done  # since items are under way
        gate.open()
        await event_loop.join(closing)
        assert backend.ran <= usable_threads()
        await event_loop.until(lambda: source.closed)
        await event_loop.until(lambda: context.memory_info().in_use == 0)
        with pytest.raises(StopAsyncIteration):
            await anext(results)


async def test_a_stream_that_ends_in_the_middle_keeps_no_memory(
    context: webnn.MLContext, event_loop: Loop, kind: str
) -> None:
    source = Source()
    async for outputs in context.stream(double(context), of_kind(kind, source, event_loop)):
        if number(outputs) == 4:
            break
    del outputs
    await event_loop.until(lambda: source.closed)
    await event_loop.until(lambda: context.memory_info().in_use == 0)


async def test_cancelling_the_consumer_ends_everything(event_loop: Loop, kind: str) -> None:
    gate = Gate()
    context, _ = scripted_context(on_run=gate)
    with context:
        source = Source()

        async def consume() -> None:
            async for _ in context.stream(double(context), of_kind(kind, source, event_loop)):
                pass

        started = event_loop.start(consume)
        await event_loop.until(gate.reached.is_set)
        started.cancel()
        await event_loop.until(lambda: started.done)
        assert isinstance(started.error, asyncio.CancelledError | trio.Cancelled)
        await event_loop.until(lambda: source.closed)
        gate.open()
        assert number(await context.run(double(context), {"x": filled(1)})) == 2


async def test_cancelling_while_the_source_waits_ends_everything(context: webnn.MLContext, event_loop: Loop) -> None:
    closed, waiting = list[bool](), list[bool]()

    async def source() -> AsyncIterator[dict[str, Any]]:
        try:
            yield {"x": filled(1)}
            waiting.append(True)
            while True:
                await event_loop.pause()
        finally:
            closed.append(True)

    async def consume() -> None:
        async for _ in context.stream(double(context), source()):
            pass

    started = event_loop.start(consume)
    await event_loop.until(lambda: waiting)
    started.cancel()
    await event_loop.until(lambda: started.done and closed)


async def test_destroying_the_context_ends_the_stream(event_loop: Loop, kind: str) -> None:
    gate = Gate()
    context, _ = scripted_context(on_run=gate)
    source = Source()

    async def consume() -> None:
        async for _ in context.stream(double(context), of_kind(kind, source, event_loop)):
            pass

    started = event_loop.start(consume)
    await event_loop.until(gate.reached.is_set)
    context.destroy()
    with pytest.raises(ContextLostError):
        await event_loop.join(started)
    await event_loop.until(lambda: source.closed)
    gate.open()


def test_an_interrupt_that_a_source_raises_comes_after_the_results_before(context: webnn.MLContext) -> None:
    source, seen = Source(3, KeyboardInterrupt()), list[float]()
    with pytest.raises(KeyboardInterrupt):
        seen.extend(number(outputs) for outputs in context.stream(double(context), source))
    assert seen == [0, 2, 4]
    assert source.closed == 1


def test_a_stream_that_nobody_goes_through_takes_nothing(context: webnn.MLContext) -> None:
    source = Source()
    context.stream(double(context), source)
    gc.collect()
    assert source.taken == 0


async def test_it_can_be_iterated_once(context: webnn.MLContext, loop: Loop) -> None:
    stream = context.stream(double(context), Source(2))
    assert len([outputs async for outputs in loop.items(stream)]) == 2
    with pytest.raises(InvalidStateError, match=r"it can be iterated once; make another with context\.stream"):
        [outputs async for outputs in loop.items(stream)]


async def test_it_can_be_closed_early(context: webnn.MLContext, event_loop: Loop, kind: str) -> None:
    source = Source()
    stream = context.stream(double(context), of_kind(kind, source, event_loop))
    async with contextlib.aclosing(aiter(stream)) as results:
        assert number(await anext(results)) == 0
    await event_loop.until(lambda: source.closed)
    with pytest.raises(StopAsyncIteration):
        await anext(results)


# Arguments.


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (3, {}, "stream: source must be an iterable or an async iterable, got int"),
        (None, {}, "stream: source must be an iterable or an async iterable, got NoneType"),
        ("images", {}, "stream: source must be an iterable or an async iterable, got 'images'; the files of a folder"),
        ([], {"depth": 0}, "stream: depth must be at least 1, got 0"),
        ([], {"depth": -1}, "depth must be an integer from 0 to"),
        ([], {"depth": "deep"}, "depth must be an integer, got 'deep'"),
        ([], {"depth": True}, "depth must be an integer, got True"),
    ],
)
def test_what_is_no_stream_is_refused_at_the_call(
    context: webnn.MLContext, source: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        context.stream(double(context), source, **options)


def test_an_async_source_needs_an_async_loop(context: webnn.MLContext) -> None:
    async def source() -> AsyncIterator[dict[str, Any]]:
        yield {"x": filled(1)}

    with pytest.raises(ValidationError, match="the source is async; use `async for`"):
        iter(context.stream(double(context), source()))


def test_only_graphs_of_this_context_are_streamed(context: webnn.MLContext) -> None:
    with pytest.raises(ValidationError, match="stream: graph must be an MLGraph, got int"):
        context.stream(3, [])  # type: ignore[call-overload]
    with webnn.ML().create_context(backend="arrays") as other:
        graph = double(other)
        with pytest.raises(ValidationError, match=r"stream: <MLGraph .*> belongs to another context"):
            context.stream(graph, [])


VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


async def test_an_async_source_sees_the_consumers_context_variables(context: webnn.MLContext, event_loop: Loop) -> None:
    seen: list[str] = []

    async def source() -> AsyncIterator[dict[str, Any]]:
        seen.append(VARIABLE.get())
        yield {"x": np.zeros(4, np.float32)}

    VARIABLE.set("mine")
    assert len([outputs async for outputs in context.stream(double(context), source())]) == 1
    assert seen == ["mine"]
    assert event_loop.name
