"""Requests that run together: who meets whom, what each gets, and what happens to those that are given up or fail."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from tests.crowd import ALONE, Crowd, results
from tests.stepped import LARGE, LOST, Function, broken, number_in
from webnn.errors import ContextLostError, OperationError, UnknownError
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.memory.lease import Lease
from webnn.runtime.events import events_of, records_of
from webnn.scheduler.batches.computation import NARROW, Size
from webnn.scheduler.batching import APART_STILL, SAMPLES
from webnn.scheduler.promise import Promise
from webnn.scheduler.statistics import CANCELLED, UNOBSERVABLE
from webnn.scheduler.width import Width, Widths


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
