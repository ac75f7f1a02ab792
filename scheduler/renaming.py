"""Renaming: which value each name has, who can reach which value, what may run, and what need not.

As registers are renamed in a processor, a write or a dispatch binds a name to a *new* value, so that the only order
left is a value after what makes it. This module is pure: no threads, no loop, no clock. `Timeline` and its parts
call it under their lock, take tasks from `inline` and `lane`, and tell those who wait for the tasks in `ended`.

What must stay true:
- `value.holds` is the number of names, queued or running readers, promises and lent arrays that can reach the value.
- A value with no holds has no view; if a queued task makes it and no other output of that task is held, the task is
  dropped, and so on up the chain. A running task is left to end; its unreachable outputs are freed then.
- A queued task is in `inline` or in `lane` exactly when nothing that it waits for is missing (`unmet == 0`).
- Whoever has called `hand_over` need not ask again: what waits for tasks that were running, or were handed over, goes
  to a lane when it becomes ready, whichever thread runs them.
- Each task ends exactly once. From then until those who wait for it have been told it is in `live`, if it has run, or
  in `ended`.

Interrupts. A signal handler can raise between any two steps of a change. So every change has one step that decides it,
and what follows from that step can be worked out again: `rebuild` does so, from the tasks in `live`, their states,
errors and views, and the values that they read and make. The deciding steps are: `live[task] = None` for a task that is
queued, `task.views = views` for one that has run, `task.error = error` or the new state for every other end.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Any, Protocol

from webnn.memory.buffer import View
from webnn.scheduler.task import CANCELLED, DONE, DROPPED, FAILED, QUEUED, RUNNING, Task, Work
from webnn.scheduler.value import Name, Value

__all__ = ["Discard", "Renaming"]


class Discard(Protocol):
    """A weak reference to something that is gone, and that could reach values."""

    def discarded(self) -> None:
        """Add these values to `Renaming.discarded`, once. Called under the lock; after an interrupt a second time."""
        ...


class Renaming:
    """The state of a timeline.

    Args:
        inline_limit: tasks whose work costs less than this many nanoseconds go to `inline` when they are ready.
    """

    def __init__(self, inline_limit: float) -> None:
        self.inline_limit = inline_limit
        self.live: dict[Task, None] = {}
        """Every task that is queued or running, or has run and has waiters who have not been told; oldest first."""
        self.inline: dict[Task, None] = {}
        """Ready tasks that are cheap enough for the thread that wants their result; oldest first."""
        self.lane: OrderedDict[Task, None] = OrderedDict()
        """Ready tasks for a lane; oldest first."""
        self.queued = 0
        self.queued_bytes = 0
        self.running: set[Task] = set()
        self.dropped = 0
        self.ended: dict[Task, None] = {}
        """Tasks that have ended without having run, or were interrupted, and whose waiters have not been told."""
        self.discarded: deque[Any] = deque()
        """Each a `Value` or a `Discard` that a finalizer, which can do no more than append, has let go of."""
        self._uncompiled: set[Work] = set()  # with tasks that wait for it
        self._handed: set[Task] = set()  # running tasks from a lane's queue, or in whose middle `hand_over` came

    # Names and values.

    def bind(self, name: Name, value: Value) -> None:
        """`name` means `value` from now on, and takes over its first hold."""
        old = name.value
        name.value = value
        if old is not None:
            old.holds -= 1
            if old.holds == 0:
                self._unreachable(old)

    def unbind(self, name: Name) -> None:
        """`name` means nothing any more."""
        old, name.value = name.value, None
        if old is not None:
            self.release(old)

    def release(self, value: Value) -> None:
        """One who could reach `value` no longer can."""
        value.holds -= 1
        if value.holds == 0:
            self._unreachable(value)

    def work_off_discarded(self) -> None:
        """Release the values that finalizers have let go of; tasks may end by it."""
        discarded = self.discarded
        while discarded:
            item = discarded[0]
            if item.__class__ is Value:
                discarded.popleft()  # first: released twice, it would have too few holds
                item.holds -= 1
                if item.holds == 0:
                    self._unreachable(item)
            else:
                item.discarded()
                discarded.popleft()

    def _unreachable(self, value: Value) -> None:
        view = value.view
        if view is not None:
            value.view = None
            value.shelf.put(view)
        elif value.producer is not None and value.producer.state is QUEUED:
            self._drop_unobservable(value.producer)

    def _drop_unobservable(self, task: Task) -> None:
        stack = [task]
        while stack:  # no recursion: chains of queued tasks can be long
            task = stack.pop()
            if task.state is not QUEUED or any(output.holds for output in task.outputs):
                continue
            self._leave_queue(task)
            task.move(DROPPED)
            self.dropped += 1
            self._end(task)
            for value in task.inputs:
                value.holds -= 1
                if value.holds == 0:
                    if value.producer is not None:
                        stack.append(value.producer)
                    else:
                        self._unreachable(value)

    # Tasks.

    def submit(self, task: Task) -> None:
        """Queue `task`."""
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
                    error = value.error
        self.live[task] = None
        self.queued += 1
        self.queued_bytes += work.byte_length
        if error is not None:
            self._fail(task, error)
        elif work.executable is None:
            work.waiting[task] = None
            self._uncompiled.add(work)
            task.unmet += 1
        elif task.unmet == 0:
            if work.cost < self.inline_limit:
                self.inline[task] = None
            else:
                self.lane[task] = None
        elif self.inline and work.cost >= self.inline_limit:
            self.hand_over()  # a lane will need what it depends on

    def start(self, task: Task, runner: object) -> list[View]:
        """`task`, which is ready, begins to run; the views of its inputs. `runner` is who runs it: see `put_back`."""
        task.runner = runner
        if self.inline.pop(task, 0) == 0:
            self.lane.pop(task, None)
            self._handed.add(task)
        self.queued -= 1
        self.queued_bytes -= task.work.byte_length
        self.running.add(task)
        assert task.state is QUEUED
        task.state = RUNNING  # `move` costs a call, here and in `finish`, where it is felt
        views: list[View] = []
        for value in task.inputs:
            assert value.view is not None  # it is ready
            views.append(value.view)
        return views

    def finish(self, task: Task, views: Sequence[View], *, on_lane: bool) -> None:
        """`task` has run and its outputs are in `views`. What becomes ready now stays on the lane it came from."""
        task.views = views
        self.running.discard(task)
        if self._handed and task in self._handed:
            self._handed.discard(task)
            on_lane = True
        assert task.state is RUNNING
        task.state = DONE
        for i, value in enumerate(task.outputs):  # here and in `Timeline.dispatch`, `zip(strict=True)` would be felt
            if value.holds:
                value.view = views[i]
            else:
                value.shelf.put(views[i])
            value.producer = None  # last: `rebuild` fills what still has its producer
        if task.consumers:
            for consumer, inputs in task.consumers.items():
                consumer.unmet -= inputs
                if consumer.unmet == 0:
                    self._ready(consumer, on_lane=on_lane)
            task.consumers = {}  # whoever keeps this task does not keep all that came after it
        if not task.waiters:  # else it is live until they have been told
            self.live.pop(task, None)
        for value in task.inputs:
            value.holds -= 1
            if value.holds == 0:
                self._unreachable(value)

    def told(self, task: Task) -> None:
        """Those who waited for `task`, which has ended, know it. Needs no lock."""
        task.waiters = []  # they hold the task: without this, the garbage collector would have to find both
        self.live.pop(task, None)
        self.ended.pop(task, None)

    def fail(self, task: Task, error: BaseException) -> None:
        """`task`, which was running, has failed: so does everything that is computed from it, with the same cause."""
        self.running.discard(task)
        self._handed.discard(task)
        self._fail(task, error)

    def cancel_all(self, error: BaseException) -> None:
        """Cancel every queued task, as `error` says; running ones go on."""
        tasks = [task for task in self.live if task.state is QUEUED]
        for task in tasks:
            task.error = error
            self._leave_queue(task)
            task.move(CANCELLED)  # all of them before the first lets go of its inputs, or others would be dropped
        for task in tasks:
            self._end_with(task, error)

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
        """`task` has ended in some other way than by having run."""
        self.ended[task] = None
        self.live.pop(task, None)

    @staticmethod
    def _spoil(task: Task, error: BaseException) -> None:
        """The outputs of `task` will never be there."""
        for value in task.outputs:
            value.producer, value.error = None, error

    # What may run.

    def compiled(self, work: Work) -> None:
        """`work` has its executable, or an error in its place: the tasks that waited for it go on."""
        waiting, work.waiting = work.waiting, {}
        self._uncompiled.discard(work)
        for task in waiting:
            if work.error is None:
                task.unmet -= 1
                if task.unmet == 0:
                    self._ready(task, on_lane=True)
            elif task.state is QUEUED:  # not failed already with one of the others
                self._fail(task, work.error)

    def needed_for(self, task: Task) -> list[Task] | None:
        """The queued tasks to run for `task`, producers first; None if one of them is running or not compiled."""
        if task.unmet == 0:
            return [task]
        order: list[Task] = []
        done: set[Task] = set()
        stack = [task]
        while stack:
            top = stack[-1]
            if top in done:
                stack.pop()
                continue
            if top.state is RUNNING or top in top.work.waiting:
                return None
            missing = [v.producer for v in top.inputs if v.producer is not None and v.producer not in done]
            if missing:
                stack.extend(missing)
            else:
                stack.pop()
                done.add(top)
                order.append(top)
        return order

    def cheap(self, tasks: Sequence[Task]) -> bool:
        """Whether all of `tasks` may run inline, and none has been given to a lane."""
        return all(task.work.cost < self.inline_limit and task not in self.lane for task in tasks)

    def hand_over(self) -> None:
        """Everything that waits for the inline lane goes to the lanes instead, now and when it becomes ready."""
        self.lane.update(self.inline)
        self.inline.clear()
        self._handed.update(self.running)

    def _ready(self, task: Task, *, on_lane: bool) -> None:
        if on_lane or task.work.cost >= self.inline_limit:
            self.lane[task] = None
        else:
            self.inline[task] = None

    def _leave_queue(self, task: Task) -> None:
        self.queued -= 1
        self.queued_bytes -= task.work.byte_length
        if self.inline.pop(task, 0) == 0:
            self.lane.pop(task, None)
        if task.unmet:  # what it waits for need not remember it
            task.work.waiting.pop(task, None)
            for value in task.inputs:
                if value.producer is not None:
                    value.producer.consumers.pop(task, None)

    # After an interrupt.

    def rebuild(self) -> None:
        """Complete the changes that an interrupt has cut off, and work out anew everything that follows from them.

        Holds are left as they are: they may be too many then, which costs a buffer its way back to the shelf. What is
        ready goes to the lanes. May itself be interrupted, and called again.
        """
        self.inline.clear()
        self.lane.clear()
        self._uncompiled.clear()
        self._handed.clear()
        queued = queued_bytes = 0
        running: set[Task] = set()
        for task in list(self.live):  # producers come before their consumers
            task.consumers = {}
            if task.views is not None:
                self._complete_run(task)
            elif task.error is not None or task.state not in (QUEUED, RUNNING):
                self._complete_end(task)
            elif task.state is RUNNING:
                running.add(task)
                self._handed.add(task)
            elif self._requeue(task):
                queued += 1
                queued_bytes += task.work.byte_length
        self.running = running
        self.queued, self.queued_bytes = queued, queued_bytes

    def _complete_run(self, task: Task) -> None:
        assert task.views is not None
        for value, view in zip(task.outputs, task.views, strict=True):
            if value.producer is task:
                value.view = view
                value.producer = None
        task.state = DONE
        self._end(task)

    def _complete_end(self, task: Task) -> None:
        if task.state is QUEUED or task.state is RUNNING:
            task.state = FAILED
        if task.error is not None:
            self._spoil(task, task.error)
        self._end(task)

    def _requeue(self, task: Task) -> bool:
        """Put a queued task where it belongs; whether it is still queued then."""
        error, unmet = task.work.error, 0
        for value in task.inputs:
            if value.view is None:
                if value.producer is not None:
                    consumers = value.producer.consumers
                    consumers[task] = consumers.get(task, 0) + 1
                    unmet += 1
                else:
                    error = value.error
        if error is not None:
            task.error = error
            self._complete_end(task)
            return False
        if task.work.executable is None:
            task.work.waiting[task] = None
            self._uncompiled.add(task.work)
            unmet += 1
        task.unmet = unmet
        if unmet == 0:
            self.lane[task] = None
        return True

    def put_back(self, task: Task, runner: object) -> None:
        """If `runner` was interrupted after it had started `task`, and before it had run: queue it again.

        `rebuild` comes next.
        """
        if task.runner is runner and task.state is RUNNING and task.views is None and task.error is None:
            task.move(QUEUED)
