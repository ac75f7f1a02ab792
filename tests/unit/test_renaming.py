"""The rules of names and values, without threads, loops or clocks."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from webnn.backends.null import NullExecutable
from webnn.errors import OperationError
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.memory.allocator import HostAllocator
from webnn.memory.buffer import View
from webnn.memory.pool import BufferPool
from webnn.scheduler.renaming import Renaming
from webnn.scheduler.task import Task, TaskState, Work, needed_for
from webnn.scheduler.value import Name, Value

LIMIT = 100.0
CHEAP, DEAR = 10.0, 1000.0


class Machine:
    """Renaming with what surrounds it: a pool, and a way to run tasks."""

    def __init__(self) -> None:
        self.pool = BufferPool(HostAllocator())
        self.shelf = self.pool.shelf(MLOperandDescriptor("float32", [4]))
        self.renaming = Renaming(LIMIT)

    def name(self) -> Name:
        name = Name(self.shelf)
        self.write(name)
        return name

    def write(self, name: Name) -> Value:
        value = Value(self.shelf, None, self.shelf.take())
        self.renaming.bind(name, value)
        return value

    def work(self, cost: float = DEAR, *, compiled: bool = True) -> Work:
        work = Work(16)
        work.cost = cost
        if compiled:
            work.executable = NullExecutable((), ())
        return work

    def dispatch(self, inputs: Iterable[Name], outputs: Iterable[Name], work: Work | None = None) -> Task:
        values = [name.value for name in inputs]
        task = Task(work or self.work(), [v for v in values if v is not None], [n.shelf for n in outputs])
        self.renaming.submit(task)
        for name, value in zip(outputs, task.outputs, strict=True):
            self.renaming.bind(name, value)
        return task

    def start(self, task: Task) -> list[View] | None:
        return self.renaming.start(task, [])

    def finish(self, task: Task, *, on_lane: bool = True) -> None:
        self.renaming.finish(task, [value.shelf.take() for value in task.outputs], on_lane=on_lane)

    def run(self, task: Task) -> None:
        self.start(task)
        self.finish(task)

    def is_ready(self, task: Task) -> bool:
        return task in self.renaming.inline or task in self.renaming.lane

    @property
    def values_in_use(self) -> int:
        return self.pool.info().in_use // self.shelf.size


@pytest.fixture
def machine() -> Machine:
    return Machine()


def hold(name: Name) -> Value:
    """Take hold of what a name has, as a read does."""
    assert name.value is not None
    name.value.holds += 1
    return name.value


def states(*tasks: Task) -> list[TaskState]:
    return [task.state for task in tasks]


# The only order is a value after what makes it.


def test_a_write_does_not_wait_for_those_who_read_the_value_before(machine: Machine) -> None:
    x, y = machine.name(), machine.name()
    old = x.value
    assert old is not None
    seen = old.view
    task = machine.dispatch([x], [y])
    new = machine.write(x)
    assert x.value is new
    assert machine.start(task) == [seen]
    assert new.view is not seen


def test_the_value_before_is_freed_when_its_last_reader_has_run(machine: Machine) -> None:
    x, y = machine.name(), Name(machine.shelf)
    old = x.value
    task = machine.dispatch([x], [y])
    machine.write(x)
    assert machine.values_in_use == 2
    machine.run(task)
    assert machine.values_in_use == 2  # the new value of x, and y
    assert old is not None
    assert old.view is None


def test_two_that_write_the_same_name_do_not_wait_for_each_other(machine: Machine) -> None:
    x, y = machine.name(), Name(machine.shelf)
    first = machine.dispatch([x], [y])
    held = hold(y)
    second = machine.dispatch([x], [y])
    assert machine.is_ready(first)
    assert machine.is_ready(second)
    machine.run(second)
    machine.run(first)
    assert y.value is second.outputs[0]
    assert held is first.outputs[0]
    assert held.view is not second.outputs[0].view


def test_a_task_waits_for_what_makes_its_inputs(machine: Machine) -> None:
    x, h, y = machine.name(), Name(machine.shelf), Name(machine.shelf)
    first = machine.dispatch([x], [h])
    second = machine.dispatch([h], [y])
    assert not machine.is_ready(second)
    machine.start(first)
    assert not machine.is_ready(second)
    machine.finish(first)
    assert machine.is_ready(second)


def test_a_task_waits_for_all_of_its_inputs(machine: Machine) -> None:
    x, g, h, y = (machine.name() for _ in range(4))
    first, second = machine.dispatch([x], [g]), machine.dispatch([x], [h])
    third = machine.dispatch([g, h], [y])
    machine.run(second)
    assert not machine.is_ready(third)
    machine.run(first)
    assert machine.is_ready(third)


def test_a_task_that_reads_and_writes_the_same_name_reads_the_value_before(machine: Machine) -> None:
    x = machine.name()
    old = x.value
    task = machine.dispatch([x], [x])
    assert task.inputs == [old]
    assert x.value is task.outputs[0]
    machine.run(task)
    assert machine.values_in_use == 1


def test_a_loop_keeps_meeting_the_same_two_buffers(machine: Machine) -> None:
    x = machine.name()
    met = set()
    for _ in range(10):
        task = machine.dispatch([x], [x])
        machine.run(task)
        assert x.value is not None
        assert x.value.view is not None
        met.add(id(x.value.view.buffer))
    assert len(met) == 2


# What nobody can reach.


def test_a_queued_task_whose_output_is_replaced_is_dropped(machine: Machine) -> None:
    x, y = machine.name(), Name(machine.shelf)
    task = machine.dispatch([x], [y])
    machine.write(y)
    assert task.state is TaskState.DROPPED
    assert machine.renaming.dropped == 1
    assert list(machine.renaming.ended) == [task]
    assert not machine.is_ready(task)


def test_a_held_output_keeps_its_task(machine: Machine) -> None:
    x, y = machine.name(), Name(machine.shelf)
    task = machine.dispatch([x], [y])
    held = hold(y)
    machine.write(y)
    assert states(task) == [TaskState.QUEUED]
    machine.renaming.release(held)
    assert states(task) == [TaskState.DROPPED]


def test_one_output_that_is_held_keeps_a_task_of_two(machine: Machine) -> None:
    x, y, z = machine.name(), Name(machine.shelf), Name(machine.shelf)
    task = machine.dispatch([x], [y, z])
    machine.write(y)
    assert task.state is TaskState.QUEUED
    machine.run(task)
    assert task.outputs[0].view is None
    assert task.outputs[1].view is not None
    assert machine.values_in_use == 3


def test_a_queued_reader_keeps_the_task_it_reads(machine: Machine) -> None:
    x, h, y = machine.name(), Name(machine.shelf), Name(machine.shelf)
    first = machine.dispatch([x], [h])
    second = machine.dispatch([h], [y])
    machine.renaming.unbind(h)
    assert states(first, second) == [TaskState.QUEUED, TaskState.QUEUED]


def test_dropping_goes_up_the_chain(machine: Machine) -> None:
    x, h, y, z = machine.name(), Name(machine.shelf), Name(machine.shelf), Name(machine.shelf)
    first = machine.dispatch([x], [h])
    second = machine.dispatch([h], [y])
    third = machine.dispatch([y], [z])
    for name in (h, y):
        machine.renaming.unbind(name)
    assert machine.renaming.dropped == 0
    machine.renaming.unbind(z)
    assert states(first, second, third) == [TaskState.DROPPED] * 3
    assert machine.renaming.dropped == 3


def test_dropping_stops_where_somebody_else_reads(machine: Machine) -> None:
    x, h, y, z = machine.name(), Name(machine.shelf), Name(machine.shelf), Name(machine.shelf)
    shared = machine.dispatch([x], [h])
    kept = machine.dispatch([h], [y])
    dropped = machine.dispatch([h], [z])
    machine.renaming.unbind(h)
    machine.renaming.unbind(z)
    assert states(shared, kept, dropped) == [TaskState.QUEUED, TaskState.QUEUED, TaskState.DROPPED]
    machine.run(shared)
    machine.run(kept)
    assert shared.outputs[0].view is None


def test_a_running_task_is_not_dropped_and_its_output_is_freed_when_it_ends(machine: Machine) -> None:
    x, y = machine.name(), Name(machine.shelf)
    task = machine.dispatch([x], [y])
    machine.start(task)
    machine.renaming.unbind(y)
    machine.renaming.unbind(x)
    assert states(task) == [TaskState.RUNNING]
    machine.finish(task)
    assert states(task) == [TaskState.DONE]
    assert machine.renaming.dropped == 0
    assert machine.values_in_use == 0


def test_dropping_leaves_a_running_producer_alone(machine: Machine) -> None:
    x, h, y = machine.name(), Name(machine.shelf), Name(machine.shelf)
    first = machine.dispatch([x], [h])
    second = machine.dispatch([h], [y])
    machine.start(first)
    machine.renaming.unbind(h)
    machine.renaming.unbind(y)
    assert states(first, second) == [TaskState.RUNNING, TaskState.DROPPED]
    machine.finish(first)
    assert machine.values_in_use == 1  # x
    assert not machine.is_ready(second)


def test_dropping_frees_the_inputs_that_nobody_else_reads(machine: Machine) -> None:
    x, y = machine.name(), Name(machine.shelf)
    machine.dispatch([x], [y])
    machine.renaming.unbind(x)
    assert machine.values_in_use == 1
    machine.renaming.unbind(y)
    assert machine.values_in_use == 0


def test_a_long_chain_is_dropped_without_recursion(machine: Machine) -> None:
    x, work = machine.name(), machine.work()
    tasks = [machine.dispatch([x], [x], work) for _ in range(5000)]
    assert machine.renaming.queued == 5000
    machine.renaming.unbind(x)
    assert machine.renaming.dropped == 5000
    assert all(task.state is TaskState.DROPPED for task in tasks)
    assert (machine.renaming.queued, machine.renaming.queued_bytes) == (0, 0)
    assert machine.values_in_use == 0


def test_an_old_task_does_not_keep_those_that_came_after_it(machine: Machine) -> None:
    x = machine.name()
    first = machine.dispatch([x], [x])
    second = machine.dispatch([x], [x])
    machine.run(first)
    machine.run(second)
    assert not first.consumers


# Failure.


def test_failure_travels_to_everything_computed_from_it_with_its_cause(machine: Machine) -> None:
    x, h, y, z = machine.name(), Name(machine.shelf), Name(machine.shelf), Name(machine.shelf)
    first, second, third = machine.dispatch([x], [h]), machine.dispatch([h], [y]), machine.dispatch([y], [z])
    error = OperationError("it broke")
    machine.start(first)
    machine.renaming.fail(first, error)
    assert states(first, second, third) == [TaskState.FAILED] * 3
    assert [task.error for task in (first, second, third)] == [error] * 3
    assert z.value is not None
    assert z.value.error is error
    assert sorted(map(id, machine.renaming.ended)) == sorted(map(id, [first, second, third]))


def test_what_is_submitted_on_a_failed_value_fails_at_once(machine: Machine) -> None:
    x, h, y = machine.name(), Name(machine.shelf), Name(machine.shelf)
    first = machine.dispatch([x], [h])
    error = OperationError("it broke")
    machine.start(first)
    machine.renaming.fail(first, error)
    late = machine.dispatch([h], [y])
    assert late.state is TaskState.FAILED
    assert late.error is error
    assert machine.renaming.queued == 0


def test_a_task_with_one_failed_input_does_not_wait_for_the_others(machine: Machine) -> None:
    x, g, h, y = machine.name(), Name(machine.shelf), Name(machine.shelf), Name(machine.shelf)
    first, second = machine.dispatch([x], [g]), machine.dispatch([x], [h])
    both = machine.dispatch([g, h], [y])
    machine.start(first)
    machine.renaming.fail(first, OperationError("it broke"))
    assert both.state is TaskState.FAILED
    assert second.state is TaskState.QUEUED
    machine.run(second)  # whose reader is gone
    assert both.state is TaskState.FAILED
    assert h.value is not None
    assert h.value.holds == 1


def test_failure_leaves_what_does_not_depend_on_it_alone(machine: Machine) -> None:
    x, y, z = machine.name(), Name(machine.shelf), Name(machine.shelf)
    failing, other = machine.dispatch([x], [y]), machine.dispatch([x], [z])
    machine.start(failing)
    machine.renaming.fail(failing, OperationError("it broke"))
    assert machine.is_ready(other)
    assert x.value is not None
    assert x.value.holds == 2  # x itself and the other


def test_a_name_with_a_failed_value_can_be_bound_again(machine: Machine) -> None:
    x, y = machine.name(), Name(machine.shelf)
    task = machine.dispatch([x], [y])
    machine.start(task)
    machine.renaming.fail(task, OperationError("it broke"))
    assert machine.values_in_use == 1
    machine.write(y)
    again = machine.dispatch([y], [x])
    assert machine.is_ready(again)


def test_failure_frees_the_inputs(machine: Machine) -> None:
    x, y = machine.name(), Name(machine.shelf)
    task = machine.dispatch([x], [y])
    machine.renaming.unbind(x)
    machine.start(task)
    machine.renaming.fail(task, OperationError("it broke"))
    assert machine.values_in_use == 0


def test_a_long_chain_fails_without_recursion(machine: Machine) -> None:
    x, work = machine.name(), machine.work()
    tasks = [machine.dispatch([x], [x], work) for _ in range(5000)]
    machine.start(tasks[0])
    machine.renaming.fail(tasks[0], OperationError("it broke"))
    assert all(task.state is TaskState.FAILED for task in tasks)
    assert (machine.renaming.queued, machine.renaming.queued_bytes) == (0, 0)


# Cancelling everything.


def test_cancel_all_reaches_whatever_is_queued_and_nothing_that_runs(machine: Machine) -> None:
    x = machine.name()
    names = [Name(machine.shelf) for _ in range(7)]
    running = machine.dispatch([x], [names[0]])
    machine.start(running)
    uncompiled = machine.work(compiled=False)
    queued = [
        machine.dispatch([names[0]], [names[1]]),  # behind what runs
        machine.dispatch([x], [names[2]]),  # ready for a lane
        machine.dispatch([x], [names[3]], machine.work(CHEAP)),  # ready for the inline lane
        machine.dispatch([names[3]], [names[4]]),  # behind that
        machine.dispatch([x], [names[5]], uncompiled),  # behind a compilation
        machine.dispatch([names[5]], [names[6]]),  # and behind that
    ]
    assert machine.renaming.queued == 6
    error = OperationError("the end")
    machine.renaming.cancel_all(error)
    assert states(*queued) == [TaskState.CANCELLED] * 6
    assert all(task.error is error for task in queued)
    assert running.state is TaskState.RUNNING
    assert (machine.renaming.queued, machine.renaming.queued_bytes) == (0, 0)
    machine.finish(running)
    machine.renaming.compiled(uncompiled)
    assert states(*queued) == [TaskState.CANCELLED] * 6


def test_cancel_all_cancels_also_what_only_other_queued_tasks_can_reach(machine: Machine) -> None:
    x, h, y = machine.name(), Name(machine.shelf), Name(machine.shelf)
    chain = [machine.dispatch([x], [h]), machine.dispatch([h], [h]), machine.dispatch([h], [y])]
    other = machine.dispatch([x], [h])
    both = machine.dispatch([h, y], [y])
    held = hold(y)
    machine.renaming.unbind(h)
    machine.renaming.unbind(y)
    machine.renaming.cancel_all(OperationError("the end"))
    assert states(*chain, other, both) == [TaskState.CANCELLED] * 5
    assert machine.renaming.dropped == 0
    machine.renaming.release(held)


# Compilations.


def test_a_task_waits_for_its_executable(machine: Machine) -> None:
    x, y, work = machine.name(), Name(machine.shelf), machine.work(compiled=False)
    task = machine.dispatch([x], [y], work)
    assert not machine.is_ready(task)
    work.executable = NullExecutable((), ())
    machine.renaming.compiled(work)
    assert machine.is_ready(task)


def test_a_task_waits_for_its_executable_and_for_its_inputs(machine: Machine) -> None:
    x, h, y, work = machine.name(), Name(machine.shelf), Name(machine.shelf), machine.work(compiled=False)
    first = machine.dispatch([x], [h])
    second = machine.dispatch([h], [y], work)
    work.executable = NullExecutable((), ())
    machine.renaming.compiled(work)
    assert not machine.is_ready(second)
    machine.run(first)
    assert machine.is_ready(second)


def test_a_failed_compilation_fails_what_waits_for_it_and_what_comes_later(machine: Machine) -> None:
    x, h, y, work = machine.name(), Name(machine.shelf), Name(machine.shelf), machine.work(compiled=False)
    first, second = machine.dispatch([x], [h], work), machine.dispatch([h], [y])
    work.error = OperationError("no such kernel")
    machine.renaming.compiled(work)
    assert states(first, second) == [TaskState.FAILED] * 2
    late = machine.dispatch([x], [h], work)
    assert late.error is work.error


def test_a_task_that_was_dropped_before_its_executable_came_stays_dropped(machine: Machine) -> None:
    x, y, work = machine.name(), Name(machine.shelf), machine.work(compiled=False)
    task = machine.dispatch([x], [y], work)
    machine.renaming.unbind(y)
    work.executable = NullExecutable((), ())
    machine.renaming.compiled(work)
    assert task.state is TaskState.DROPPED
    assert not machine.is_ready(task)


# Where ready tasks go.


def test_cheap_tasks_go_inline_and_the_others_to_a_lane(machine: Machine) -> None:
    x, y, z = machine.name(), Name(machine.shelf), Name(machine.shelf)
    cheap = machine.dispatch([x], [y], machine.work(LIMIT - 1))
    dear = machine.dispatch([x], [z], machine.work(LIMIT))
    assert list(machine.renaming.inline) == [cheap]
    assert list(machine.renaming.lane) == [dear]


def test_a_task_of_unknown_cost_goes_to_a_lane(machine: Machine) -> None:
    x, y, work = machine.name(), Name(machine.shelf), Work(16)
    work.executable = NullExecutable((), ())
    task = machine.dispatch([x], [y], work)
    assert task in machine.renaming.lane


def test_what_becomes_ready_stays_on_the_lane_it_came_from(machine: Machine) -> None:
    x, h, y, z = machine.name(), Name(machine.shelf), Name(machine.shelf), Name(machine.shelf)
    first = machine.dispatch([x], [h], machine.work(CHEAP))
    cheap = machine.dispatch([h], [y], machine.work(CHEAP))
    machine.renaming.hand_over()
    machine.run(first)
    assert cheap in machine.renaming.lane
    again = machine.dispatch([x], [h], machine.work(CHEAP))
    next_cheap = machine.dispatch([h], [z], machine.work(CHEAP))
    machine.start(again)
    machine.finish(again, on_lane=False)
    assert next_cheap in machine.renaming.inline


def test_a_dear_task_takes_the_cheap_ones_before_it_to_a_lane(machine: Machine) -> None:
    x, h, y = machine.name(), Name(machine.shelf), Name(machine.shelf)
    cheap = machine.dispatch([x], [h], machine.work(CHEAP))
    assert cheap in machine.renaming.inline
    machine.dispatch([h], [y], machine.work(DEAR))
    assert cheap in machine.renaming.lane


def test_handing_over_keeps_the_order(machine: Machine) -> None:
    x = machine.name()
    tasks = [machine.dispatch([x], [Name(machine.shelf)], machine.work(CHEAP)) for _ in range(4)]
    machine.renaming.hand_over()
    assert list(machine.renaming.lane) == tasks
    assert not machine.renaming.inline


# What a task needs.


def test_needed_are_the_producers_first(machine: Machine) -> None:
    x, g, h, y = machine.name(), Name(machine.shelf), Name(machine.shelf), Name(machine.shelf)
    top = machine.dispatch([x], [g], machine.work(CHEAP))
    left = machine.dispatch([g], [h], machine.work(CHEAP))
    right = machine.dispatch([g], [y], machine.work(CHEAP))
    bottom = machine.dispatch([h, y], [x], machine.work(CHEAP))
    needed = needed_for(bottom)
    assert needed is not None
    assert needed[0] is top
    assert set(map(id, needed[1:3])) == {id(left), id(right)}
    assert needed[3] is bottom
    assert len(needed) == 4
    assert machine.renaming.cheap(needed)


def test_needed_is_the_task_alone_when_its_inputs_are_there(machine: Machine) -> None:
    x, y = machine.name(), Name(machine.shelf)
    task = machine.dispatch([x], [y])
    assert needed_for(task) == [task]


def test_what_needs_a_running_task_or_a_compilation_cannot_be_run_now(machine: Machine) -> None:
    x, h, y, z = machine.name(), Name(machine.shelf), Name(machine.shelf), Name(machine.shelf)
    first = machine.dispatch([x], [h], machine.work(CHEAP))
    second = machine.dispatch([h], [y], machine.work(CHEAP))
    machine.start(first)
    assert needed_for(second) is None
    behind = machine.dispatch([x], [z], machine.work(CHEAP, compiled=False))
    assert needed_for(behind) is None


def test_a_chain_is_not_cheap_if_one_of_it_is_dear_or_on_a_lane(machine: Machine) -> None:
    x, h, y = machine.name(), Name(machine.shelf), Name(machine.shelf)
    first = machine.dispatch([x], [h], machine.work(CHEAP))
    second = machine.dispatch([h], [y], machine.work(CHEAP))
    assert machine.renaming.cheap([first, second])
    machine.renaming.hand_over()
    assert not machine.renaming.cheap([first, second])
    assert not machine.renaming.cheap([machine.dispatch([x], [y], machine.work(DEAR))])


# Counts.


def test_queued_counts_tasks_and_their_output_bytes(machine: Machine) -> None:
    x, y, z = machine.name(), Name(machine.shelf), Name(machine.shelf)
    first = machine.dispatch([x], [y])
    machine.dispatch([y], [z])
    assert (machine.renaming.queued, machine.renaming.queued_bytes) == (2, 32)
    machine.start(first)
    assert (machine.renaming.queued, machine.renaming.queued_bytes, len(machine.renaming.running)) == (1, 16, 1)
    machine.finish(first)
    machine.renaming.unbind(z)
    assert (machine.renaming.queued, machine.renaming.queued_bytes, len(machine.renaming.running)) == (0, 0, 0)
