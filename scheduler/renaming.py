"""Renaming: the value of each name, the holds on each value, and the tasks that may run or can be dropped.

As registers are renamed in a processor, a write or a dispatch binds a name to a *new* value. The only order that
remains is that a task runs after the tasks that make its inputs. This module is pure: no threads, no loop, no clock.
`Timeline` and its parts call it under their lock, take tasks from the queues of its base class `Ready`, and tell the
waiters of the tasks in `ended`.

Invariants:
- `value.holds` is the number of names, queued or running readers, promises and lent arrays that can reach the value.
- A value with no holds has no view. If a queued task makes it, and no other output of that task is held, the task is
  dropped, and so on up the chain. A running task is asked to end early if it has an `ending`, and otherwise runs to its
  end. Its unreachable outputs are freed then.
- A queued task is in one of the queues of `Ready` exactly when it waits for nothing (`unmet == 0`).
- Each task ends exactly once. From then until its waiters have been told, it is in `live` if it has run, and otherwise
  in `ended`.

Interrupts. A signal handler can raise between any two steps of a change. So every change has one deciding step, and the
rest of the change can be derived again, which `recovery.py` does. The deciding steps are `live[task] = None` for a task
that is queued, `task.views = views` for a task that has run, and `task.error = error` or the new state for every other
end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from webnn.errors import ContextLostError, UnknownError
from webnn.memory.buffer import View
from webnn.scheduler.donation import Placement, forget, hand_back, restored
from webnn.scheduler.ready import PROMPT, Ready
from webnn.scheduler.statistics import DESTROYED, UNOBSERVABLE, GraphFigures
from webnn.scheduler.task import CANCELLED, DONE, DROPPED, FAILED, QUEUED, RUNNING, Task, Work
from webnn.scheduler.trace import Recorder
from webnn.scheduler.value import Name, Value

__all__ = ["Discard", "Renaming"]


class Discard(Protocol):
    """A weak reference to an object that could reach values or a view, and that has been freed."""

    def discarded(self) -> None:
        """Add the values to `Renaming.discarded`, or put the view on its shelf, once.

        Called under the lock. After an interrupt, called again.
        """
        ...


class Renaming(Ready):
    """The state of a timeline.

    Args:
        inline_limit: as for `Ready`.
    """

    def __init__(self, inline_limit: float) -> None:
        super().__init__(inline_limit)
        self.live: dict[Task, None] = {}
        """Every task that is queued or running, or that has run and has waiters to be told; oldest first.

        `told` takes tasks out without the lock, so it is copied before it is iterated over.
        """
        self.dropped = 0
        self.drops: dict[str, int] = {}
        """Tasks that were not run, or not to their end, by the reason why."""
        self.ended: dict[Task, None] = {}
        """Tasks that ended without having run, or were interrupted, and whose waiters have not been told."""
        self.discarded: deque[Any] = deque()
        """Each a `Value` or a `Discard` that a finalizer has released. A finalizer can only append to this."""
        self.trace: Recorder | None = None
        """Told of everything that happens, while a trace is open."""
        self.lost: ContextLostError | None = None
        """Why the context has ended. Nothing is queued any more."""
        self._uncompiled: set[Work] = set()  # with tasks that wait for the executable

    def check_not_lost(self) -> None:
        """Raise a copy of `lost` if it is set."""
        if self.lost is not None:
            raise ContextLostError(*self.lost.args)

    # Names and values.

    def bind(self, name: Name, value: Value) -> None:
        """Let `name` mean `value` from now on. The name takes over the value's first hold."""
        old = name.value
        name.value = value
        if old is not None:
            old.holds -= 1
            if old.holds == 0:
                self._unreachable(old)

    def unbind(self, name: Name) -> None:
        """Let `name` mean no value."""
        old, name.value = name.value, None
        if old is not None:
            self.release(old)

    def release(self, value: Value) -> None:
        """Give up one hold on `value`."""
        value.holds -= 1
        if value.holds == 0:
            self._unreachable(value)

    def work_off_discarded(self) -> None:
        """Release the values that finalizers have put into `discarded`. This may end tasks.

        The last reference to a context may go with an item, and its finalizer calls this for the rest.
        """
        discarded = self.discarded
        while discarded:
            item = discarded[0]
            if item.__class__ is Value:
                discarded.popleft()  # first: a value that is released twice has too few holds
                item.holds -= 1
                if item.holds == 0:
                    self._unreachable(item)
            else:
                item.discarded()
                if discarded and discarded[0] is item:
                    discarded.popleft()
            item = None  # here, so that no finalizer comes between finding the next item and taking it

    def _unreachable(self, value: Value) -> None:
        view = value.view
        if view is not None:
            value.view = None
            if value.owner is None:
                value.shelf.put(view)
            else:
                hand_back(value, view)
        elif value.undo is not None:
            forget(value)
        elif value.producer is not None:
            self._drop_unobservable(value.producer)

    def _drop_unobservable(self, task: Task) -> None:
        stack = [task]
        while stack:  # no recursion: chains of queued tasks can be long
            task = stack.pop()
            if task.state > RUNNING or any(output.holds for output in task.outputs):
                continue
            if task.state is RUNNING:
                ending = getattr(task, "ending", None)
                if ending is not None:
                    ending.end()
                continue
            self._leave_queue(task)
            self._drop(task)
            for value in task.inputs:
                value.holds -= 1
                if value.holds == 0:
                    if value.producer is not None:
                        stack.append(value.producer)
                    else:
                        self._unreachable(value)

    def _drop(self, task: Task) -> None:
        task.move(DROPPED)
        self.dropped += 1
        self.count_drop(task.work.figures, getattr(task, "forgone", UNOBSERVABLE))
        self._end(task)
        for value in task.outputs:
            value.producer = None  # a cycle, which would be left to the garbage collector

    # Tasks.

    def submit(self, task: Task, names: Sequence[Name] = ()) -> None:
        """Queue `task`, and bind `names` to the values that it will make."""
        if self.trace is not None:
            self.trace.queued(task)
        work = task.work
        error = work.error
        for value in task.inputs:
            value.holds += 1
            if value.view is None:
                if value.producer is not None:
                    consumers = value.producer.consumers
                    consumers[task] = consumers.get(task, 0) + 1
                    task.unmet += 1
                else:
                    error = value.error if value.undo is None else restored(value)
        self.live[task] = None
        self.queued += 1
        self.queued_bytes += work.byte_length
        if error is not None:
            self._fail(task, error)
        elif work.executable is None:
            work.waiting[task] = None
            work.wanted()
            self._uncompiled.add(work)
            task.unmet += 1
        elif task.unmet == 0:
            if work.cost < self.inline_limit or (work.prompt >= PROMPT and self._is_awaited_at_once(work)):
                self.inline[task] = None
            else:
                self.lane[task] = None
                if work.prompt < 0:
                    work.prompt += 1
        elif self.inline and work.cost >= self.inline_limit:
            self.hand_over()  # a lane will need the tasks that it depends on
        i = 0
        for name in names:  # counted by hand: for one output `zip` takes four times as long
            old, name.value = name.value, task.outputs[i]  # as `bind` does
            i += 1  # noqa: SIM113
            if old is not None:
                old.holds -= 1
                if old.holds == 0:
                    self._unreachable(old)

    def start(self, task: Task, outputs: list[View]) -> list[View] | None:
        """Mark `task` as running, and return the views of its inputs; None if it is not ready.

        The caller puts the memory of its outputs into `outputs`, an empty list, before it lets go of the lock.
        """
        if task.state is not QUEUED or task.unmet:
            return None
        task.runner = outputs
        if self.inline.pop(task, task) is task:  # it was not there
            self.lane.pop(task, None)
            self._handed.add(task)
        self.begun += 1
        self.queued -= 1
        self.queued_bytes -= task.work.byte_length
        self.running.add(task)
        task.state = RUNNING  # not `move`: the cost of a call is measurable here and in `finish`
        inputs: list[View] = []
        for value in task.inputs:
            assert value.view is not None  # since the task is ready
            inputs.append(value.view)
        return inputs

    def finish(self, task: Task, views: Sequence[View], on_lane: bool) -> None:
        """`task` has run, with its outputs in `views`. If it ran on a lane, so will tasks that become ready now."""
        task.views = views
        self.running.discard(task)
        if self._handed and task in self._handed:
            self._handed.discard(task)
            on_lane = True
        assert task.state is RUNNING
        task.state = DONE
        i = 0
        for value in task.outputs:  # counted by hand: for one output `zip` takes four times as long
            if value.holds:
                value.view = views[i]
            elif task.placement is None or i not in task.placement.borrowed:
                value.shelf.put(views[i])
            value.producer = None  # last: `rebuild` completes the values that still have a producer
            i += 1  # noqa: SIM113
        if task.placement is not None:
            for value in task.placement.finished(task):
                for consumer in [consumer for consumer in task.consumers if value in consumer.inputs]:
                    self._fail(consumer, value.error or UnknownError("no memory"))
            task.placement = None
        if task.consumers:
            for consumer, inputs in task.consumers.items():
                consumer.unmet -= inputs
                if consumer.unmet == 0:
                    self._ready(consumer, on_lane)
            task.consumers = {}  # a reference to this task must not keep all later tasks alive
        if not task.waiters:  # otherwise it stays in `live` until they have been told
            del self.live[task]
        for value in task.inputs:
            value.holds -= 1
            if value.holds == 0:
                self._unreachable(value)

    # Tasks that run as one.

    def start_together(self, tasks: Sequence[Task], runners: list[list[View]]) -> bool:
        """Mark `tasks` as running, each of which waits for nothing but tasks before it, and give them memory.

        Args:
            tasks: producers first.
            runners: empty; filled with the memory of each. After an exception, `put_back` each task with its own.

        Returns:
            Whether all of them were queued. Otherwise nothing has changed.

        Raises:
            OperationError: there is no memory for an output.
        """
        for task in tasks:
            if task.state is not QUEUED:
                return False
        size = 0
        for task in tasks:
            views: list[View] = []
            runners.append(views)
            task.runner = views
            if not task.unmet and self.inline.pop(task, task) is task:  # it was not there
                self.lane.pop(task, None)
                self._handed.add(task)
            task.state = RUNNING
            if task.memory is not None:
                views += task.memory
                task.memory = None
            else:
                for value in task.outputs:
                    try:
                        views.append(value.shelf.views.pop())  # the same as `take`, but without a call
                    except IndexError:
                        views.append(value.shelf.take())
            size += task.work.byte_length
        self.begun += len(tasks)
        self.queued -= len(tasks)
        self.queued_bytes -= size
        self.running.update(tasks)
        return True

    def finish_together(self, tasks: Sequence[Task], runners: Sequence[Sequence[View]]) -> list[Task]:
        """`tasks` have run as one on the caller's thread, with their outputs in `runners`.

        Returns:
            Those whose waiters are to be told.
        """
        awaited = []
        for task, views in zip(tasks, runners):  # noqa: B905 (with `strict` it takes longer)
            task.views = views
            task.state = DONE
            for value, view in zip(task.outputs, views):  # noqa: B905
                if value.holds:
                    value.view = view
                else:
                    value.shelf.put(view)
                value.producer = None  # last, as in `finish`
            if task.consumers:
                on_lane = task in self._handed
                for consumer, inputs in task.consumers.items():
                    if consumer.state is QUEUED:  # not one of `tasks`
                        consumer.unmet -= inputs
                        if consumer.unmet == 0:
                            self._ready(consumer, on_lane)
                task.consumers = {}
            if task.waiters:
                awaited.append(task)
            else:
                del self.live[task]
            for value in task.inputs:
                value.holds -= 1
                if value.holds == 0:
                    self._unreachable(value)
        self.running.difference_update(tasks)
        if self._handed:
            self._handed.difference_update(tasks)
        return awaited

    def told(self, task: Task) -> None:
        """The waiters of `task`, which has ended, have been told. Needs no lock."""
        task.waiters = []  # they refer to the task: a cycle, which would be left to the garbage collector
        self.live.pop(task, None)
        self.ended.pop(task, None)

    def fail(self, task: Task, error: BaseException) -> None:
        """`task`, which was running, has failed. Everything computed from it fails too, with the same cause."""
        self._give_back(task)
        self.running.discard(task)
        self._handed.discard(task)
        if task.placement is not None:
            self._return_borrowed(task, task.placement)
        self._fail(task, error)

    def ended_early(self, task: Task) -> None:
        """`task`, which was running, has ended before it had results, since nothing could observe them."""
        self._give_back(task)
        self.running.discard(task)
        self._handed.discard(task)
        self._drop(task)
        for value in task.inputs:
            self.release(value)

    def _return_borrowed(self, task: Task, placement: Placement) -> None:
        """`task` has failed: tasks that wait for a value that it has borrowed need not wait any more."""
        placement.give_back()
        task.placement = None
        for consumer, inputs in list(task.consumers.items()):
            left = sum(value.producer is task for value in consumer.inputs)
            if left:
                task.consumers[consumer] = left
            else:
                del task.consumers[consumer]
            consumer.unmet -= inputs - left
            if consumer.unmet == 0:
                self._ready(consumer, on_lane=True)

    def withdraw(self, task: Task) -> None:
        """`task`, which is queued and has neither inputs nor outputs, is not needed any more."""
        self._leave_queue(task)
        task.move(DROPPED)
        self._end(task)

    def cancel_all(self, error: BaseException) -> None:
        """Cancel every queued task, with `error` as the reason. Running tasks go on."""
        tasks = [task for task in list(self.live) if task.state is QUEUED]
        for task in tasks:
            task.error = error
            self._leave_queue(task)
            task.move(CANCELLED)  # all of them before the first one releases its inputs, which would drop others
            self.count_drop(task.work.figures, DESTROYED)
        for task in tasks:
            self._end_with(task, error)

    @staticmethod
    def _give_back(task: Task) -> None:
        """Give back the memory that `task` was started with, except that of inputs."""
        views, placement = task.runner, task.placement
        while views:
            view = views.pop()
            if placement is None or not placement.has(len(views)):
                task.outputs[len(views)].shelf.put(view)

    def _fail(self, task: Task, error: BaseException) -> None:
        stack = [task]
        while stack:
            task = stack.pop()
            if task.state is QUEUED:
                self._leave_queue(task)
            elif task.state is not RUNNING:
                continue
            task.error = error
            task.move(FAILED)
            task.work.figures.failed += 1
            self._end_with(task, error)
            stack.extend(task.consumers)
            task.consumers = {}

    def _end_with(self, task: Task, error: BaseException) -> None:
        task.error = error
        self._spoil(task, error)
        self._end(task)
        for value in task.inputs:
            self.release(value)

    def _end(self, task: Task) -> None:
        """`task` has ended in another way than by `finish`."""
        if task.memory is not None:  # it has not run
            memory, task.memory = task.memory, None
            for value, view in zip(task.outputs, memory, strict=True):
                value.shelf.put(view)
        self.ended[task] = None
        self.live.pop(task, None)
        if self.trace is not None and task.views is None:
            self.trace.ended(task, _reason(task))

    def count_drop(self, figures: GraphFigures, reason: str) -> None:
        """A run of the graph with these `figures` will not be run, or not to its end."""
        for drops in (self.drops, figures.drops):
            drops[reason] = drops.get(reason, 0) + 1

    @staticmethod
    def _spoil(task: Task, error: BaseException) -> None:
        """The outputs of `task` will never be available."""
        for value in task.outputs:
            value.producer, value.error = None, error

    # Tasks that may run.

    def compiled(self, work: Work) -> None:
        """`work` has an executable or an error: the tasks that waited for it go on or fail."""
        waiting, work.waiting = work.waiting, {}
        self._uncompiled.discard(work)
        for task in waiting:
            if work.error is None:
                task.unmet -= 1
                if task.unmet == 0:
                    self._ready(task, on_lane=True)
            elif task.state is QUEUED:  # it may have failed already, with another of these tasks
                self._fail(task, work.error)


def _reason(task: Task) -> str:
    """Why `task` has ended without a result."""
    error = task.error
    if error is None:
        return getattr(task, "forgone", UNOBSERVABLE)
    return f"{type(error).__name__}: {error.args[0] if error.args and type(error.args[0]) is str else ''}"
