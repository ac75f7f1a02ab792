"""Running one task, wherever that is: memory for its outputs, the backend's run, and word to those who wait.

Locks. The timeline's lock is taken to start a task and to account for what has happened: the backend runs without it,
and waiters, whose callbacks are code of the program, are told without it.

Interrupts. Whatever is raised between any two steps, `recover` completes what was begun. A task that was interrupted
before it had run is queued again, for a lane, which no signal handler interrupts.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from webnn.errors import MLError, UnknownError
from webnn.graph.arguments import described
from webnn.memory.buffer import View
from webnn.memory.pool import BufferPool
from webnn.scheduler.promise import Promise, resolve
from webnn.scheduler.renaming import Renaming
from webnn.scheduler.room import Room
from webnn.scheduler.task import QUEUED, Task

__all__ = ["Execution"]


STEADY: Final = 1.25
"""A run that takes up to this many times the expected time leaves the expectation as it is."""


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
        """When the last task ended, or the clock was read since; not guarded, any thread may move it on."""
        self.run_inline = 0
        """How many tasks have begun on the threads that wanted their results."""
        self.run_on_lanes = 0
        """How many have begun on lanes."""

    def run(self, task: Task, *, on_lane: bool) -> int:
        """Run `task` if it is ready, and settle what it makes; the nanoseconds that it took, or 0 if it was not.

        A budget was asked for the memory of the outputs when the task was queued. It is taken under the same hold of
        the lock under which the task starts, before another thread can have it.
        """
        renaming, work, clock = self._renaming, task.work, self.clock
        outputs: list[View] = []
        try:
            with self._lock:
                if task.state is not QUEUED or task.unmet:
                    return 0
                inputs = renaming.start(task, outputs)
                if on_lane:
                    self.run_on_lanes += 1
                else:
                    self.run_inline += 1
                try:
                    for value in task.outputs:
                        outputs.append(value.shelf.take())
                except MLError as error:
                    renaming.fail(task, error)
            if task.error is not None:
                self.tell_ended()
                return 1
            began = clock()
            try:
                work.executable.run(inputs, outputs)  # type: ignore[union-attr]  # ready: it has one
            except BaseException as error:
                self.now = clock()
                for value, view in zip(task.outputs, outputs, strict=False):
                    value.shelf.put(view)
                if not isinstance(error, Exception) and not on_lane:
                    raise  # the user's Ctrl-C, which came while the task ran on the user's thread
                self._failed(task, error)
                return self.now - began or 1
            end = self.now = clock()
            if not work.cost <= end - began < STEADY * work.cost:  # else there is nothing to learn from it
                work.measured(end - began)
            with self._lock:
                renaming.finish(task, outputs, on_lane=on_lane)
            if task.waiters:
                for waiter in task.waiters:
                    waiter.task_ended(task)
                task.waiters = []  # as `told` does; it costs a call here
                renaming.live.pop(task, None)
            if renaming.ended or self._room.waiting:
                self.tell_ended()
            return end - began or 1
        except BaseException:
            try:
                self._put_back(task, outputs)
            except BaseException:  # another interrupt
                self._put_back(task, outputs)
                raise
            raise

    def _put_back(self, task: Task, runner: object) -> None:
        with self._lock:
            self._renaming.put_back(task, runner)

    def tell_ended(self) -> None:
        """Tell those who wait for tasks that have ended; never under the lock, since they call out.

        A task leaves `ended` when all of them have been told, so an interrupt leaves the rest to the next caller, which
        is this one: it goes on and raises at the end.
        """
        renaming, room = self._renaming, self._room
        interrupt: BaseException | None = None
        interrupted: object = None
        while renaming.ended or room.has_space_for_waiting:
            told: Task | Promise[None] | None = None
            try:
                if renaming.ended:
                    told = _first(renaming.ended)
                    if told is not None:
                        for waiter in told.waiters:
                            waiter.task_ended(told)
                        renaming.told(told)
                else:
                    with suppress(IndexError, ValueError):  # another thread was faster
                        told = room.waiting[0]
                        resolve(told, None)
                        room.waiting.remove(told)
            except BaseException as error:
                if isinstance(told, Task) and (told is interrupted or isinstance(error, Exception)):
                    # It will not be better the next time: the memory cannot be read, for example.
                    _reject(told, error)
                    renaming.told(told)
                if not isinstance(error, Exception):
                    interrupt = interrupt or error
                interrupted = told
        if interrupt is not None:
            raise interrupt

    def recover(self) -> None:
        """Complete what an interrupt has cut off."""
        try:
            self._recover()
        except BaseException:  # another interrupt
            self._recover()
            raise

    def _recover(self) -> None:
        with self._lock:
            self._renaming.rebuild()
        self.tell_ended()

    def _failed(self, task: Task, error: BaseException) -> None:
        _forget_frames(error)
        with self._lock:
            self._renaming.fail(task, _explained("the backend failed", error))
        self.tell_ended()


def _reject(task: Task, error: BaseException) -> None:
    _forget_frames(error)
    error = _explained("the result could not be read", error)
    for waiter in task.waiters:
        waiter.reject(error)


def _explained(what: str, error: BaseException) -> MLError:
    if isinstance(error, MLError):
        return error
    explained = UnknownError(f"{what}: {described(error)}")
    explained.__cause__ = error
    return explained


def _first(ended: dict[Task, None]) -> Task | None:
    """The oldest one; None if other threads were faster."""
    try:
        return next(iter(ended), None)
    except RuntimeError:  # it has changed in between
        return None


def _forget_frames(error: BaseException) -> None:
    """Turn the traceback of `error`, and of what caused it, into text.

    The error lives as long as it can be read, and the arrays in the frames of its traceback with it.
    """
    if error.__traceback__ is not None and not isinstance(error, MLError):
        error.add_note("raised in the backend:\n" + "".join(traceback.format_tb(error.__traceback__)).rstrip())
    each: BaseException | None = error
    while each is not None and each.__traceback__ is not None:
        each.__traceback__ = None
        each = each.__cause__ or each.__context__
