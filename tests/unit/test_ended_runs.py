"""Runs that have begun end early when nothing can observe their results any more, and only then."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest

from tests.scripted import eventually
from tests.stepped import LARGE, SMALL, Cell, Endable, Rig, now, number_in, replaced
from webnn.errors import ContextLostError
from webnn.graph.in_place import InPlaceOutput
from webnn.scheduler.execution import LONG
from webnn.scheduler.promise import Promise
from webnn.scheduler.statistics import CANCELLED, TIMED_OUT, UNOBSERVABLE
from webnn.scheduler.task import Work


def run(rig: Rig, work: Work, number: float = 1, **options: Any) -> Promise[Any]:
    """A run without tensors."""
    data = np.full(rig.shelf.descriptor.shape, number, np.float32)
    return rig.timeline.run(work, [(rig.shelf, data)], [("y", rig.shelf)], **options)


class Meanwhile:
    """Long work, which calls `then` in the middle of its first run."""

    def __init__(self, rig: Rig, then: Callable[[], object] = lambda: None, **options: Any) -> None:
        self.then = then
        self.runs = 0
        self.work = rig.endable("long", self._compute, **options)
        assert isinstance(self.work.executable, Endable)
        self.executable = self.work.executable

    def _compute(self, *inputs: Any) -> Any:
        self.runs += 1
        if self.runs == 1:
            self.then()
        return sum(inputs) + 1

    @property
    def asked(self) -> list[bool]:
        """Of each run, whether it was asked to end."""
        return [ending.asked for ending in self.executable.endings]


def drops(rig: Rig) -> dict[str, int]:
    return dict(rig.timeline.statistics.drops)


@pytest.mark.parametrize("descriptor", [LARGE, SMALL], ids=["large", "small"])
def test_a_run_ends_when_its_promise_is_cancelled(descriptor: Any) -> None:
    rig = Rig(descriptor=descriptor)
    long = Meanwhile(rig)
    promise = run(rig, long.work)
    long.then = promise.cancel
    rig.run_all()
    assert long.asked == [True]
    assert promise.cancelled()
    assert rig.in_use == 0
    (graph,) = (graph for graph in rig.timeline.statistics.graphs if graph.label == "long")
    assert (graph.runs, graph.failed, graph.drops) == (0, 0, {CANCELLED: 1})
    statistics = rig.timeline.statistics
    assert (statistics.dropped, statistics.running, statistics.queued) == (1, 0, 0)
    assert not long.work.failed
    assert long.work.cost == float("inf"), "the time of a run that was ended is no measurement"


def test_the_next_run_uses_the_same_memory_and_is_not_ended() -> None:
    rig = Rig()
    long = Meanwhile(rig)
    promise = run(rig, long.work)
    long.then = promise.cancel
    rig.run_all()
    idle = rig.pool.info().idle
    following = run(rig, long.work, 5)
    rig.run_all()
    assert number_in(following.result()["y"]) == 6
    assert rig.pool.info().idle < idle
    assert long.asked == [True, False]


def test_runs_that_nobody_has_ended_share_an_ending() -> None:
    rig = Rig()
    long = Meanwhile(rig)
    for _ in range(3):
        long.work.cost = float("inf")
        promise = run(rig, long.work)
        rig.run_all()
        assert number_in(promise.result()["y"]) == 2
    assert len(set(long.executable.endings)) == 1


def test_a_run_that_was_cancelled_as_it_started_ends_at_once() -> None:
    rig = Rig()
    long = Meanwhile(rig)
    make, promise = long.executable.ending, run(rig, long.work)

    def ending() -> Any:
        source = promise._source
        with pytest.MonkeyPatch.context() as patch:  # its canceller was faster than the start, and saw it queued
            patch.setattr(type(source), "end_run", lambda _: None)
            promise.cancel()
        return make()

    long.executable.ending = ending  # type: ignore[method-assign]
    rig.run_all()
    assert (long.runs, long.asked) == (0, [True])
    assert drops(rig) == {CANCELLED: 1}


def test_nothing_happens_if_it_was_ended_twice_or_has_ended() -> None:
    rig = Rig()
    long = Meanwhile(rig, lambda: (promise.cancel(), promise.cancel(), long.executable.endings[0].end()))
    promise = run(rig, long.work)
    rig.run_all()
    long.executable.endings[0].end()
    following = run(rig, long.work)
    rig.run_all()
    last = following.result()
    long.executable.endings[1].end()
    assert not following.cancel()
    assert number_in(last["y"]) == 2
    assert drops(rig) == {CANCELLED: 1}


def test_a_run_that_does_not_end_when_asked_goes_on_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    long = Meanwhile(rig)
    monkeypatch.setattr(long.executable, "run_until", lambda inputs, outputs, _: long.executable.run(inputs, outputs))
    promise = run(rig, long.work)
    long.then = promise.cancel
    rig.run_all()
    assert promise.cancelled()
    assert drops(rig) == {}
    assert rig.in_use == 0
    assert long.work.figures.runs == 1


def test_a_failure_of_a_run_that_was_asked_to_end_counts_as_one() -> None:
    rig = Rig()

    def fail() -> None:
        promise.cancel()
        raise ValueError("strange")

    long = Meanwhile(rig, fail)
    promise = run(rig, long.work)
    rig.run_all()
    assert long.work.figures.failed == 1
    assert drops(rig) == {}


def test_a_run_ends_at_its_deadline() -> None:
    rig = Rig()
    late = threading.Event()
    long = Meanwhile(rig, lambda: late.wait(5))
    promise = run(rig, long.work, timeout=0.001)
    promise.add_done_callback(lambda _: late.set())
    rig.run_all()
    assert isinstance(promise.exception(), TimeoutError)
    # The values are given back before callbacks are called.
    assert long.asked == [True]
    assert drops(rig) == {TIMED_OUT: 1}


def test_a_run_ends_when_the_context_is_destroyed() -> None:
    rig = Rig()
    long = Meanwhile(rig, rig.end)
    promise = run(rig, long.work)
    rig.run_all()
    assert long.asked == [True]
    assert isinstance(promise.exception(), ContextLostError)
    assert rig.in_use == 0


def test_a_caller_that_blocks_is_told_when_another_thread_cancels() -> None:
    rig = Rig()
    long = Meanwhile(rig)
    promise = run(rig, long.work, here=True)
    long.then = promise.cancel
    with pytest.raises(CancelledError):
        promise.result()
    assert long.asked == [True]
    assert rig.timeline.statistics.run_inline == 1


def test_a_run_ends_when_the_task_that_awaits_it_is_cancelled() -> None:
    rig = Rig(threads=1)
    begun = threading.Event()

    def hold() -> None:
        begun.set()
        eventually(lambda: long.asked == [True])

    long = Meanwhile(rig, hold)

    async def main() -> None:
        async def wait() -> None:
            await run(rig, long.work)

        task = asyncio.create_task(wait())
        await asyncio.to_thread(begun.wait, 5)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.to_thread(eventually, lambda: drops(rig))

    asyncio.run(main())
    assert long.asked == [True]
    assert drops(rig) == {UNOBSERVABLE: 1}
    rig.end()


def test_a_dispatch_ends_when_its_only_output_is_overwritten() -> None:
    rig = Rig()
    x, y = rig.name(1), rig.name()
    long = Meanwhile(rig, lambda: rig.write(y, 3))
    end = rig.dispatch(long.work, [x], y).finished()
    rig.run_all()
    assert long.asked == [True]
    assert end.done()
    assert end.result() is None
    assert (now(rig.read(x)), now(rig.read(y))) == (1, 3)


def test_a_dispatch_ends_when_the_last_task_that_reads_it_is_dropped() -> None:
    rig = Rig()
    x, y = rig.name(1), rig.name()

    def drop() -> None:
        rig.write(y, 3)
        assert long.asked == [False], "a queued task still reads it"
        promise.cancel()
        rig.timeline.tidy()

    long = Meanwhile(rig, drop)
    rig.dispatch(long.work, [x], y)
    z = rig.name()
    rig.dispatch(rig.work("reader"), [y], z)
    promise = rig.read(z)
    rig.write(z, 0)
    rig.run_all()
    assert long.asked == [True]
    assert rig.ran == ["long"]


@pytest.mark.parametrize("what", ["a tensor", "a read", "a task", "another output"])
def test_a_run_goes_on_while_something_can_observe_it(what: str) -> None:
    rig = Rig()
    x, y, z = rig.name(1), rig.name(), rig.name()

    def give_up() -> None:
        cancelled.cancel()
        if what != "a tensor":
            rig.write(y, 0)

    long = Meanwhile(rig, give_up)
    long.executable.function = lambda *inputs, compute=long.executable.function: (compute(*inputs), 8)[: len(outputs)]
    outputs = [y, z] if what == "another output" else [y]
    rig.dispatch(long.work, [x], outputs)
    cancelled = rig.read(y)
    expected: list[tuple[Promise[Any], float]] = []
    if what == "a read":
        expected.append((rig.read(y), 2))
    if what == "a task":
        rig.dispatch(rig.work("reader"), [y], z)
        expected.append((rig.read(z), 3))
    rig.run_all()
    assert long.asked == [False]
    if what == "another output":
        expected.append((rig.read(z), 8))
    expected.append((rig.read(y), 2 if what == "a tensor" else 0))
    assert [now(promise) for promise, _ in expected] == [number for _, number in expected]
    assert drops(rig) == {}


@pytest.mark.parametrize("how", ["donated", "borrowed"])
def test_a_run_that_may_overwrite_an_input_goes_on_to_its_end(how: str) -> None:
    rig = Rig()
    x, at, y = rig.name(1), rig.name(2), rig.name()
    output = x if how == "donated" else y

    def scatter(state: Any, place: Any) -> Any:
        rig.write(output, 0)
        return replaced(state, place)

    long = rig.in_place(rig.endable("scatter", scatter), InPlaceOutput(0, 0, True, Cell()))
    rig.dispatch(long, [x, at], output)
    rig.run_all()
    assert isinstance(long.executable, Endable)
    assert long.executable.endings == []
    assert getattr(rig.timeline.statistics, how) == 1
    assert now(rig.read(x)) == (0 if how == "donated" else 1)


def test_short_runs_have_no_ending() -> None:
    rig = Rig()
    short = Meanwhile(rig, cost=LONG - 1, measured=False, nanoseconds=LONG - 1)
    rig.dispatch(short.work, [rig.name(1)], rig.name())
    rig.run_all()
    assert (short.runs, short.asked) == (1, [])


def test_an_ended_run_gives_its_inputs_up_and_the_task_before_is_freed() -> None:
    rig = Rig()
    long = Meanwhile(rig, lambda: rig.write(y, 0))
    x, y = rig.name(1), rig.name()
    rig.dispatch(rig.work("before"), [x], y)
    rig.dispatch(long.work, [y], y)
    rig.run_all()
    assert rig.ran == ["before", "long"]
    assert rig.in_use == 2
    assert now(rig.read(y)) == 0


def test_the_trace_shows_that_it_was_dropped_while_it_ran() -> None:
    rig = Rig()
    long = Meanwhile(rig)
    records: list[Any] = []
    rig.timeline.start_trace(records)
    promise = run(rig, long.work)
    long.then = promise.cancel
    rig.run_all()
    assert "dropped" in records
    assert CANCELLED in records


def test_threads_that_give_up_at_random_never_see_what_an_ended_run_has_left() -> None:
    rig = Rig(threads=2)
    errors: list[BaseException] = []

    def slow(x: Any) -> Any:
        for _ in range(20):
            time.sleep(0)  # lets the other threads run
        return x + 1

    work = rig.endable("long", slow)

    def use(seed: int) -> None:
        rng, y = random.Random(seed), rig.name(0)
        try:
            for i in range(60):
                promise = run(rig, work, i)
                rig.dispatch(work, [y], y)
                choice = rng.randrange(4)
                if choice == 0:
                    promise.cancel()
                elif choice == 1:
                    del promise
                    rig.write(y, i)
                    rig.timeline.tidy()
                elif choice == 2:
                    assert number_in(promise.result()["y"]) == i + 1
                else:
                    assert number_in(rig.read(y).result()) >= 0
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    rig.end()
