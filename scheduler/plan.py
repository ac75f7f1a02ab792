"""A plan: several tasks that are queued together, as one change of the timeline.

The values of a plan are numbered: first those that names have when it is queued, then the outputs of each step, in the
order of the steps. So nothing has to be looked up when a plan is queued.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from webnn.graph.quick_dataclass import dataclass
from webnn.memory.buffer import View
from webnn.memory.pool import Shelf
from webnn.scheduler.promise import PENDING, Promise, reject, resolve
from webnn.scheduler.renaming import Renaming
from webnn.scheduler.results import Dispatch, End
from webnn.scheduler.task import QUEUED, RUNNING, Task, Work
from webnn.scheduler.value import Name, Value

if TYPE_CHECKING:
    from webnn.scheduler.timeline import Timeline

__all__ = ["Calls", "EndOfAll", "Plan", "Replay", "Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """One task of a plan.

    Args:
        inputs: the numbers of the values that it reads.
        shelves: where the memory of its outputs comes from.
    """

    inputs: Sequence[int]
    shelves: Sequence[Shelf]


@dataclass(slots=True)
class Plan:
    """Several tasks, and the names that have new values afterwards.

    A plan of one task, queued again and again, mostly finds its names with the values of the time before, and nothing
    else that can reach these. Then the same values are made again, in the same memory: that they were others before
    cannot be observed, and it takes a third of the time.

    Args:
        names: the names whose values are numbered first.
        steps: the tasks, producers first.
        bound: the names that the plan gives new values to, with the numbers of these values.
        unbound: the numbers of the outputs that no name means afterwards.
    """

    names: Sequence[Name]
    steps: Sequence[Step]
    bound: Sequence[tuple[Name, int]]
    unbound: Sequence[int]
    outputs: Sequence[Name] = ()
    """The names of the only task's outputs, in order, if their values may be made anew."""
    last: Sequence[tuple[Name, Value]] = ()
    """These names, with the values that the task made the time before."""

    def __post_init__(self) -> None:
        if len(self.steps) == 1 and not self.unbound and not {name for name, _ in self.bound}.intersection(self.names):
            named = {number: name for name, number in self.bound}
            self.outputs = [named[number] for number in sorted(named)]

    def made(self, values: Sequence[Value]) -> None:
        """The only task has been queued, and will make `values`."""
        self.last = list(zip(self.outputs, values, strict=True))

    def anew(self, work: Work, inputs: Sequence[Value]) -> Task | None:
        """A task that makes the values of the time before anew; None if most of them can be observed.

        It is not submitted yet, and `_give_outputs` has to follow.
        """
        outputs: list[Value] = []
        memory: list[View] = []
        for name, value in self.last:
            view = value.view
            if view is None or value.holds != 1 or name.value is not value or value.owner is not None:
                break
            outputs.append(value)
            memory.append(view)
        else:
            task = Task(work, inputs, ())
            task.outputs, task.memory = outputs, memory
            return task
        return self._partly_anew(work, inputs)

    def _partly_anew(self, work: Work, inputs: Sequence[Value]) -> Task | None:
        outputs: list[Value] = []
        memory: list[View] = []
        views = [
            None if value.holds != 1 or name.value is not value or value.owner is not None else value.view
            for name, value in self.last
        ]
        if (
            views.count(None) > len(views) // 2
        ):  # the time before has not run, for example: memory is taken when it runs
            return None
        for (name, value), view in zip(self.last, views, strict=True):
            outputs.append(value if view is not None else Value(name.shelf, None, None))
            memory.append(view if view is not None else name.shelf.take())
        self.made(outputs)
        task = Task(work, inputs, ())
        task.outputs, task.memory = outputs, memory
        return task

    def more_bytes(self, works: Sequence[Work]) -> int:
        """The bytes of memory that queueing it may take at most, less those that names give up."""
        size = sum(work.byte_length for work in works)
        size += sum(name.shelf.size for name in self.names if name.value is None)
        return size - sum(name.freed_bytes for name, _ in self.bound if name not in self.names)

    def submit(
        self,
        renaming: Renaming,
        works: Sequence[Work],
        zeros: Callable[[Name], Value],
        *,
        now: int,
        anew: bool,
    ) -> list[Task]:
        """Queue the tasks, one for each of `works`. Called under the lock.

        The names are bound when all tasks are queued. An interrupt before that leaves tasks whose outputs nothing can
        reach, and the call has done nothing; after an interrupt later than that, the rest is done here.

        Args:
            renaming: the state of the timeline.
            works: the work of each step.
            zeros: gives a name that has no value yet a value of zeros.
            now: the time of the call in nanoseconds.
            anew: whether values may be made again. Their memory is then in use while the task is queued.
        """
        values: list[Value] = []
        tasks: list[Task] = []
        again: Task | None = None
        begun = False
        try:
            for name in self.names:
                values.append(name.value or zeros(name))
            # If it runs in place, `Donation` chooses the memory.
            if self.last and (executable := works[0].executable) is not None and not executable.in_place:
                again = self.anew(works[0], [values[number] for number in self.steps[0].inputs])
            if again is not None:
                again.queued_at = now
                tasks.append(again)
                renaming.submit(again)
                _give_outputs(renaming, self, again)
            else:
                for i, step in enumerate(self.steps):
                    task = Task(works[i], [values[number] for number in step.inputs], step.shelves)
                    task.queued_at = now
                    tasks.append(task)
                    values += task.outputs
                    renaming.submit(task)
                begun = True
                _bind(renaming, self, values)
                for number in self.unbound:
                    renaming.release(values[number])
                if anew and self.outputs:
                    self.made(tasks[0].outputs)
        except BaseException:
            for _ in range(2):  # the second time after another interrupt
                with suppress(BaseException):
                    if again is not None and (again in renaming.live or again in renaming.ended):
                        _give_outputs(renaming, self, again)
                    elif begun:
                        _bind(renaming, self, values)
            raise
        return tasks

    def handle(self, timeline: Timeline, tasks: Sequence[Task]) -> Dispatch:
        """The handle of the tasks that were queued."""
        return Dispatch(timeline, tasks[0]) if len(tasks) == 1 else Replay(timeline, tasks)


class Calls:
    """Dispatches one after another, with each value that a name has in between told apart by a number.

    Args:
        calls: the names that each of them reads, and those that it gives new values to.
    """

    def __init__(self, calls: Iterable[tuple[Sequence[Name], Sequence[Name]]]) -> None:
        calls = list(calls)
        self.names: list[Name] = []
        """The names whose values from before are read; the numbers of these values are their positions."""
        self.values: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        """For each call, the numbers of the values that it reads and makes."""
        self.final: dict[int, Name] = {}
        """The numbers of the values that names have in the end, except those that they had from the beginning."""
        written: set[Name] = set()
        numbers: dict[Name, int] = {}
        for inputs, outputs in calls:
            for name in inputs:
                if name not in written:
                    numbers.setdefault(name, len(numbers))
            written.update(outputs)
        self.names += numbers
        count = len(numbers)
        for inputs, outputs in calls:
            read = tuple(numbers[name] for name in inputs)
            for name in outputs:
                numbers[name] = count
                count += 1
            self.values.append((read, tuple(numbers[name] for name in outputs)))
        self.final.update((number, name) for name, number in numbers.items() if name in written)

    def plan(self, steps: Iterable[tuple[Sequence[int], Sequence[int], Sequence[Shelf]]]) -> Plan:
        """A plan of `steps`, each with the numbers of its inputs and outputs, and the shelves of its outputs."""
        place = {number: number for number in range(len(self.names))}
        laid_out: list[Step] = []
        made: list[int] = []
        for inputs, outputs, shelves in steps:
            laid_out.append(Step(tuple(place[number] for number in inputs), shelves))
            for number in outputs:
                place[number] = len(place)
            made += outputs
        return Plan(
            names=self.names,
            steps=laid_out,
            # Backwards: shelves hand out first what was put back last, so that a value gets the same memory each time.
            bound=[(self.final[number], place[number]) for number in reversed(made) if number in self.final],
            unbound=[place[number] for number in made if number not in self.final],
        )


def _bind(renaming: Renaming, plan: Plan, values: Sequence[Value]) -> None:
    for name, number in plan.bound:
        if name.value is not values[number]:
            renaming.bind(name, values[number])


def _give_outputs(renaming: Renaming, plan: Plan, task: Task) -> None:
    """Let the outputs of `task`, which has been submitted, wait for it, and bind those that are new."""
    producer = task if task.state is QUEUED else None  # None: it has failed already
    for i, value in enumerate(task.outputs):
        value.producer = producer
        value.view = None
        if plan.outputs[i].value is not value:
            renaming.bind(plan.outputs[i], value)


class Replay(Dispatch):
    """The handle of several tasks that were queued together."""

    __slots__ = ("_tasks",)

    def __init__(self, timeline: Timeline, tasks: Sequence[Task]) -> None:
        self._timeline = timeline
        self._tasks = tasks

    def finished(self) -> Promise[None]:
        """A promise that settles when all of the work has ended, with the first error if there was one."""
        promise: Promise[None] = Promise()
        source = EndOfAll(promise, self._timeline.discard)
        source.tasks = self._tasks
        source.begin(promise, self._timeline, None)
        if not self._timeline.will_tell(source, self._tasks):
            source.look()
        return promise

    def __repr__(self) -> str:
        ended = sum(task.state is not QUEUED and task.state is not RUNNING for task in self._tasks)
        return f"<Replay, {ended} of {len(self._tasks)} tasks ended>"


class EndOfAll(End):
    """The source of a promise that settles when several tasks have ended."""

    __slots__ = ("tasks",)

    tasks: Sequence[Task]

    def task_ended(self, task: Task) -> None:
        """One of the tasks has ended."""
        self.look()

    def look(self) -> None:
        """Settle if all tasks have ended."""
        promise = self()
        if promise is None or promise._status is not PENDING or self._left():
            return
        error = next((task.error for task in self.tasks if task.error is not None), None)
        if error is None:
            resolve(promise, None)
        else:
            reject(promise, error)

    def _left(self) -> list[Task]:
        return [task for task in self.tasks if task.state is QUEUED or task.state is RUNNING]

    def advance(self, promise: Promise[Any], awaits: bool = True) -> bool:
        """Run the tasks here that are cheap."""
        return any(self.timeline.inline.advance(task, awaits) for task in self._left())

    def drive(self, promise: Promise[Any], timeout: float | None) -> None:
        """Run the tasks here; with a timeout, only those that are cheap."""
        for task in self._left():
            if timeout is None:
                self.timeline.inline.drive(task)
            else:
                while self.timeline.inline.advance(task, False) and promise._status is PENDING:
                    pass
        if all(map(self.timeline.has_ended, self.tasks)):  # see `End.drive`
            self.look()

    def expect(self, promise: Promise[Any]) -> None:
        """Let the tasks run at the end of the tick, or on a lane."""
        for task in self._left():
            self.timeline.inline.expect(task)
