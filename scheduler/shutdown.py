"""The end of a timeline: by `destroy`, with its context, or by a fork, in the child.

From then on, `Renaming.lost` refuses every call. What is pending settles here, and only here: promises of tasks that
are queued or running, reads that are due, and waiters for room. A destroyed timeline tells them; a forked child does
not, since callbacks and event loops belong to its parent.
"""

from __future__ import annotations

from webnn.errors import ContextLostError
from webnn.forking import Hold
from webnn.memory.pool import BufferPool
from webnn.scheduler.execution import Execution
from webnn.scheduler.inline import InlineLane
from webnn.scheduler.promise import abandon, reject
from webnn.scheduler.renaming import Renaming
from webnn.scheduler.results import End
from webnn.scheduler.room import Room
from webnn.scheduler.workers import Workers

__all__ = ["Shutdown"]


class Shutdown:
    """Ends a timeline.

    Args:
        lock: the timeline's lock.
        renaming: the timeline's state, which `lock` guards.
        room: has waiters of its own.
        execution: tells the waiters of tasks.
        workers: have the lanes to end.
        inline: has the reads that are due.
        pool: the memory of values.
    """

    def __init__(
        self,
        lock: Hold,
        renaming: Renaming,
        *,
        room: Room,
        execution: Execution,
        workers: Workers,
        inline: InlineLane,
        pool: BufferPool,
    ) -> None:
        self._lock = lock
        self._renaming = renaming
        self._room = room
        self._execution = execution
        self._workers = workers
        self._inline = inline
        self._pool = pool
        self.has_ended = False
        """Whether nothing is left to do for `destroy`."""
        self.is_forked = False
        """Whether this process is a forked child: the tasks that seem to run are those of its parent."""

    def observed(self) -> list[End]:
        """The sources of the promises that are pending and can be reached, whose results somebody may want."""
        with self._lock:
            waiters = self._inline.waiters()
        return [source for waiter in waiters for source in waiter.observed()]

    def destroy(self, error: ContextLostError, *, wait: bool = True) -> None:
        """Cancel the queued tasks, reject all pending promises, let the running tasks end, and end the lanes.

        With `wait`, idle lanes have ended when it returns. A finalizer does not wait: the garbage collector may have
        called it in the middle of code that a lane waits for.
        """
        if self.has_ended:
            return
        try:
            self._destroy(error, wait=wait)
        except BaseException:
            self._execution.recover()
            self._destroy(error, wait=False)
            raise

    def _destroy(self, error: ContextLostError, *, wait: bool) -> None:
        """The steps of `destroy`, which are repeated from the start after an interrupt."""
        renaming, room = self._renaming, self._room
        with self._lock:
            renaming.lost = error = renaming.lost or error
            renaming.cancel_all(error)
            pending = self._inline.waiters()
            busy = bool(renaming.running)
        while room.waiting:
            reject(room.waiting[0], error)
            room.waiting.pop(0)
        self._execution.tell_ended()
        for waiter in pending:
            waiter.reject(error)
        self._workers.close(wait=wait and not busy)
        with self._lock:
            renaming.work_off_discarded()
        self._execution.tell_ended()
        self._pool.trim()
        self.has_ended = True

    def forked(self, error: ContextLostError) -> None:
        """Abandon everything that is pending: this process is a forked child, which has none of the lanes.

        Callbacks and event loops belong to the parent, and are not called. Tasks that were running stay as they are.
        """
        renaming = self._renaming
        with self._lock:
            error = renaming.lost = renaming.lost or error
            self.has_ended = self.is_forked = True
            renaming.trace = None
            renaming.cancel_all(error)
            for task in (*renaming.live, *renaming.ended):
                for waiter in task.waiters:
                    waiter.forked(error)
            for read in list(self._inline.unsettled.values()):
                read.forked(error)
            self._inline.unsettled.clear()
            for promise in self._room.waiting:
                abandon(promise, error)
