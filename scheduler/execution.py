"""Running one task, wherever that is: memory for its outputs, the backend's run, and word to those who wait.

Locks. Whoever runs a task has started it under the timeline's lock (`Renaming.start`), and comes here without it. The
lock is taken only to account for what has happened: the backend runs without it, and those who wait, whose callbacks
are anybody's code, are told without it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from webnn.errors import MLError, UnknownError
from webnn.graph.arguments import described
from webnn.memory.buffer import View
from webnn.memory.pool import BufferPool
from webnn.scheduler.promise import Promise
from webnn.scheduler.renaming import Renaming
from webnn.scheduler.room import Room
from webnn.scheduler.task import Task, Waiter

__all__ = ["Execution"]


class Execution:
    """How the tasks of one timeline are run, on its lanes and inline.

    Args:
        lock: the timeline's.
        renaming: the timeline's state, which `lock` guards.
        room: who waits for room in its queue.
        pool: where the outputs live.
        clock: nanoseconds; measures what tasks cost.
    """

    def __init__(
        self, lock: threading.RLock, renaming: Renaming, room: Room, pool: BufferPool, clock: Callable[[], int]
    ) -> None:
        self._lock = lock
        self._renaming = renaming
        self._room = room
        self._pool = pool
        self.clock = clock
        self.now = 0
        """When the last task ended, or somebody looked at the clock since; not guarded, any thread may move it on."""

    def run(self, task: Task, inputs: Sequence[View], *, on_lane: bool) -> int:
        """Run a task that has been started, and settle what it makes; the nanoseconds that it took, at least 1."""
        work, clock = task.work, self.clock
        outputs: list[View] = []
        start = clock()
        try:
            if self._pool.budget is None:
                for value in task.outputs:
                    outputs.append(value.shelf.take())
            else:
                self._take_reserved(task, outputs)
            work.executable.run(inputs, outputs)  # type: ignore[union-attr]  # ready: it has one
        except BaseException as error:
            self.now = clock()
            self._failed(task, outputs, error)
            if not isinstance(error, Exception) and not on_lane:
                raise  # the user's Ctrl-C, which came while the task ran on the user's thread
            return self.now - start or 1
        end = self.now = clock()
        work.measured(end - start)
        renaming = self._renaming
        with self._lock:
            renaming.finish(task, outputs, on_lane=on_lane)
            waiters, task.waiters = task.waiters, []
        try:
            _tell(task, iter(waiters))
        finally:
            if renaming.ended or self._room.waiting:
                self.tell_ended()
        return end - start or 1

    def tell_ended(self) -> None:
        """Tell those who wait for tasks that have ended otherwise; never under the lock, since they call out."""
        renaming, room = self._renaming, self._room
        freed: Sequence[Promise[None]] = ()
        with self._lock:
            ended, renaming.ended = renaming.ended, []
            if room.waiting:
                freed = room.freed()
        try:
            _tell_all(iter(ended))
        finally:
            for promise in freed:
                promise.resolve(None)

    def _take_reserved(self, task: Task, outputs: list[View]) -> None:
        """Take the memory of the outputs, for which the budget has been asked when the task was queued."""
        with self._lock:
            try:
                for value in task.outputs:
                    outputs.append(value.shelf.take())
            finally:
                self._renaming.taken(task)

    def _failed(self, task: Task, outputs: Sequence[View], error: BaseException) -> None:
        if not isinstance(error, MLError):
            explained = UnknownError(f"the backend failed: {described(error)}")
            explained.__cause__ = error
            error = explained
        with self._lock:
            for value, view in zip(task.outputs, outputs, strict=False):
                value.shelf.put(view)
            self._renaming.fail(task, error)
        self.tell_ended()


def _tell(task: Task, waiters: Iterator[Waiter]) -> None:
    for waiter in waiters:
        try:
            waiter.task_ended(task)
        except BaseException:  # a callback was interrupted, which must keep nobody else waiting
            _tell(task, waiters)
            raise


def _tell_all(ended: Iterator[Task]) -> None:
    for task in ended:
        waiters, task.waiters = task.waiters, []
        try:
            _tell(task, iter(waiters))
        except BaseException:
            _tell_all(ended)
            raise
