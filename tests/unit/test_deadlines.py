"""Runs that are given up: at their deadline, when they are cancelled, and when their result cannot be reached."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import weakref
from collections.abc import Collection
from typing import Any

import numpy as np
import pytest

from tests.forks import in_child
from tests.loops import Loop
from tests.scripted import scripted_context
from webnn.errors import ValidationError
from webnn.runtime.context import MLContext
from webnn.scheduler import deadlines
from webnn.scheduler.deadlines import Deadline, give_up_after
from webnn.scheduler.promise import Promise

X = {"x": np.ones(4, np.float32)}

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


class Gate:
    """Blocks the lane in the first run until the gate is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self._open.wait(10)

    def open(self) -> None:
        self._open.set()


def busy_context() -> tuple[MLContext, Any, Gate]:
    """A context whose lane will block in its first run, a graph on it, and the gate that blocks the lane."""
    gate = Gate()
    context, _ = scripted_context(on_run=gate)
    builder = context.create_graph_builder()
    x = builder.input("x", [4], "float32")
    graph = builder.build({"y": builder.add(x, x)})
    return context, graph, gate


def test_a_run_that_has_not_begun_is_dropped_at_its_deadline() -> None:
    context, graph, gate = busy_context()
    with context:
        first = context.run(graph, X)
        assert gate.reached.wait(5)
        late = context.run(graph, X, timeout=0.01)
        with pytest.raises(TimeoutError, match=r"run: no result after 0\.01 s"):
            late.result(timeout=5)
        gate.open()
        first.result(timeout=5)
        context.run(graph, X).result(timeout=5)
        assert context.statistics().dropped == 1


def test_a_run_that_has_begun_goes_on_after_its_deadline() -> None:
    context, graph, gate = busy_context()
    with context:
        late = context.run(graph, X, timeout=0.5)
        assert gate.reached.wait(5)
        with pytest.raises(TimeoutError):
            late.result(timeout=5)
        gate.open()
        context.run(graph, X).result(timeout=5)
        assert context.statistics().dropped == 0
        del late
        assert context.memory_info().in_use == 0


async def test_a_deadline_wakes_the_task_that_awaits(event_loop: Loop) -> None:
    context, graph, gate = busy_context()
    first = context.run(graph, X)
    with pytest.raises(TimeoutError):
        await context.run(graph, X, timeout=0.01)
    gate.open()
    await first
    context.destroy()


def test_a_run_in_time_is_not_given_up() -> None:
    context, graph, gate = busy_context()
    gate.open()
    with context:
        assert context.run(graph, X, timeout=60).result()["y"][0] == 2


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), "1", True])
def test_a_timeout_must_be_a_number_of_seconds(timeout: Any) -> None:
    context, graph, gate = busy_context()
    gate.open()
    with context, pytest.raises(ValidationError, match="run: timeout must be a number"):
        context.run(graph, X, timeout=timeout)


def test_deadlines_come_in_the_order_of_their_times() -> None:
    promises: list[Promise[Any]] = [Promise() for _ in range(3)]
    order: list[int] = []
    for i, promise in enumerate(promises):
        promise.add_done_callback(lambda _, i=i: order.append(i))  # type: ignore[misc]
    for i, seconds in ((0, 0.03), (1, 0.01), (2, 0.02)):
        give_up_after(seconds, promises[i], "late")
    for promise in promises:
        assert isinstance(promise.exception(timeout=5), TimeoutError)
    assert order == [1, 2, 0]


def test_a_deadline_in_a_million_years_leaves_the_others() -> None:
    first, second = Promise[Any](), Promise[Any]()
    deadline = give_up_after(3e13, first, "late")
    with pytest.raises(TimeoutError, match="no result after 0"):
        first.result(timeout=0)  # the thread has begun to wait, or will
    give_up_after(0.01, second, "late")
    assert isinstance(second.exception(timeout=5), TimeoutError)
    assert not first.done()
    deadline.call_off()


def test_a_deadline_keeps_no_promise_alive() -> None:
    promise: Promise[Any] = Promise()
    reference = weakref.ref(promise)
    deadline = give_up_after(60, promise, "late")
    del promise
    gc.collect()
    assert reference() is None
    deadline.call_off()


def test_a_deadline_that_is_called_off_leaves_the_others() -> None:
    first, second = Promise[Any](), Promise[Any]()
    deadline = give_up_after(0.01, first, "late")
    give_up_after(0.02, second, "late")
    deadline.call_off()
    deadline.call_off()
    assert isinstance(second.exception(timeout=5), TimeoutError)
    assert not first.done()
    first.cancel()


def test_a_deadline_that_was_never_waited_for_takes_no_other_with_it() -> None:
    """As after an interrupt in the middle of setting one, in whatever state that has left it."""
    first, second = Promise[Any](), Promise[Any]()
    never = Deadline(0, lambda: None)
    give_up_after(0.02, second, "late")
    never.call_off()
    give_up_after(0.01, first, "late")
    assert isinstance(second.exception(timeout=5), TimeoutError)
    assert isinstance(first.exception(timeout=5), TimeoutError)


def test_no_thread_waits_for_a_run_that_has_ended() -> None:
    context, graph, gate = busy_context()
    gate.open()
    with context:
        context.run(graph, X, timeout=3600).result()
        context.run(graph, X, timeout=3600).cancel()
    for thread in threading.enumerate():
        if thread.name == "webnn-deadlines":
            thread.join(5)
            assert not thread.is_alive()


def test_no_thread_waits_for_a_run_that_ends_before_its_deadline_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(seconds: float, promise: Promise[Any], message: str) -> Deadline:
        promise.result(5)
        return give_up_after(seconds, promise, message)

    monkeypatch.setattr("webnn.scheduler.timeline.give_up_after", late)
    context, graph, gate = busy_context()
    gate.open()
    with context:
        context.run(graph, X, timeout=3600)
    for thread in threading.enumerate():
        if thread.name == "webnn-deadlines":
            thread.join(5)
            assert not thread.is_alive()


@forks
def test_deadlines_of_a_child_come_in_the_order_of_their_times() -> None:
    """The parent's thread, which waits for the parent's deadlines, does not exist in the child."""
    waiting: Collection[object] = deadlines._deadlines._changed._waiters  # type: ignore[attr-defined]

    def wait_for(threads: int) -> None:
        while len(waiting) < threads:
            pass

    def later_then_sooner() -> str:
        later, sooner = Promise[None](), Promise[None]()
        give_up_after(3600, later, "later")
        wait_for(2)
        give_up_after(0, sooner, "sooner")
        return str(sooner.exception(10))

    before = Promise[None]()
    deadline = give_up_after(3600, before, "of the parent")
    try:
        wait_for(1)
        assert in_child(later_then_sooner) == "sooner"
    finally:
        deadline.call_off()


def test_runs_whose_promises_are_dropped_do_not_run() -> None:
    context, graph, gate = busy_context()
    with context:
        first = context.run(graph, X)
        assert gate.reached.wait(5)
        for _ in range(20):
            context.run(graph, X)
        gate.open()
        first.result(timeout=5)
        context.run(graph, X).result(timeout=5)
        assert context.statistics().dropped == 20


def test_a_run_is_kept_by_a_callback() -> None:
    context, graph, gate = busy_context()
    told = threading.Event()
    with context:
        first = context.run(graph, X)
        assert gate.reached.wait(5)
        context.run(graph, X).add_done_callback(lambda _: told.set())
        context.run(graph, X).then(lambda _: None)
        gate.open()
        first.result(timeout=5)
        assert told.wait(5)
        context.run(graph, X).result(timeout=5)
        assert context.statistics().dropped == 0


@pytest.mark.asyncio
async def test_cancelling_the_tasks_that_await_runs_drops_them() -> None:
    context, graph, gate = busy_context()

    async def handle() -> None:
        await context.run(graph, X)

    first = context.run(graph, X)
    await asyncio.sleep(0)
    tasks = [asyncio.create_task(handle()) for _ in range(20)]
    kept = context.run(graph, X)  # as `shield` would
    waiting = asyncio.create_task(asyncio.wait_for(kept, 60))
    await asyncio.sleep(0)
    for task in [*tasks, waiting]:
        task.cancel()
    await asyncio.gather(*tasks, waiting, return_exceptions=True)
    gate.open()
    await first
    assert (await kept)["y"][0] == 2
    assert context.statistics().dropped == 20
    context.destroy()
