"""Chains of cheap tasks that run again and again in the same shape run as one, and end as they do one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.stepped import LARGE, SMALL, Rig, Use, broken, number_in
from webnn.errors import OperationError
from webnn.graph.in_place import InPlaceOutput
from webnn.memory.buffer import View
from webnn.runtime.events import records_of
from webnn.scheduler.hot_chains import (
    CHECKS,
    DIFFERENT,
    FAILED,
    HOT,
    MAX_ENDINGS,
    MERGED,
    MIN_LINKS,
    RECHECK,
    REST,
    SLOWER,
    TIMED,
    UNCOMPILED,
    Chain,
    HotChains,
)
from webnn.scheduler.merged_runs import run_merged
from webnn.scheduler.task import TaskState, Work
from webnn.scheduler.value import Name
from webnn.scheduler.width import Widths

CHEAP = 1_000
LIMIT = 50_000

SOON: dict[str, Any] = {"hot": 1, "checks": 1, "rest": 0}
"""Options with which a chain is looked at three times, counted twice, checked, and merged from its seventh run on."""
LEARNING = 6


def rig_for(descriptor: Any = SMALL, **options: Any) -> Rig:
    return Rig(inline_limit=LIMIT, descriptor=descriptor, **options)


class Line:
    """A chain of dispatches of the same work, through tensors of their own."""

    def __init__(self, rig: Rig, links: int = 4, work: Work | None = None) -> None:
        self.rig = rig
        self.names = [rig.name(0) for _ in range(links + 1)]
        self.work = work or rig.work("add", cost=CHEAP, measured=False)

    def run(self, number: float = 1) -> float:
        """Write `number`, dispatch all links, and read the last tensor."""
        self.rig.write(self.names[0], number)
        for i in range(len(self.names) - 1):
            self.rig.dispatch(self.work, [self.names[i]], self.names[i + 1])
        return number_in(self.rig.read(self.names[-1]).result())

    def warm(self, runs: int = LEARNING) -> None:
        for _ in range(runs):
            self.run()
        self.rig.ran.clear()


def test_a_chain_runs_merged_once_it_is_hot_and_has_been_checked() -> None:
    rig = rig_for()
    chains = rig.merge()
    line = Line(rig)
    runs = 0
    while chains.runs == 0:
        assert line.run(runs) == runs + 4
        runs += 1
        assert runs < 100
    # One look that finds nothing, one that sees the works, one that learns the shape; the count, checks, and one more.
    assert runs == 1 + REST + 1 + 2 * REST + 1 + 4 * REST + HOT + 1 + CHECKS + 1
    rig.ran.clear()
    assert line.run(7) == 11
    assert rig.ran == ["4 merged"]


@pytest.mark.parametrize("descriptor", [SMALL, LARGE], ids=["small", "large"])
def test_all_values_of_a_merged_chain_can_be_read(descriptor: Any) -> None:
    rig = rig_for(descriptor)
    rig.merge(**SOON)
    line = Line(rig)
    line.warm()
    line.run(10)
    assert rig.ran == ["4 merged"]
    assert [number_in(rig.read(name).result()) for name in line.names] == [10, 11, 12, 13, 14]


def test_reads_in_the_middle_of_a_merged_chain_settle_with_it() -> None:
    rig = rig_for()
    rig.merge(**SOON)
    line = Line(rig)
    line.warm()
    rig.write(line.names[0], 5)
    reads = []
    for i in range(4):
        handle = rig.dispatch(line.work, [line.names[i]], line.names[i + 1])
        reads.append(rig.read(line.names[i + 1]))
    end = handle.finished()
    assert number_in(reads[3].result()) == 9
    assert rig.ran == ["4 merged"]
    assert all(read.done() for read in reads)
    assert [number_in(read.result()) for read in reads] == [6, 7, 8, 9]
    assert end.done()


def test_values_that_nothing_can_reach_give_their_memory_back() -> None:
    rig = rig_for(LARGE)
    rig.merge(**SOON)
    work = rig.work("add", cost=CHEAP, measured=False)
    x, y = rig.name(0), rig.name(0)

    def run() -> float:
        for _ in range(3):
            rig.dispatch(work, [x], y)
            rig.dispatch(work, [y], x)
        return number_in(rig.read(x).result())

    for i in range(10):
        assert run() == 6 * (i + 1)
    assert rig.ran[-1] == "6 merged"
    assert rig.in_use == 2
    allocated = rig.pool.info().idle
    for _ in range(10):
        run()
    assert rig.pool.info().idle == allocated


def test_two_inputs_diamonds_and_two_outputs_are_merged() -> None:
    rig = rig_for()
    rig.merge(**SOON)
    split = rig.work("split", lambda a: (a + 1, a * 2), cost=CHEAP, measured=False, outputs=2)
    add = rig.work("add", lambda a, b: a + b, cost=CHEAP, measured=False)
    a, b, c, d, e, state = (rig.name(i) for i in range(6))

    def run(number: float) -> float:
        rig.write(a, number)
        rig.dispatch(split, [a], [b, c])
        rig.dispatch(add, [b, c], d)
        rig.dispatch(add, [b, state], e)
        rig.dispatch(add, [d, e], b)
        return number_in(rig.read(b).result())

    for i in range(8):
        assert run(i) == (i + 1) + 2 * i + (i + 1) + 5
    assert rig.ran[-1] == "4 merged"


def test_the_same_value_at_two_inputs_is_not_taken_for_two_values() -> None:
    rig = rig_for()
    rig.merge(**SOON)
    add = rig.work("add", lambda a, b: a + b, cost=CHEAP, measured=False)
    a, b, c, d, e = (rig.name(i) for i in range(5))

    def run(other: Name) -> float:
        rig.dispatch(add, [a, b], c)
        rig.dispatch(add, [c, other], d)
        rig.dispatch(add, [d, d], e)
        return number_in(rig.read(e).result()) / 2

    rig.write(a, 1)
    rig.write(b, 10)
    for _ in range(8):
        assert run(a) == 12  # a is read twice
    assert rig.ran[-1] == "3 merged"
    for _ in range(2):
        assert run(b) == 21
        assert rig.ran[-1] == "add"


def test_an_input_from_outside_that_is_now_made_by_the_chain_is_another_shape() -> None:
    rig = rig_for()
    rig.merge(**SOON)
    add = rig.work("add", lambda a, b: a + b, cost=CHEAP, measured=False)
    a, b, c, d = (rig.name(1) for i in range(4))

    def run(first: Name, second: Name) -> float:
        rig.dispatch(add, [a, first], c)
        rig.dispatch(add, [c, second], d)
        rig.dispatch(add, [d, c], b)
        return number_in(rig.read(b).result())

    rig.write(b, 1)
    for _ in range(8):
        rig.write(b, 1)
        assert run(b, a) == (1 + 1 + 1) + 2
    assert rig.ran[-1] == "3 merged"
    rig.write(b, 1)
    assert run(b, c) == 4 + 2
    assert rig.ran[-1] == "add"


def test_chains_of_several_shapes_with_one_ending_are_all_merged() -> None:
    rig = rig_for()
    chains = rig.merge(**SOON)
    works = [rig.work(f"add {i}", lambda x, i=i: x + i, cost=CHEAP, measured=False) for i in range(3)]
    names = [rig.name(0) for _ in range(4)]

    def run(first: int) -> float:
        for i, work in enumerate((works[first], works[0], works[0])):
            rig.dispatch(work, [names[i]], names[i + 1])
        return number_in(rig.read(names[3]).result())

    for _ in range(40):
        for first in range(3):
            assert run(first) == first
    assert chains.statistics.chains == 3
    assert rig.ran[-3:] == ["3 merged"] * 3


def test_a_chain_that_changes_each_time_is_not_learned_each_time() -> None:
    rig = rig_for()
    chains = rig.merge(**SOON)
    works = [rig.work(f"add {i}", lambda x, i=i: x + i, cost=CHEAP, measured=False) for i in range(200)]
    names = [rig.name(0) for _ in range(4)]

    def run(first: Work) -> None:
        for i, work in enumerate((first, works[0], works[0])):
            rig.dispatch(work, [names[i]], names[i + 1])
        rig.read(names[3]).result()

    for first in works[1:]:
        run(first)
    (ending,) = chains.endings.values()
    assert ending.misses == len(works) - 2  # without rests each run after the first is looked at
    assert not ending.chains
    works[0].unlooked, ending.misses = 0, 5
    chains._rest = 1
    for many in (64, 128):
        while works[0].unlooked:
            run(works[0])
        run(works[many])
        assert works[0].unlooked == many


def test_chains_that_have_not_run_for_long_are_forgotten() -> None:
    rig = rig_for()
    chains = rig.merge(**SOON)
    line = Line(rig)
    line.warm(LEARNING + 1)
    assert chains.statistics.chains == 1
    for _ in range(MAX_ENDINGS):
        Line(rig, 3).run()
    assert len(chains.endings) == MAX_ENDINGS
    assert chains.statistics.chains == 0
    line.run()
    assert rig.released == [[line.work] * 4]


@pytest.mark.parametrize("what", ["dear", "narrow", "in place", "no graph"])
def test_work_that_gains_nothing_is_not_merged(what: str) -> None:
    rig = rig_for()
    chains = rig.merge(**SOON)
    work = rig.work("work", cost=LIMIT if what == "dear" else CHEAP, measured=False)
    if what == "narrow":
        work.widths = Widths(lambda _: None)
    elif what == "in place":
        rig.in_place(work, InPlaceOutput(0, 0, True))
    elif what == "no graph":
        work.graph = None
    line = Line(rig, work=work)
    for _ in range(10):
        line.run()
    assert chains.statistics.dispatches == 0
    assert rig.ran[-1] == "work"


def test_chains_that_would_hold_up_an_event_loop_are_not_merged() -> None:
    rig = rig_for()
    rig.merge(**SOON)
    work = rig.work("work", cost=0.9 * LIMIT, measured=False)
    short, long = Line(rig, 20, work), Line(rig, 30, work)
    for _ in range(8):
        short.run()
        assert long.run() == 31
    assert "20 merged" in rig.ran
    assert "30 merged" not in rig.ran


def test_two_dispatches_are_not_worth_merging() -> None:
    rig = rig_for()
    chains = rig.merge(**SOON)
    line = Line(rig, MIN_LINKS - 1)
    for _ in range(10):
        line.run()
    assert not chains.endings


# Checks.


def test_other_results_end_a_chain_for_ever_and_are_never_seen() -> None:
    rig = rig_for()

    def spoil(outputs: Sequence[View]) -> None:
        outputs[1].array[2] = -0.0 if outputs[1].array[2] == 0 else outputs[1].array[2] + 1

    chains = rig.merge(spoil, **SOON)
    line = Line(rig)
    for i in range(20):
        assert line.run(i) == i + 4
    assert chains.statistics.refused == {DIFFERENT: 1}
    assert chains.statistics.dispatches == 0
    assert len(rig.released) == 1


def test_the_sign_of_a_zero_is_a_difference() -> None:
    rig = rig_for()
    chains = rig.merge(lambda outputs: outputs[1].array.fill(-0.0), **SOON)
    line = Line(rig, work=rig.work("zero", lambda x: x * 0, cost=CHEAP, measured=False))
    for _ in range(8):
        line.run(1)
    assert chains.statistics.refused == {DIFFERENT: 1}


def test_the_same_nan_is_no_difference() -> None:
    rig = rig_for()
    chains = rig.merge(**SOON)
    nothing = np.array([np.nan] * 4, np.float32)
    line = Line(rig, work=rig.work("nan", lambda x: nothing, cost=CHEAP, measured=False))
    rig.write(line.names[0], 1)
    for _ in range(8):
        for i in range(4):
            rig.dispatch(line.work, [line.names[i]], line.names[i + 1])
        assert np.isnan(rig.read(line.names[-1]).result()).all()
    assert chains.statistics.dispatches > 0


def test_results_are_checked_again_now_and_then() -> None:
    rig = rig_for()
    merged = 0

    def spoil(outputs: Sequence[View]) -> None:
        nonlocal merged
        merged += 1
        if merged > RECHECK + 1:
            outputs[0].array.fill(99)

    chains = rig.merge(spoil, **SOON)
    line = Line(rig)
    for _ in range(RECHECK + LEARNING + 5):
        assert line.run() == 5
    assert chains.statistics.runs == RECHECK
    assert chains.statistics.chains == 0
    assert chains.statistics.refused == {DIFFERENT: 1}


def test_a_chain_that_is_not_faster_runs_one_by_one() -> None:
    rig = rig_for()

    def take_time(_: object) -> None:
        rig.clock.now += 4 * CHEAP

    chains = rig.merge(take_time, **SOON)
    line = Line(rig)
    for _ in range(TIMED + 20):
        assert line.run() == 5
    assert chains.statistics.refused == {SLOWER: 1}
    assert chains.statistics.runs == TIMED
    assert rig.ran[-1] == "add"


def test_a_chain_that_cannot_be_compiled_runs_one_by_one() -> None:
    rig = rig_for()
    chains = HotChains(**SOON)
    wanted: list[Chain] = []
    run_merged(rig.timeline, wanted.append, chains)
    line = Line(rig)
    for _ in range(6):
        assert line.run() == 5
    (chain,) = wanted
    runs = rig.timeline.inline.merged
    assert runs is not None
    runs.refuse(chain, UNCOMPILED, "a test said so")
    for _ in range(5):
        assert line.run() == 5
    assert chains.statistics.refused == {UNCOMPILED: 1}
    runs.compiled(chain, rig.works[0].executable, chain.read, Use(chain.works, rig.released))  # type: ignore[arg-type]
    assert rig.released == [chain.works]


# The end of the tasks.


def test_a_merged_run_that_fails_leaves_the_failure_to_the_dispatch_that_fails() -> None:
    rig = rig_for()
    chains = rig.merge(**SOON)
    fails = False

    def add(x: Any) -> Any:
        if fails and x[0] == 2:
            raise OperationError("it broke")
        return x + 1

    line = Line(rig, work=rig.work("add", add, cost=CHEAP, measured=False))
    line.warm()
    fails = True
    rig.write(line.names[0], 0)
    handles = [rig.dispatch(line.work, [line.names[i]], line.names[i + 1]) for i in range(4)]
    read = rig.read(line.names[-1])
    with pytest.raises(OperationError, match="it broke"):
        read.result()
    states = [handle._task.state for handle in handles]
    assert states == [TaskState.DONE, TaskState.DONE, TaskState.FAILED, TaskState.FAILED]
    assert number_in(rig.read(line.names[2]).result()) == 2
    assert chains.statistics.refused == {FAILED: 1}
    fails = False
    assert line.run() == 5


def test_a_check_that_fails_is_not_seen() -> None:
    rig = rig_for()
    chains = rig.merge(broken(ValueError("strange")), **SOON)
    line = Line(rig)
    for _ in range(8):
        assert line.run() == 5
    assert chains.statistics.refused == {FAILED: 1}


def test_each_dispatch_counts_as_a_run_of_its_graph() -> None:
    rig = rig_for()
    chains = rig.merge(**SOON)
    line = Line(rig)
    for _ in range(10):
        line.run()
    statistics = rig.timeline.statistics
    (graph,) = statistics.graphs
    assert graph.runs == 40
    assert statistics.run_inline == 40
    assert (statistics.queued, statistics.running) == (0, 0)
    assert statistics.merging == chains.statistics
    assert statistics.merging.dispatches == 4 * statistics.merging.runs > 0


def test_a_trace_shows_each_dispatch_and_that_it_was_merged() -> None:
    rig = rig_for()
    rig.merge(**SOON)
    line = Line(rig)
    line.warm()
    trace: list[Any] = []
    rig.timeline.start_trace(trace)
    line.run()
    rig.timeline.stop_trace(trace)
    assert rig.ran == ["4 merged"]
    records = list(records_of(trace))
    assert [record[0] for record in records].count("ran") == 4
    notes = [record[2:] for record in records if record[0] == "noted"]
    assert notes == [("merged with", 3)] * 4


def test_tasks_that_wait_for_a_merged_chain_become_ready() -> None:
    rig = rig_for()
    rig.merge(**SOON)
    line = Line(rig)
    line.warm()
    dear, other = rig.work("dear", cost=LIMIT, measured=False), rig.name()
    rig.write(line.names[0], 1)
    for i in range(4):
        rig.dispatch(line.work, [line.names[i]], line.names[i + 1])
    read = rig.read(line.names[4])
    rig.dispatch(line.work, [line.names[2]], other)
    assert number_in(read.result()) == 5
    assert rig.ran == ["4 merged"]
    assert number_in(rig.read(other).result()) == 4
    rig.dispatch(dear, [other], other)
    rig.run_all()
    assert number_in(rig.read(other).result()) == 5


def test_the_chains_of_a_destroyed_graph_are_given_back() -> None:
    rig = rig_for()
    chains = rig.merge(**SOON)
    line = Line(rig)
    line.warm(LEARNING + 1)
    rig.timeline.forget(line.work)
    assert len(rig.released) == 1
    assert not chains.endings
    for _ in range(10):
        assert line.run() == 5  # tasks of it may still be queued
    assert rig.ran[-1] == "add"
    assert chains.statistics.chains == 0


def test_a_graph_that_is_destroyed_while_its_chain_is_compiled_gets_it_given_back() -> None:
    rig = rig_for()
    chains = HotChains(**SOON)
    wanted: list[Chain] = []
    run_merged(rig.timeline, wanted.append, chains)
    line = Line(rig)
    line.warm(LEARNING - 1)
    (chain,) = wanted
    rig.timeline.forget(line.work)
    assert rig.timeline.inline.merged is not None
    rig.timeline.inline.merged.compiled(
        chain,
        rig.works[0].executable,  # type: ignore[arg-type]
        chain.read,
        Use(chain.works, rig.released),
    )
    assert rig.released == [chain.works]
    assert chain.stage is not MERGED


def test_a_budget_that_has_no_room_for_a_check_leaves_the_chain_alone() -> None:
    rig = rig_for(LARGE, budget=9 * LARGE.byte_length)
    chains = rig.merge(**SOON)
    line = Line(rig, 3)
    for _ in range(10):
        assert line.run() == 4
    assert chains.statistics.dispatches > 0
    rig = rig_for(LARGE, budget=8 * LARGE.byte_length)
    chains = rig.merge(**SOON)
    line = Line(rig, 4)
    for _ in range(10):
        assert line.run() == 5
    assert chains.statistics.dispatches == 0
    assert rig.in_use == 5


def test_without_merging_there_are_no_figures_of_it() -> None:
    rig = rig_for()
    line = Line(rig)
    for _ in range(100):
        line.run()
    assert rig.timeline.statistics.merging.dispatches == 0
