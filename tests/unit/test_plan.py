"""Plans: several tasks that are queued by one call, on a timeline that is stepped by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from tests.stepped import LARGE, LOST, Rig, broken, now, number_in
from webnn.errors import ContextLostError, InvalidStateError, OperationError
from webnn.graph.in_place import InPlaceOutput
from webnn.scheduler.plan import Calls, Plan, Step
from webnn.scheduler.results import Dispatch
from webnn.scheduler.task import Work
from webnn.scheduler.value import Name, Value


def chain(rig: Rig, names: Sequence[Name], *, kept: Sequence[int] | None = None) -> Plan:
    """A plan that computes each name from the one before. Only the positions in `kept` are bound, by default all."""
    positions = range(1, len(names))
    bound = positions if kept is None else kept
    return Plan(
        names=[names[0]],
        steps=[Step((i - 1,), (rig.shelf,)) for i in positions],
        bound=[(names[i], i) for i in bound],
        unbound=[i for i in positions if i not in bound],
    )


def test_the_tasks_of_a_plan_run_in_order_and_bind_all_names() -> None:
    rig = Rig()
    names = [rig.name(1), rig.name(), rig.name()]
    works = [rig.work("first"), rig.work("second")]
    rig.timeline.replay(chain(rig, names), works)
    rig.run_all()
    assert rig.ran == ["first", "second"]
    assert [now(rig.read(name)) for name in names] == [1, 2, 3]


def test_a_plan_reads_the_values_at_the_call_and_those_of_its_own_steps() -> None:
    rig = Rig()
    a, b, c = rig.name(1), rig.name(10), rig.name()
    # c = a + 1; a = b + 1; b = the old a + 1
    plan = Plan([a, b], [Step((0,), (rig.shelf,)), Step((1,), (rig.shelf,)), Step((0,), (rig.shelf,))], (), ())
    plan = Plan(plan.names, plan.steps, [(c, 2), (a, 3), (b, 4)], [])
    rig.timeline.replay(plan, [rig.work("any")] * 3)
    rig.write(a, 50)
    rig.run_all()
    assert [now(rig.read(name)) for name in (a, b, c)] == [50, 2, 2]


def test_a_name_that_was_never_written_is_read_as_zeros() -> None:
    rig = Rig()
    names = [rig.name(), rig.name()]
    rig.timeline.replay(chain(rig, names), [rig.work("any")])
    rig.run_all()
    assert now(rig.read(names[1])) == 1


def test_a_value_that_no_name_means_is_freed_when_its_reader_has_run() -> None:
    rig = Rig()
    names = [rig.name(1), rig.name(), rig.name()]
    rig.timeline.replay(chain(rig, names, kept=[2]), [rig.work("any")] * 2)
    rig.run_all()
    assert names[1].value is None
    assert now(rig.read(names[2])) == 3
    assert rig.in_use == 2


def test_steps_whose_values_nothing_can_reach_are_dropped() -> None:
    rig = Rig()
    names = [rig.name(1), rig.name(), rig.name()]
    rig.timeline.replay(chain(rig, names, kept=[1]), [rig.work("kept"), rig.work("unreachable")])
    rig.run_all()
    assert rig.ran == ["kept"]


def test_a_plan_that_is_replayed_again_drops_what_was_not_observed() -> None:
    rig = Rig()
    names = [rig.name(1), rig.name(), rig.name()]
    works = [rig.work("any")] * 2
    for _ in range(3):
        rig.timeline.replay(chain(rig, names), works)
    rig.run_all()
    assert len(rig.ran) == 2
    assert rig.timeline.statistics.dropped == 4


def test_the_handle_of_several_tasks_finishes_with_the_last_of_them() -> None:
    rig = Rig()
    names = [rig.name(1), rig.name(), rig.name()]
    handle = rig.timeline.replay(chain(rig, names), [rig.work("any")] * 2)
    end = handle.finished()
    rig.step()
    assert repr(handle) == "<Replay, 1 of 2 tasks ended>"
    assert not end.done()
    rig.step()
    assert end.done()
    assert handle.finished().done()


def test_the_handle_of_cheap_tasks_runs_them_when_it_is_awaited() -> None:
    rig = Rig(inline_limit=1000)
    names = [rig.name(1), rig.name(), rig.name()]

    async def program() -> None:
        handle = rig.timeline.replay(chain(rig, names), [rig.work("any", cost=500, measured=False)] * 2)
        assert await handle is handle
        await handle.finished()
        assert rig.ran == ["any", "any"]

    asyncio.run(program())


def test_the_handle_settles_if_only_a_callback_waits() -> None:
    rig = Rig(inline_limit=1000)
    names = [rig.name(1), rig.name(), rig.name()]
    told: list[object] = []

    async def program() -> None:
        handle = rig.timeline.replay(chain(rig, names), [rig.work("any", cost=500, measured=False)] * 2)
        handle.finished().add_done_callback(told.append)
        await asyncio.sleep(0)
        rig.run_all()  # the second task waits for the first one, so both go to a lane

    asyncio.run(program())
    assert len(told) == 1


@pytest.mark.parametrize("timeout", [None, 5])
@pytest.mark.parametrize("inline_limit", [0, 1000])
def test_a_callback_of_a_result_can_wait_for_the_handle(inline_limit: int, timeout: float | None) -> None:
    rig = Rig(threads=1, inline_limit=inline_limit)
    names = [rig.name(1), rig.name(), rig.name()]
    waited: Future[None] = Future()
    handle = rig.timeline.replay(chain(rig, names), [rig.work("any", cost=500, measured=False)] * 2)
    read = rig.read(names[2])
    end = handle.finished()
    read.add_done_callback(lambda _: waited.set_result(end.result(timeout)))
    read.result()
    assert waited.result(10) is None
    rig.end()


def test_a_plain_thread_that_waits_for_the_handle_runs_the_tasks() -> None:
    rig = Rig()
    names = [rig.name(1), rig.name(), rig.name()]
    works = [rig.work("any")] * 2
    assert rig.timeline.replay(chain(rig, names), works).finished().result() is None
    rig = Rig(inline_limit=1000)
    names = [rig.name(1), rig.name(), rig.name()]
    works = [rig.work("any", cost=500, measured=False)] * 2
    assert rig.timeline.replay(chain(rig, names), works).finished().result(10) is None


def test_the_handle_fails_with_the_first_error() -> None:
    rig = Rig()
    names = [rig.name(1), rig.name(), rig.name(), rig.name()]
    works = [rig.work("good"), rig.work("bad", broken(OperationError("it broke"))), rig.work("after")]
    handle = rig.timeline.replay(chain(rig, names), works)
    rig.run_all()
    with pytest.raises(OperationError, match="it broke"):
        handle.finished().result()
    assert now(rig.read(names[1])) == 2
    for name in names[2:]:
        with pytest.raises(OperationError, match="it broke"):
            rig.read(name).result()


def test_a_plan_of_one_task_has_the_handle_of_a_dispatch() -> None:
    rig = Rig()
    names = [rig.name(1), rig.name()]
    assert type(rig.timeline.replay(chain(rig, names), [rig.work("any")])) is Dispatch


def test_an_empty_plan_has_ended_at_once() -> None:
    rig = Rig()
    assert rig.timeline.replay(Plan((), (), (), ()), ()).finished().done()


def test_a_plan_that_exceeds_the_budget_is_refused_as_a_whole() -> None:
    rig = Rig(budget=4 * Rig().size)
    names = [rig.name(1), rig.name(2), rig.name(), rig.name(), rig.name()]
    with pytest.raises(OperationError, match="the memory budget of"):
        rig.timeline.replay(chain(rig, names), [rig.work("any")] * 4)
    assert rig.timeline.statistics.queued == 0
    assert [name.value is None for name in names] == [False, False, True, True, True]
    rig.timeline.replay(chain(rig, names[:4]), [rig.work("any")] * 3)  # one of the names gives its memory up
    rig.run_all()
    assert now(rig.read(names[3])) == 4


def test_a_plan_waits_for_compilations_as_dispatches_do() -> None:
    rig = Rig()
    names = [rig.name(1), rig.name(), rig.name()]
    works = [rig.work("late", compiled=False), rig.work("ready")]
    end = rig.timeline.replay(chain(rig, names), works).finished()
    rig.run_all()
    assert not end.done()
    rig.compile(works[0])
    rig.run_all()
    assert end.done()
    assert now(rig.read(names[2])) == 3


def test_the_end_of_the_timeline_rejects_the_handle_and_refuses_plans() -> None:
    rig = Rig()
    names = [rig.name(1), rig.name(), rig.name()]
    plan, works = chain(rig, names), [rig.work("any")] * 2
    end = rig.timeline.replay(plan, works).finished()
    rig.end()
    with pytest.raises(ContextLostError, match="a test said so"):
        end.result()
    with pytest.raises(ContextLostError, match=str(LOST)):
        rig.timeline.replay(plan, works)


# Values that are made anew.


class Split:
    """A plan of one task with three outputs, `x + 1`, `x + 2` and `x + 3`."""

    def __init__(self, rig: Rig, work: Work | None = None) -> None:
        self.rig, self.x, self.outputs = rig, rig.name(0), [rig.name() for _ in range(3)]
        calls = Calls([([self.x], self.outputs)])
        self.plan = calls.plan((read, made, [rig.shelf] * 3) for read, made in calls.values)
        self.work = work or rig.work("split", lambda x: (x + 1, x + 2, x + 3), outputs=3)

    def replay(self, number: float) -> Dispatch:
        self.rig.write(self.x, number)
        return self.rig.timeline.replay(self.plan, [self.work])

    @property
    def results(self) -> list[float]:
        return [now(self.rig.read(name)) for name in self.outputs]

    @property
    def values(self) -> list[Value | None]:
        return [name.value for name in self.outputs]

    @property
    def memory(self) -> list[int]:
        return [id(value.view) for value in self.values if value is not None]


def test_values_that_only_their_names_can_reach_are_made_anew_in_the_same_memory() -> None:
    split = Split(Rig())
    split.replay(1)
    split.rig.run_all()
    values, memory = split.values, split.memory
    for number in range(5):
        split.replay(number)
        assert [value.view for value in split.values if value is not None] == [None] * 3
        split.rig.run_all()
        assert split.results == [number + 1, number + 2, number + 3]
        split.rig.timeline.tidy()
        assert (split.values, split.memory) == (values, memory)
    assert split.rig.in_use == 4


def test_a_value_that_is_lent_stays_as_it_is() -> None:
    split = Split(Rig())
    split.replay(1)
    split.rig.run_all()
    lent = split.rig.read(split.outputs[1]).result()
    split.replay(10)
    split.rig.run_all()
    assert number_in(lent) == 3
    assert split.results == [11, 12, 13]


def test_a_pending_read_gets_the_value_of_its_time() -> None:
    split = Split(Rig())
    split.replay(1)
    split.rig.run_all()
    before = split.rig.read(split.outputs[2])
    split.replay(10)
    between = split.rig.read(split.outputs[2])
    split.replay(20)
    split.rig.run_all()
    assert (now(before), now(between), split.results) == (4, 13, [21, 22, 23])


def test_a_name_with_another_value_is_bound_to_a_new_one() -> None:
    split = Split(Rig())
    split.replay(1)
    split.rig.run_all()
    split.rig.write(split.outputs[0], 99)
    split.rig.dispatch(split.rig.work("other"), [split.x], split.outputs[1])
    split.replay(2)
    split.rig.run_all()
    assert split.results == [3, 4, 5]
    assert split.rig.in_use == 4


def test_values_that_have_not_been_made_leave_no_memory_taken_for_them() -> None:
    split = Split(Rig(descriptor=LARGE))
    split.rig.timeline.destroy_name(split.rig.name(7), InvalidStateError("its memory is idle now"))
    split.replay(1)
    idle = split.rig.pool.info().idle
    assert idle
    split.rig.timeline.replay(split.plan, [split.work])  # the values before have not been made yet
    assert split.rig.pool.info().idle == idle
    split.rig.run_all()
    assert split.results == [2, 3, 4]


def test_a_replay_that_is_not_observed_is_dropped_and_gives_its_memory_back() -> None:
    split = Split(Rig())
    split.replay(1)
    split.rig.run_all()
    for number in range(5):
        split.replay(number)
    assert split.rig.timeline.statistics.dropped == 4
    split.rig.run_all()
    assert split.results == [5, 6, 7]
    assert split.rig.in_use == 4


def test_names_that_are_destroyed_before_the_task_has_run_give_the_memory_back() -> None:
    split = Split(Rig())
    split.replay(1)
    split.rig.run_all()
    split.replay(2)
    for name in split.outputs:
        split.rig.timeline.destroy_name(name, InvalidStateError("gone"))
    split.rig.run_all()
    assert split.rig.ran == ["split"]
    assert split.rig.in_use == 1


def test_a_task_that_fails_spoils_the_values_and_the_next_one_makes_new_ones() -> None:
    errors: list[Exception] = []

    def function(x: Any) -> Any:
        if errors:
            raise errors.pop()
        return x + 1, x + 2, x + 3

    rig = Rig()
    split = Split(rig, rig.work("split", function, outputs=3))
    for _ in range(2):
        split.replay(1)
        rig.run_all()
        errors.append(OperationError("it broke"))
        split.replay(2)
        rig.run_all()
        for name in split.outputs:
            with pytest.raises(OperationError, match="it broke"):
                rig.read(name).result()
        assert rig.in_use == 1
    split.replay(3)
    rig.run_all()
    assert split.results == [4, 5, 6]


@pytest.mark.parametrize("pending", [False, True])
def test_an_input_that_fails_spoils_the_values(pending: bool) -> None:
    rig = Rig()
    split = Split(rig)
    split.replay(1)
    rig.run_all()
    rig.dispatch(rig.work("bad", broken(OperationError("it broke"))), [split.x], split.x)
    if not pending:
        rig.run_all()
    rig.timeline.replay(split.plan, [split.work])
    rig.run_all()
    for name in split.outputs:
        with pytest.raises(OperationError, match="it broke"):
            rig.read(name).result()
    assert rig.in_use == 0
    split.replay(3)
    rig.run_all()
    assert split.results == [4, 5, 6]


def test_the_end_of_the_timeline_spoils_values_that_were_to_be_made_anew() -> None:
    split = Split(Rig())
    split.replay(1)
    split.rig.run_all()
    split.replay(2)
    read = split.rig.read(split.outputs[0])
    split.rig.end()
    with pytest.raises(ContextLostError, match="a test said so"):
        read.result()


def test_with_a_budget_queued_tasks_have_no_memory_yet() -> None:
    rig = Rig(budget=20 * Rig().size)
    split = Split(rig)
    for number in range(3):
        split.replay(number)
        rig.run_all()
    split.replay(5)
    assert rig.timeline._renaming.lane
    assert all(task.memory is None for task in rig.timeline._renaming.lane)
    rig.run_all()
    assert split.results == [6, 7, 8]


def test_a_name_that_a_plan_reads_and_binds_never_loses_the_value_that_is_read() -> None:
    rig = Rig()
    x = rig.name(0)
    calls = Calls([([x], [x])])
    plan = calls.plan((read, made, [rig.shelf]) for read, made in calls.values)
    for number in range(5):
        assert now(rig.read(x)) == number
        rig.timeline.replay(plan, [rig.work("add one")])
        rig.run_all()


def test_a_task_that_runs_in_place_has_its_memory_chosen_by_donation() -> None:
    rig = Rig()
    split = Split(rig)
    rig.in_place(split.work, InPlaceOutput(0, 1, repeatable=True))
    for number in range(3):
        split.replay(number)
        rig.write(split.x, 50)  # the task has the last hold on the value before
        rig.run_all()
        assert split.results == [number + 1, number + 2, number + 3]
    assert rig.timeline.statistics.donated == 3


def test_values_that_are_made_anew_are_made_from_the_inputs_of_the_task_in_their_order() -> None:
    rig = Rig()
    unused, a, b, y = rig.name(100), rig.name(), rig.name(), rig.name()
    plan = Plan([unused, a, b], [Step((2, 1), (rig.shelf,))], [(y, 3)], [])
    work = rig.work("difference", lambda x, y: x - y)
    for number in range(4):
        rig.write(a, number)
        rig.write(b, 10)
        rig.timeline.replay(plan, [work])
        rig.run_all()
        assert now(rig.read(y)) == 10 - number
