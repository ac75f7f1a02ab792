"""Plans: several tasks that are queued by one call, on a timeline that is stepped by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.stepped import LOST, Rig, broken, now
from webnn.errors import ContextLostError, OperationError
from webnn.scheduler.plan import Plan, Step
from webnn.scheduler.results import Dispatch
from webnn.scheduler.value import Name


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
