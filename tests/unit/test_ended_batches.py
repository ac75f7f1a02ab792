"""A batch that has begun ends early when all of its requests have been given up, and never fails one that has not."""

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
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scripted import eventually
from tests.stepped import LARGE, SMALL, Endable, Rig, number_in
from webnn.backends.base import Ending
from webnn.errors import ContextLostError, OperationError
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.scheduler.batches.batcher import Batcher
from webnn.scheduler.batches.computation import Size
from webnn.scheduler.batching import SAMPLES
from webnn.scheduler.execution import LONG
from webnn.scheduler.promise import Promise
from webnn.scheduler.statistics import CANCELLED, TIMED_OUT, UNOBSERVABLE


class Long:
    """A batcher of runs that can be ended, in sizes 2 and 4. It calls `then` in the middle of each run.

    The graph adds 1 to its input of one row; `ran` has the number of rows of each run that went to its end.
    """

    def __init__(self, descriptor: MLOperandDescriptor = LARGE, *, cost: int = LONG, **options: Any) -> None:
        self.row = MLOperandDescriptor(descriptor.data_type, [1, *descriptor.shape])
        self.rig = rig = Rig(descriptor=self.row, **options)
        self.then: Callable[[], object] = lambda: None
        self.ran: list[int] = []
        self.cost = cost
        self.executables = {1: Endable(self._add_one), 2: Endable(self._add_one), 4: Endable(self._add_one)}
        work = rig.work("alone", cost=cost, measured=False)
        work.executable = self.executables[1]
        self.batcher = Batcher(
            rig.timeline, work, [rig.shelf], [("y", rig.shelf)], max_batch=4, max_delay=0, compile=lambda *_: None
        )
        policy = self.policy = self.batcher.policy
        policy.meets_company(cost)
        for size in (1, 2, 4):
            if size > 1:
                shelf = rig.pool.shelf(MLOperandDescriptor(self.row.data_type, [size, *descriptor.shape]))
                policy._compiling.add(size)
                self.batcher.computation.compiled(size, Size(self.executables[size], [shelf], [shelf]))
            for _ in range(SAMPLES):
                policy.measured(size, cost)

    def _add_one(self, x: Any) -> Any:
        self.then()
        self.ran.append(len(x))
        self.rig.clock.now += self.cost
        if (x == 666).any():
            raise OperationError("a number that it does not like")
        return x + 1

    def run(self, number: float = 1, timeout: float | None = None) -> Promise[Any]:
        data = np.full(self.row.shape, number, self.row.dtype)
        return self.batcher.run([(self.rig.shelf, data)], timeout=timeout)

    @property
    def asked(self) -> list[bool]:
        """Of each run that could be ended, whether it was asked to: those of single requests first."""
        return [ending.asked for executable in self.executables.values() for ending in executable.endings]

    @property
    def drops(self) -> dict[str, int]:
        return dict(self.rig.timeline.statistics.drops)


def once(function: Callable[[], object]) -> Callable[[], object]:
    """What calls `function` the first time."""
    todo = [function]
    return lambda: todo.pop()() if todo else None


@pytest.mark.parametrize("descriptor", [LARGE, SMALL], ids=["large", "small"])
@pytest.mark.parametrize("many", [1, 2, 4])
def test_a_batch_ends_when_its_last_promise_is_cancelled(descriptor: Any, many: int) -> None:
    long = Long(descriptor)
    promises = [long.run() for _ in range(many)]
    asked = []

    def cancel() -> None:
        for promise in promises:
            asked.append(any(long.asked))
            promise.cancel()

    long.then = once(cancel)
    long.rig.run_all()
    assert asked == [False] * many, "while one waits, it goes on"
    assert long.asked == [True]
    assert all(promise.cancelled() for promise in promises)
    assert long.drops == {CANCELLED: many}
    statistics = long.rig.timeline.statistics
    assert (statistics.queued, statistics.running, statistics.batching.batches) == (0, 0, 0)
    (graph,) = statistics.graphs
    assert (graph.runs, graph.failed) == (0, 0)
    assert long.rig.in_use == 0
    following = [long.run(5) for _ in range(many)]
    long.rig.run_all()
    assert [number_in(promise.result(timeout=0)["y"]) for promise in following] == [6] * many
    assert long.asked == [True, False]


@pytest.mark.parametrize("survivor", range(3))
def test_a_batch_goes_on_for_the_one_request_that_was_not_given_up(survivor: int) -> None:
    long = Long()
    promises = [long.run(number) for number in range(3)]
    long.then = once(lambda: [promise.cancel() for promise in promises if promise is not promises[survivor]])
    long.rig.run_all()
    assert long.asked == [False]
    assert number_in(promises[survivor].result(timeout=0)["y"]) == survivor + 1
    assert long.drops == {}


def test_freed_cancelled_and_late_requests_are_all_given_up() -> None:
    long = Long()
    late = threading.Event()
    promises = [long.run(), long.run(), long.run(timeout=0.001)]
    promises[2].add_done_callback(lambda _: late.set())

    def give_up() -> None:
        late.wait(5)
        promises[0].cancel()
        promises.pop(1)
        long.rig.timeline.tidy()

    long.then = once(give_up)
    long.rig.run_all()
    assert long.asked == [True]
    assert long.drops == {CANCELLED: 1, UNOBSERVABLE: 1, TIMED_OUT: 1}
    with pytest.raises(TimeoutError, match=r"run: no result after 0\.001 s"):
        promises[1].result()


def test_a_batch_whose_requests_were_given_up_as_it_began_ends_at_once() -> None:
    long = Long()
    promises = [long.run(), long.run()]
    make = long.executables[2].ending

    def ending() -> Any:  # their promises are freed after they were taken out of the queue
        promises.clear()
        return make()

    long.executables[2].ending = ending  # type: ignore[method-assign]
    long.rig.run_all()
    assert (long.ran, long.asked) == ([], [True])
    assert long.drops == {UNOBSERVABLE: 2}


def test_a_request_that_comes_as_a_batch_ends_is_computed() -> None:
    long = Long()
    promises = [long.run(), long.run()]
    late: list[Promise[Any]] = []

    def leave_and_come() -> None:
        promises[0].cancel()
        late.append(long.run(7))
        promises[1].cancel()
        late.append(long.run(8))

    long.then = once(leave_and_come)
    long.rig.run_all()
    assert [number_in(promise.result(timeout=0)["y"]) for promise in late] == [8, 9]
    assert long.asked == [True, False]


def test_the_second_run_of_a_batch_is_ended_without_the_first() -> None:
    long = Long()
    del long.batcher.policy._samples[4], long.batcher.computation._sizes[4]
    promises = [long.run(number) for number in range(4)]
    calls = []

    def leave() -> None:
        calls.append(1)
        if len(calls) == 2:
            promises[2].cancel()
            promises[3].cancel()

    long.then = leave
    long.rig.run_all()
    assert long.asked == [False, True]
    assert [number_in(promise.result(timeout=0)["y"]) for promise in promises[:2]] == [1, 2]


def test_a_request_is_given_up_while_another_one_of_its_batch_is_computed() -> None:
    long = Long()
    del long.policy._samples[4], long.batcher.computation._sizes[4]
    promises = [long.run(number) for number in range(4)]
    long.then = once(promises[2].cancel)
    long.rig.run_all()
    assert [number_in(promises[i].result(timeout=0)["y"]) for i in (0, 1, 3)] == [1, 2, 4]
    assert (long.ran, long.asked.count(True)) == ([2, 1], 0)
    assert long.drops == {CANCELLED: 1}
    promises.clear()
    assert long.rig.in_use == 0


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_the_next_batch_does_not_wait_for_the_operator_in_which_one_ends(ends: bool, first: bool) -> None:
    long = Long(lanes=2)
    promises = [long.run(), long.run()]
    late: list[Promise[Any]] = []

    def leave() -> None:
        if first:
            late.append(long.run(6))
        for promise in promises if ends else ():
            promise.cancel()
        late.append(long.run(7))
        long.rig.step(1)
        assert [promise.done() for promise in late] == [ends] * len(late)

    long.then = once(leave)
    long.rig.run_all()
    assert [number_in(promise.result(timeout=0)["y"]) for promise in late] == [7, 8][-len(late) :]
    assert long.asked.count(True) == ends


def test_a_run_that_says_that_it_was_ended_although_it_was_not_fails_no_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    long = Long()
    promises = [long.run(number) for number in range(3)]

    def run_until(*_: object) -> None:
        promises[1].cancel()
        raise CancelledError

    monkeypatch.setattr(long.executables[4], "run_until", run_until)
    long.rig.run_all()
    assert number_in(promises[0].result(timeout=0)["y"]) == 1
    assert number_in(promises[2].result(timeout=0)["y"]) == 3


def test_a_failed_batch_is_not_repeated_for_those_who_were_given_up() -> None:
    long = Long()
    promises = [long.run(number) for number in (666, 2, 3)]
    long.then = once(lambda: [promise.cancel() for promise in promises[:2]])
    long.rig.run_all()
    assert long.ran == [4, 1], "together, and the one that is left"
    assert number_in(promises[2].result(timeout=0)["y"]) == 4
    assert 4 in long.policy.usable, "which of the two has failed is not known"
    assert long.drops == {CANCELLED: 2}


def test_a_failure_of_a_batch_that_was_asked_to_end_is_forgotten() -> None:
    long = Long()
    promises = [long.run(666), long.run()]
    long.then = once(lambda: [promise.cancel() for promise in promises])
    long.rig.run_all()
    assert long.rig.in_use == 0
    assert long.drops == {CANCELLED: 2}


def test_a_batch_that_does_not_end_when_asked_goes_on_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    long = Long()

    def run(inputs: Any, outputs: Any, _: Ending) -> None:
        long.executables[2].run(inputs, outputs)

    monkeypatch.setattr(long.executables[2], "run_until", run)
    promises = [long.run(), long.run()]
    long.then = once(lambda: [promise.cancel() for promise in promises])
    long.rig.run_all()
    assert long.ran == [2]
    assert long.drops == {}
    assert long.rig.in_use == 0


def test_a_batch_ends_when_the_context_is_destroyed() -> None:
    long = Long()
    promises = [long.run(), long.run()]
    long.then = once(long.rig.end)
    long.rig.run_all()
    assert long.asked == [True]
    for promise in promises:
        assert isinstance(promise.exception(), ContextLostError)
    assert long.rig.in_use == 0


def test_short_batches_have_no_ending() -> None:
    long = Long(cost=LONG - 1)
    promises = [long.run(), long.run()]
    long.rig.run_all()
    assert [number_in(promise.result(timeout=0)["y"]) for promise in promises] == [2, 2]
    assert long.asked == []


def test_a_batch_ends_when_all_tasks_that_await_it_are_cancelled() -> None:
    long = Long(threads=1)
    begun = threading.Event()

    def hold() -> None:
        begun.set()
        eventually(lambda: long.asked == [True])

    long.then = once(hold)

    async def main() -> None:
        async def wait() -> None:
            await long.run()

        tasks = [asyncio.create_task(wait()) for _ in range(3)]
        await asyncio.to_thread(begun.wait, 5)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.to_thread(eventually, lambda: long.drops)

    asyncio.run(main())
    assert long.asked == [True]
    assert long.drops == {UNOBSERVABLE: 3}
    long.rig.end()


@settings(max_examples=4 * settings().max_examples)
@given(st.data())
def test_random_programs_give_the_results_of_those_that_were_not_given_up(data: st.DataObject) -> None:
    long = Long(lanes=data.draw(st.integers(1, 2)))
    if data.draw(st.booleans()):  # so that batches take several runs
        del long.policy._samples[4], long.batcher.computation._sizes[4]
    waiting: dict[int, Promise[Any]] = {}
    given_up: set[int] = set()

    def change() -> None:
        for _ in range(data.draw(st.integers(0, 4))):
            keys = sorted(waiting)
            action = data.draw(st.sampled_from(["come", "cancel", "free", "both"] if keys else ["come"]))
            if action in ("come", "both"):
                number = len(waiting) + len(given_up)
                waiting[number] = long.run(number)
            if action != "come" and keys:
                key = data.draw(st.sampled_from(keys))
                promise = waiting[key]
                if promise.done():
                    continue
                given_up.add(key)
                if action != "free":
                    promise.cancel()
                del waiting[key], promise
                if data.draw(st.booleans()):
                    long.rig.timeline.tidy()

    for _ in range(3):
        change()
        long.then = lambda: change() if len(waiting) + len(given_up) < 40 else None
        long.rig.run_all()
        long.then = lambda: None
        long.rig.run_all()
        results = {number: number_in(promise.result(timeout=0)["y"]) for number, promise in waiting.items()}
        assert results == {number: number + 1 for number in waiting}
    waiting.clear()
    assert long.rig.in_use == 0
    statistics = long.rig.timeline.statistics
    assert (statistics.queued, statistics.running, statistics.graphs[0].failed) == (0, 0, 0)
    assert statistics.dropped <= len(given_up)


def test_threads_that_give_up_at_random_never_see_what_an_ended_batch_has_left() -> None:
    long = Long(threads=2)
    errors: list[BaseException] = []

    def rest() -> None:
        for _ in range(10):
            time.sleep(0)  # lets the other threads run

    long.then = rest

    def use(seed: int) -> None:
        rng = random.Random(seed)
        try:
            for i in range(2000):
                if i >= 50 and any(long.asked):  # on a busy machine, few runs are met in their middle
                    break
                promises = [long.run(10 * i + j) for j in range(rng.randrange(1, 5))]
                survivors = []
                for j, promise in enumerate(promises):
                    choice = rng.randrange(3)
                    if choice == 0:
                        promise.cancel()
                    elif choice == 1:
                        survivors.append((promise, 10 * i + j + 1))
                del promise
                promises.clear()
                long.rig.timeline.tidy()
                for promise, expected in survivors:
                    assert number_in(promise.result(timeout=20)["y"]) == expected
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors, errors
    assert any(long.asked), "some were ended"
    assert number_in(long.run(1).result(timeout=20)["y"]) == 2  # the batches before it have ended then
    assert long.rig.in_use == 0
    long.rig.end()
