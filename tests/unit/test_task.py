"""The states of a task, and what a graph's runs are expected to cost."""

from __future__ import annotations

import pytest

from webnn.scheduler.statistics import GraphFigures
from webnn.scheduler.task import MERGED_LIMIT, MOVES, MergedWork, Task, TaskState, Work

ENDS = {TaskState.DONE, TaskState.FAILED, TaskState.DROPPED, TaskState.CANCELLED}


def task_in(state: TaskState) -> Task:
    task = Task(Work(0), (), ())
    task.state = state
    return task


@pytest.mark.parametrize("end", sorted(ENDS))
def test_an_ended_task_stays_as_it_is(end: TaskState) -> None:
    assert MOVES[end] == frozenset()


def test_every_state_can_be_reached_from_the_first() -> None:
    reached = {TaskState.QUEUED}
    while more := {to for state in reached for to in MOVES[state]} - reached:
        reached |= more
    assert reached == set(TaskState)


@pytest.mark.parametrize("old", TaskState)
@pytest.mark.parametrize("new", TaskState)
def test_a_task_moves_as_the_table_says(old: TaskState, new: TaskState) -> None:
    task = task_in(old)
    if new in MOVES[old]:
        task.move(new)
        assert task.state is new
    else:
        with pytest.raises(AssertionError, match=rf"from {old.name} to {new.name}"):
            task.move(new)
        assert task.state is old


def test_the_first_run_is_the_first_estimate() -> None:
    work = Work(0)
    assert work.cost == float("inf")
    work.measured(700)
    assert work.cost == 700


def test_the_estimate_falls_to_a_cheaper_run_at_once() -> None:
    work = Work(0)
    work.measured(1_000_000)
    work.measured(20_000)
    assert work.cost == 20_000


def test_one_run_that_was_preempted_hardly_moves_the_estimate() -> None:
    work = Work(0)
    work.measured(10_000)
    work.measured(50_000_000)
    assert 10_000 < work.cost <= 15_000


def test_runs_that_stay_expensive_become_the_estimate() -> None:
    work = Work(0)
    work.measured(10_000)
    for _ in range(40):
        work.measured(1_000_000)
    assert work.cost == pytest.approx(1_000_000, rel=0.05)


def test_several_dispatches_as_one_graph_are_as_cheap_as_one_of_them_up_to_a_limit() -> None:
    work = MergedWork(0, GraphFigures(), 20)
    assert work.cost == work.total == float("inf")
    work.measured(200_000)
    assert (work.total, work.cost) == (200_000, 10_000)
    for _ in range(30):
        work.measured(2 * MERGED_LIMIT)
    assert work.cost == work.total > MERGED_LIMIT
    work.measured(100_000)
    assert (work.total, work.cost) == (100_000, 5000)
