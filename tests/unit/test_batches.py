"""Requests that run together: who meets whom, what each gets, and what happens to those that are given up or fail."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from concurrent import futures
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.scripted import eventually
from tests.stepped import LARGE, LOST, SMALL, Function, Rig, broken, now, number_in
from webnn.errors import ContextLostError, OperationError, UnknownError
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.memory.lease import Lease
from webnn.runtime.events import events_of, records_of
from webnn.scheduler.batches.batcher import Batcher
from webnn.scheduler.batches.computation import NARROW, Size
from webnn.scheduler.batching import APART_STILL, SAMPLES
from webnn.scheduler.bridge import Waiter
from webnn.scheduler.promise import Promise
from webnn.scheduler.statistics import CANCELLED, UNOBSERVABLE
from webnn.scheduler.width import Width, Widths

ALONE = 1000
"""Nanoseconds of a run of one request, and of a batch."""


class Crowd:
    """A batcher over one rig. The graph adds 1 to its input of one row; `ran` has the number of rows of each run."""

    def __init__(self, descriptor: MLOperandDescriptor = SMALL, *, max_batch: int = 4, **options: Any) -> None:
        self.max_delay = options.pop("max_delay", 0)
        self.row = MLOperandDescriptor(descriptor.data_type, [1, *descriptor.shape])
        self.rig = Rig(descriptor=self.row, **options)
        self.work = self.rig.work("alone", self.add_one, cost=1e6, measured=False)
        self.ran: list[int] = []
        self.wanted: list[int] = []
        self.fails = False
        """Whether batches fail, and single requests do not."""
        self.max_batch = max_batch
        self.batcher = self.new_batcher()
        self.batcher.policy.cheap = 0

    def new_batcher(self) -> Batcher:
        shelf = self.rig.shelf
        return Batcher(
            self.rig.timeline,
            self.work,
            [shelf],
            [("y", shelf)],
            max_batch=self.max_batch,
            max_delay=self.max_delay,
            compile=lambda size, narrow: self.wanted.append(size),
        )

    def add_one(self, x: Any) -> Any:
        self.ran.append(len(x))
        self.rig.clock.now += ALONE
        if (x == 666).any():
            raise OperationError("a number that it does not like")
        if self.fails and len(x) > 1:
            raise ValueError("too many")
        return x + 1

    def compile(self, size: int, *, measured: bool = True) -> None:
        """Make `size` usable, and let its runs be as fast as a single one."""
        shelf = self.rig.pool.shelf(MLOperandDescriptor(self.row.data_type, [size, *self.row.shape[1:]]))
        self.batcher.policy._compiling.add(size)
        self.batcher.computation.compiled(size, Size(Function(self.add_one), [shelf], [shelf]))
        if measured:
            for _ in range(SAMPLES):
                self.batcher.policy.measured(size, ALONE)

    def gather(self, *sizes: int) -> Crowd:
        """Begin in company, with these sizes compiled."""
        self.batcher.policy.meets_company(ALONE)
        for _ in range(SAMPLES):
            self.batcher.policy.measured(1, ALONE)
        for size in sizes:
            self.compile(size)
        return self

    def meanwhile(self, numbers: Iterable[float], *, steps: int = 1) -> tuple[list[Promise[Any]], list[bool]]:
        """While the first run of a size that is compiled from now on computes, `numbers` come and lane 1 takes steps.

        Returns:
            The promises of the numbers, and whether each step found something to do; both are filled by that run.
        """
        late: list[Promise[Any]] = []
        taken: list[bool] = []
        add_one = self.add_one

        def first(x: Any) -> Any:
            if not late:
                late.extend(self.run(number) for number in numbers)
                taken.extend(self.rig.step(1) for _ in range(steps))
            return add_one(x)

        self.add_one = first  # type: ignore[method-assign]
        return late, taken

    def run(self, number: float, timeout: float | None = None) -> Promise[Any]:
        data = np.full(self.row.shape, number, self.row.dtype)
        return self.batcher.run([(self.rig.shelf, data)], timeout=timeout)


def results(promises: list[Promise[Any]]) -> list[float]:
    return [number_in(promise.result(timeout=0)["y"]) for promise in promises]


def test_a_request_that_comes_by_itself_runs_alone() -> None:
    crowd = Crowd()
    for number in range(3):
        promise = crowd.run(number)
        crowd.rig.run_all()
        assert results([promise]) == [number + 1]
    assert crowd.rig.ran == ["alone"] * 3
    assert crowd.rig.timeline.statistics.batching.batches == 0


def test_requests_that_are_queued_at_once_run_together_from_the_second_one_on() -> None:
    crowd = Crowd()
    crowd.compile(4)
    promises = [crowd.run(number) for number in range(5)]
    crowd.rig.run_all()
    assert results(promises) == [1, 2, 3, 4, 5]
    assert crowd.ran == [1, 4]
    assert crowd.rig.timeline.statistics.batching.batches == 1
    assert crowd.rig.timeline.statistics.batching.requests == 4


def test_long_requests_run_side_by_side_until_batches_can_be_compared_with_that() -> None:
    crowd = Crowd()
    crowd.work.widths = widths = Widths(lambda widths: None)
    widths.narrow = Function(crowd.add_one)
    crowd.compile(4)
    promises = [crowd.run(number) for number in range(5)]
    crowd.rig.run_all()
    assert results(promises) == [1, 2, 3, 4, 5]
    assert crowd.ran == [1] * 5
    widths.measured(ALONE, wide=False)
    promises = [crowd.run(number) for number in range(APART_STILL + 5)]
    crowd.rig.run_all()
    assert results(promises) == [number + 1 for number in range(APART_STILL + 5)]
    assert crowd.ran[5:] == [*[1] * APART_STILL, 4, 1]


@pytest.mark.parametrize("why", ["small", "one width", "no other width"])
def test_requests_that_cannot_run_side_by_side_are_gathered_at_once(why: str) -> None:
    crowd = Crowd()
    if why != "one width":
        crowd.work.widths = widths = Widths(lambda widths: None)
        widths.refusal = "the graph is too large" if why == "no other width" else ""
    if why == "small":
        crowd.work.cost = NARROW / 2
    crowd.compile(4)
    promises = [crowd.run(number) for number in range(5)]
    crowd.rig.run_all()
    assert results(promises) == [1, 2, 3, 4, 5]
    assert crowd.ran == [1, 4]


def test_a_batch_that_is_not_full_is_padded() -> None:
    crowd = Crowd().gather(4)
    promises = [crowd.run(number) for number in range(3)]
    crowd.rig.run_all()
    assert results(promises) == [1, 2, 3]
    assert crowd.ran == [4]


def test_padding_repeats_valid_data() -> None:
    seen: list[Any] = []
    crowd = Crowd().gather()
    crowd.add_one = lambda x: seen.append(x.copy()) or x + 1  # type: ignore[method-assign, func-returns-value]
    crowd.compile(4)
    promises = [crowd.run(number) for number in (5, 7)]
    crowd.rig.run_all()
    assert results(promises) == [6, 8]
    assert seen[0][:, 0].tolist() == [5, 7, 7, 7]


def test_a_batch_is_full_at_the_limit_and_the_next_request_begins_another_one() -> None:
    crowd = Crowd().gather(4)
    promises = [crowd.run(number) for number in range(9)]
    crowd.rig.run_all()
    assert results(promises) == list(range(1, 10))
    assert crowd.ran == [4, 4, 1]


def test_requests_that_come_while_a_batch_runs_go_together_next() -> None:
    crowd = Crowd().gather(4)
    late: list[Promise[Any]] = []
    add_one = crowd.add_one

    def meanwhile(x: Any) -> Any:
        if not late:
            late.extend(crowd.run(number) for number in (10, 20, 30))
        return add_one(x)

    crowd.add_one = meanwhile  # type: ignore[method-assign]
    crowd.compile(4)
    first = [crowd.run(1), crowd.run(2)]
    crowd.rig.run_all()
    assert results(first + late) == [2, 3, 11, 21, 31]
    assert crowd.ran == [4, 4]


def test_the_policy_is_asked_for_a_size_to_compile() -> None:
    crowd = Crowd().gather()
    promises = [crowd.run(number) for number in range(4)]
    crowd.rig.run_all()
    assert crowd.wanted == [4]
    assert results(promises) == [1, 2, 3, 4]
    assert crowd.ran == [1] * 4, "one by one, until it is compiled"


def test_a_trace_shows_batches_as_runs_of_their_graph() -> None:
    crowd = Crowd().gather(4)
    figures, records = crowd.rig.timeline.figures, list[Any]()
    recorder = crowd.rig.timeline.start_trace(records)
    promises = [crowd.run(number) for number in range(5)]
    crowd.rig.run_all()
    assert results(promises) == [1, 2, 3, 4, 5]
    events = events_of(records_of(records), recorder.tracks, figures.kept or {}, 0)
    tasks = [(event.name, event.details["operators"]) for event in events if event.kind == "task"]
    assert tasks == [("alone", 1)] * 2


def test_one_bad_request_does_not_fail_the_others() -> None:
    crowd = Crowd().gather(4)
    promises = [crowd.run(number) for number in (1, 666, 3)]
    crowd.rig.run_all()
    assert results([promises[0], promises[2]]) == [2, 4]
    with pytest.raises(OperationError, match="a number that it does not like"):
        promises[1].result(timeout=0)
    assert 4 in crowd.batcher.policy.usable, "the request was bad, not the batch"
    (figures,) = crowd.rig.timeline.statistics.graphs
    assert (figures.failed, figures.runs) == (1, 2)


def test_a_size_whose_runs_fail_is_not_used_again() -> None:
    crowd = Crowd().gather(4)
    crowd.fails = True
    promises = [crowd.run(number) for number in range(3)]
    crowd.rig.run_all()
    assert results(promises) == [1, 2, 3]
    assert 4 not in crowd.batcher.policy.usable


def test_an_error_of_the_backend_is_explained() -> None:
    crowd = Crowd().gather()
    crowd.work.executable = Function(broken(ValueError("strange")))
    promises = [crowd.run(1), crowd.run(2)]
    crowd.rig.run_all()
    for promise in promises:
        with pytest.raises(UnknownError, match=r"the backend failed: .*strange"):
            promise.result(timeout=0)


def test_requests_that_were_given_up_are_not_computed() -> None:
    crowd = Crowd().gather(2, 4)
    promises = [crowd.run(number) for number in range(4)]
    promises[1].cancel()
    del promises[3]
    crowd.rig.run_all()
    assert results([promises[0], promises[2]]) == [1, 3]
    assert crowd.ran == [2]
    statistics = crowd.rig.timeline.statistics
    assert statistics.dropped == 2
    assert statistics.drops == {CANCELLED: 1, UNOBSERVABLE: 1}


def test_a_batch_of_requests_that_were_all_given_up_is_not_run() -> None:
    crowd = Crowd().gather(4)
    promises = [crowd.run(number) for number in range(3)]
    for promise in promises:
        promise.cancel()
    crowd.rig.timeline.tidy()
    assert crowd.rig.timeline.statistics.queued == 0
    assert crowd.rig.in_use == 0
    last = crowd.run(7)
    crowd.rig.run_all()
    assert results([last]) == [8]
    assert crowd.ran == [1]


def test_a_request_is_rejected_at_its_deadline() -> None:
    crowd = Crowd().gather(4)
    promises = [crowd.run(1), crowd.run(2, timeout=0.0)]
    with pytest.raises(TimeoutError, match="run: no result after 0 s"):
        promises[1].result()
    crowd.rig.run_all()
    assert results(promises[:1]) == [2]
    assert crowd.rig.timeline.statistics.drops == {"timed out": 1}


def test_destroying_rejects_every_request() -> None:
    crowd = Crowd().gather(4)
    promises = [crowd.run(number) for number in range(6)]
    crowd.rig.end()
    for promise in promises:
        with pytest.raises(ContextLostError, match="a test said so"):
            promise.result()
    with pytest.raises(ContextLostError, match="a test said so"):
        crowd.run(1)
    crowd.rig.timeline.tidy()
    assert crowd.rig.pool.info().in_use == 0


def test_destroying_while_a_batch_runs_rejects_its_requests() -> None:
    crowd = Crowd().gather()
    crowd.add_one = lambda x: crowd.rig.end() or x  # type: ignore[method-assign, func-returns-value]
    crowd.compile(4)
    promises = [crowd.run(number) for number in range(3)]
    crowd.rig.run_all()
    for promise in promises:
        with pytest.raises(ContextLostError, match="a test said so"):
            promise.result()


def test_a_forked_child_abandons_every_request() -> None:
    crowd = Crowd().gather(4)
    promises = [crowd.run(number) for number in range(3)]
    crowd.rig.timeline.shutdown.forked(LOST)
    for promise in promises:
        with pytest.raises(ContextLostError, match="a test said so"):
            promise.result()


def test_small_results_own_their_bytes_and_large_ones_are_lent() -> None:
    small, large = Crowd().gather(4), Crowd(LARGE).gather(4)
    for crowd in (small, large):
        promises = [crowd.run(number) for number in range(4)]
        crowd.rig.run_all()
        arrays = [promise.result()["y"] for promise in promises]
        assert [number_in(array) for array in arrays] == [1, 2, 3, 4]
        assert all(array.shape == crowd.row.shape for array in arrays)
        assert not any(array.flags.writeable for array in arrays)
        assert isinstance(arrays[0].base, Lease) == (crowd is large)
        del promises
        assert crowd.rig.in_use == (4 if crowd is large else 0)
        first = arrays[0]
        arrays.clear()
        assert crowd.rig.in_use == (1 if crowd is large else 0), "it keeps the buffer of no other request"
        assert number_in(first) == 1


def test_large_results_that_are_given_up_during_the_run_give_their_buffers_back() -> None:
    crowd = Crowd(LARGE).gather()
    promises: list[Promise[Any]] = []
    crowd.add_one = lambda x: promises[0].cancel() and x + 1  # type: ignore[method-assign]
    crowd.compile(4)
    promises += [crowd.run(number) for number in range(3)]
    crowd.rig.run_all()
    assert [number_in(promise.result()["y"]) for promise in promises[1:]] == [2, 3]
    promises.clear()
    assert crowd.rig.in_use == 0


def test_a_request_beyond_the_budget_is_refused() -> None:
    size = Crowd(LARGE).rig.size
    crowd = Crowd(LARGE, budget=5 * size).gather(4)
    promises = [crowd.run(1), crowd.run(2)]
    with pytest.raises(OperationError, match=f"the memory budget of {5 * size} bytes does not hold"):
        crowd.run(3)
    crowd.rig.run_all()
    assert [number_in(promise.result()["y"]) for promise in promises] == [2, 3], "one by one: a batch takes more"
    promises.clear()
    gc.collect()
    promises = [crowd.run(3)]
    crowd.rig.run_all()
    assert results(promises) == [4]


def test_a_batch_waits_for_company_while_another_lane_computes_one() -> None:
    crowd = Crowd(lanes=2, max_delay=3600e9, width=Width(3)).gather()
    late, steps = crowd.meanwhile((10, 20))
    crowd.compile(4)
    first = [crowd.run(1), crowd.run(2)]
    crowd.rig.step(0)
    assert steps == [False], "it was held back"
    crowd.rig.run_all()
    assert results(first + late) == [2, 3, 11, 21]
    assert crowd.ran == [4, 4]


def test_a_full_batch_waits_for_nothing() -> None:
    crowd = Crowd(lanes=2, max_delay=3600e9, width=Width(3)).gather()
    late, steps = crowd.meanwhile((10, 20, 30, 40))
    crowd.compile(4)
    first = [crowd.run(1), crowd.run(2)]
    crowd.rig.step(0)
    assert steps == [True]
    assert results(first + late) == [2, 3, 11, 21, 31, 41]


def test_a_full_batch_that_was_held_back_takes_the_place_of_one_that_ends_beside_another() -> None:
    crowd = Crowd(lanes=2, max_delay=3600e9, width=Width(3)).gather()
    late, steps = crowd.meanwhile(range(10, 90, 10), steps=2)  # two batches
    crowd.compile(4)
    first = [crowd.run(1), crowd.run(2)]
    crowd.rig.step(0)
    assert steps == [True, True]
    assert results(first + late) == [2, 3, 11, 21, 31, 41, 51, 61, 71, 81]


@pytest.mark.parametrize("alone", [ALONE, 1_000_000])
def test_full_batches_run_one_after_the_other_where_the_cores_are_needed(alone: float) -> None:
    """On two cores, one is for the program; and a batch of dear requests has all cores."""
    crowd = Crowd(lanes=2, max_delay=3600e9, width=Width(2 if alone == ALONE else 16))
    crowd.batcher.policy.meets_company(alone)
    for _ in range(SAMPLES):
        crowd.batcher.policy.measured(1, alone)
    late, steps = crowd.meanwhile((10, 20, 30, 40))
    crowd.compile(4)
    first = [crowd.run(1), crowd.run(2)]
    crowd.rig.step(0)
    assert steps == [False]
    crowd.rig.run_all()
    assert results(first + late) == [2, 3, 11, 21, 31, 41]


def test_batches_that_are_held_back_run_one_after_the_other_in_order() -> None:
    crowd = Crowd(lanes=2, max_delay=3600e9, width=Width(2)).gather()
    late: list[Promise[Any]] = []
    add_one = crowd.add_one

    def meanwhile(x: Any) -> Any:
        if not late:
            late.extend(crowd.run(number) for number in range(14))
            for number in (5, 6, 7, 4):  # one of the batches that wait is given up
                late[number].cancel()
            crowd.rig.timeline.tidy()
        return add_one(x)

    crowd.add_one = meanwhile  # type: ignore[method-assign]
    crowd.compile(4)
    first = [crowd.run(100), crowd.run(200)]
    crowd.rig.run_all()
    assert results(first) == [101, 201]
    assert results([promise for promise in late if not promise.cancelled()]) == [1, 2, 3, 4, 9, 10, 11, 12, 13, 14]


def test_no_batch_waits_for_longer_than_the_delay() -> None:
    crowd = Crowd(threads=2, max_delay=1e6, width=Width(3)).gather()
    late: list[Promise[Any]] = []
    add_one = crowd.add_one

    def meanwhile(x: Any) -> Any:
        if not late:
            late.extend(crowd.run(number) for number in (10, 20))
            for promise in late:
                promise.result(timeout=10)  # before this run has ended
        return add_one(x)

    crowd.add_one = meanwhile  # type: ignore[method-assign]
    crowd.compile(4)
    first = [crowd.run(1), crowd.run(2)]
    assert [number_in(promise.result(timeout=10)["y"]) for promise in first] == [2, 3]
    assert results(late) == [11, 21]
    crowd.rig.end()


def test_a_request_with_several_rows_is_batched_with_others_of_as_many() -> None:
    crowd = Crowd(MLOperandDescriptor("float32", [3]))
    crowd.row = MLOperandDescriptor("float32", [2, 3])
    crowd.rig.shelf = crowd.rig.pool.shelf(crowd.row)
    crowd.batcher = crowd.new_batcher()
    crowd.batcher.policy.cheap = 0
    crowd.gather()
    shelf = crowd.rig.pool.shelf(MLOperandDescriptor("float32", [8, 3]))
    crowd.batcher.policy._compiling.add(4)
    crowd.batcher.computation.compiled(4, Size(Function(crowd.add_one), [shelf], [shelf]))
    promises = [crowd.run(number) for number in range(3)]
    crowd.rig.run_all()
    assert results(promises) == [1, 2, 3]
    assert crowd.ran == [8]


def test_nothing_is_left_of_a_batch_that_has_run() -> None:
    crowd = Crowd().gather(4)
    promises = [crowd.run(number) for number in range(4)]
    crowd.rig.run_all()
    assert results(promises) == [1, 2, 3, 4]
    gc.collect()
    gc.disable()
    try:
        promises = [crowd.run(number) for number in range(4)]
        crowd.rig.run_all()
        results(promises)
        promises.clear()
        crowd.rig.timeline.tidy()
        assert gc.collect() == 0, "no cycles"
    finally:
        gc.enable()


class Following:
    """Two batches, the second of which gathers while the first one is computed, on lanes that are stepped."""

    def __init__(self, *, lanes: int = 2) -> None:
        self.crowd = crowd = Crowd(lanes=lanes, width=Width(2)).gather()
        self.told: list[float] = []
        """The results of the first batch of which a callback was told."""
        self.late: list[Promise[Any]] = []
        self.seen: list[list[float]] = []
        """What was told when the second batch began, and after a step of the other lane."""
        self.first: list[Promise[Any]] = []
        self.meanwhile: Callable[[], object] = lambda: None
        add_one = crowd.add_one

        def hooked(x: Any) -> Any:
            if not self.late:
                self.late = [crowd.run(number) for number in (10, 20)]
                self.meanwhile()
            else:
                self.seen.append(list(self.told))
                if lanes > 1:
                    crowd.rig.step(1)
                self.seen.append(list(self.told))
            return add_one(x)

        crowd.add_one = hooked  # type: ignore[method-assign]
        crowd.compile(4)
        self.first = [crowd.run(number) for number in (1, 2)]
        for promise in self.first:
            promise.add_done_callback(lambda done: self.told.append(number_in(done.result()["y"])))


def test_the_next_batch_begins_before_the_results_of_the_last_one_are_told_by_another_lane() -> None:
    following = Following()
    following.crowd.rig.step(0)
    assert following.told == []
    following.crowd.rig.run_all()
    assert following.seen == [[], [2, 3]]
    assert results(following.late) == [11, 21]


def test_a_lane_is_added_that_tells_them_where_no_other_one_is_asleep() -> None:
    following = Following(lanes=1)
    following.crowd.rig.run_all()
    assert results(following.late) == [11, 21]
    eventually(lambda: sorted(following.told) == [2, 3])
    following.crowd.rig.end()


@pytest.mark.parametrize("lanes", [1, 2])
def test_callbacks_can_wait_for_the_next_batch(lanes: int) -> None:
    crowd = Crowd(threads=lanes, width=Width(2)).gather()
    crowd.compile(4)
    told = [futures.Future[float]() for _ in range(20)]

    def again(done: futures.Future[float], _: Promise[Any]) -> None:
        done.set_result(number_in(crowd.run(1).result()["y"]))

    for done in told:
        crowd.run(1).add_done_callback(partial(again, done))
    assert [done.result(10) for done in told] == [2] * 20
    crowd.rig.end()


def test_results_do_not_wait_for_other_work_that_comes_before_the_next_batch() -> None:
    following = Following()
    rig = following.crowd.rig
    x = rig.name(1)
    following.meanwhile = lambda: rig.dispatch(rig.work("other"), [x], rig.name())
    rig.step(0)
    assert following.told == [2, 3]


def test_results_are_told_although_the_next_batch_is_given_up() -> None:
    following = Following()
    following.crowd.rig.step(0)
    assert following.told == []
    for promise in following.late:
        promise.cancel()
    following.crowd.rig.timeline.tidy()
    assert following.told == [2, 3]


def test_results_are_told_although_the_context_is_destroyed_before_the_next_batch() -> None:
    following = Following()
    following.crowd.rig.step(0)
    following.crowd.rig.end()
    assert following.told == [2, 3]
    with pytest.raises(ContextLostError, match="a test said so"):
        following.late[0].result()


def test_a_forked_child_abandons_results_that_have_not_been_told() -> None:
    following = Following()
    following.crowd.rig.step(0)
    following.crowd.rig.timeline.shutdown.forked(LOST)
    assert following.told == []
    for promise in (*following.first, *following.late):
        with pytest.raises(ContextLostError, match="a test said so"):
            promise.result()


class HandDrivenLoop:
    """An event loop whose posted calls are run by hand."""

    def __init__(self) -> None:
        self.posted: list[Callable[[], object]] = []


class WaitingTask(Waiter):
    """A task of such a loop that waits; `woken` has how it was woken."""

    def __init__(self, loop: HandDrivenLoop) -> None:
        self.loop = loop
        self.woken: list[str] = []

    def suspend(self) -> Iterable[Any]:
        return ()

    def __call__(self, _: object = None) -> None:
        self.woken.append("from any thread")

    def wake(self) -> None:
        self.woken.append("on its loop")

    def post(self, callback: Callable[[], object]) -> bool:
        self.loop.posted.append(callback)
        return True


def test_the_tasks_of_one_loop_get_the_results_of_a_batch_by_one_call() -> None:
    crowd = Crowd().gather(4)
    loops = [HandDrivenLoop(), HandDrivenLoop()]
    promises = [crowd.run(number) for number in range(4)]
    tasks = [WaitingTask(loops[number == 3]) for number in range(4)]
    for promise, task in zip(promises, tasks, strict=True):
        promise._listen(task)
    crowd.rig.run_all()
    assert [len(loop.posted) for loop in loops] == [1, 1]
    assert [task.woken for task in tasks] == [[], [], [], []]
    loops[0].posted.pop()()
    assert [task.woken for task in tasks] == [["on its loop"]] * 3 + [[]]
    loops[1].posted.pop()()
    assert tasks[3].woken == ["on its loop"]
    assert results(promises) == [1, 2, 3, 4]


def test_a_task_of_another_loop_that_has_come_to_wait_meanwhile_is_not_woken_as_if_it_were_there() -> None:
    crowd = Crowd().gather(4)
    loop, elsewhere = HandDrivenLoop(), HandDrivenLoop()
    promises = [crowd.run(number) for number in range(2)]
    tasks = [WaitingTask(loop), WaitingTask(loop)]
    for promise, task in zip(promises, tasks, strict=True):
        promise._listen(task)
    crowd.rig.run_all()
    late = WaitingTask(elsewhere)
    promises[0]._forget(tasks[0])
    promises[0]._listen(late)
    loop.posted.pop()()
    assert late.woken == ["from any thread"]
    assert tasks[1].woken == ["on its loop"]
    assert tasks[0].woken == []


def test_a_thread_that_begins_to_wait_does_not_depend_on_the_loop_of_another_waiter() -> None:
    crowd = Crowd().gather(4)
    loop = HandDrivenLoop()
    promises = [crowd.run(number) for number in range(2)]
    for promise in promises:
        promise._listen(WaitingTask(loop))
    crowd.rig.run_all()
    assert results(promises) == [1, 2], "although the loop does nothing"
    loop.posted.pop()()
    assert results(promises) == [1, 2]


def test_a_request_that_is_given_up_while_its_results_are_copied_changes_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crowd = Crowd(LARGE).gather(4)
    crowd.rig.run_all()
    allocator = crowd.rig.timeline.allocator
    write = allocator.write
    promises = [crowd.run(number) for number in range(4)]
    others: list[Any] = []

    def meanwhile(view: Any, data: Any) -> None:
        monkeypatch.setattr(allocator, "write", write)
        promises[0].cancel()
        crowd.rig.timeline.tidy()
        others.append(crowd.rig.name(100))  # takes what was given back
        write(view, data)

    split = crowd.batcher.computation._split

    def splitting(*args: Any) -> None:
        monkeypatch.setattr(allocator, "write", meanwhile)
        split(*args)

    monkeypatch.setattr(crowd.batcher.computation, "_split", splitting)
    crowd.rig.run_all()
    assert promises[0].cancelled()
    assert results(promises[1:]) == [2, 3, 4]
    assert [now(crowd.rig.read(name)) for name in others] == [100]
    assert 4 in crowd.batcher.policy.usable, "nothing is wrong with batches of this size"
