"""Runs tasks, on a lane or inline: takes memory for its outputs, calls the backend, and tells the waiters.

Locks. The timeline's lock is taken to start a task and to record its end. It is not held while the backend runs, nor
while the waiters are told, since their callbacks are code of the program.

Ends. A run that is expected to be long, and has memory of its own for all outputs, is given an `Ending`. `Renaming`
uses that under the lock as soon as nothing can observe the results. The run then counts as dropped, and its time is not
measured. A run whose outputs take over the memory of inputs always goes on to its end: their contents may be restored.

Interrupts. After an exception between any two steps, `recover` completes the change that was begun. A task that was
interrupted before it had run is queued again, for a lane: signal handlers do not interrupt lanes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from math import inf
from typing import Final

from webnn.backends.base import Ending
from webnn.errors import MLError
from webnn.forking import Hold
from webnn.memory.buffer import View
from webnn.memory.lease import SMALL
from webnn.memory.pool import BufferPool
from webnn.scheduler.cores import Cores
from webnn.scheduler.donation import Donation
from webnn.scheduler.failures import explained, forget_frames, tell_if_lost
from webnn.scheduler.promise import Promise, resolve
from webnn.scheduler.recovery import put_back, rebuild
from webnn.scheduler.renaming import Renaming
from webnn.scheduler.room import Room
from webnn.scheduler.task import Task
from webnn.scheduler.trace import RAN, reusable

__all__ = ["Execution", "oldest"]


STEADY: Final = 1.25
"""A run that takes up to this many times the expected time leaves the expectation as it is."""
LONG: Final = 1_000_000
"""Nanoseconds. A run that is expected to take less is not worth being ended early. One of unknown cost may be long."""


class Execution:
    """Runs the tasks of one timeline, on its lanes and inline.

    Args:
        lock: the timeline's lock.
        renaming: the timeline's state, which `lock` guards.
        room: the waiters for room in the timeline's queue.
        pool: the memory of the outputs.
        clock: the time in nanoseconds, for measuring the cost of tasks.
        cores: chooses between the executables of a graph that has two.
    """

    def __init__(
        self,
        lock: Hold,
        renaming: Renaming,
        room: Room,
        pool: BufferPool,
        clock: Callable[[], int],
        *,
        cores: Cores,
    ) -> None:
        self._lock = lock
        self._renaming = renaming
        self._room = room
        self._pool = pool
        self.cores = cores
        self.clock = clock
        # A value that is restored needs memory, which a budget may not allow then.
        self.donation = Donation(borrows=pool.allocator.is_host and pool.budget is None)
        self._small = SMALL if pool.allocator.is_host else -1
        """Bytes of all results of a task that are copied under the lock, as small writes are."""
        self.now = 0
        """When the last task ended, or a later reading of the clock. Not guarded: any thread may update it."""
        self.device_lost: Callable[[str], object] = len  # of no use until the device is told
        """Called, with the reason, when a backend says that its device is gone."""
        self.run_on_lanes = 0
        """The number of tasks that have begun on lanes."""

    def run(self, tasks: Sequence[Task], on_lane: bool, budget: float = inf) -> int:
        """Run `tasks` in order, up to the first that is not ready, or until they have taken `budget` nanoseconds.

        Each of them may depend on the ones before. A task that nothing waits for ends, and the next one starts, under
        one hold of the lock. A lane gives one task at a time. A task that is ready for a lane, but must wait until
        another run has ended (see `Cores`), is not ready here.

        Returns:
            The nanoseconds that they took; 0 if not even the first was ready, or there was no memory for it.
        """
        renaming, lock, clock = self._renaming, self._lock, self.clock
        spent = position = took = began = end = reused = 0
        has_run = False
        """Whether `task` has run, and has not ended."""
        ended: Task | None = None
        task = tasks[0]
        outputs: list[View] = []
        work = task.work
        executable, widths = work.executable, work.widths
        ending: Ending | None = None
        try:
            while True:
                with lock:
                    if has_run:
                        if widths is not None:
                            self.cores.ended(task, began, took)
                        renaming.finish(task, outputs, on_lane)
                        if ending is not None and not ending.asked:  # which nothing asks any more
                            work.endings.append(ending)
                        figures = work.figures
                        figures.runs += 1
                        if figures.runs >= figures.wanted and task.queued_at:
                            figures.ran(task.queued_at, began, end)
                        if renaming.trace is not None:
                            renaming.trace.ran(task, began, end, on_lane, reused)
                        if work.byte_length <= self._small:
                            for waiter in task.waiters:
                                waiter.collect(renaming.release, renaming.trace)
                        ended, has_run = task, False
                    inputs = None
                    # Waiters are told before the next task is begun, since a callback may wait for that.
                    tells = ended is not None and bool(ended.waiters)
                    if position < len(tasks) and spent <= budget and not tells:
                        task, outputs = tasks[position], []
                        work = task.work
                        executable, widths = work.executable, work.widths
                        if widths is None or task not in renaming.lane or self.cores.admits(task):
                            reused = 0 if renaming.trace is None else reusable(task.outputs)
                            inputs = renaming.start(task, outputs)
                        if inputs is not None:
                            if widths is not None:
                                executable = self.cores.start(task)
                                if renaming.trace is not None:
                                    renaming.trace.note(
                                        task, "threads", "one" if executable is widths.narrow else "all"
                                    )
                            if on_lane:
                                self.run_on_lanes += 1
                            # The memory was checked against the budget when the task was queued. It is taken before
                            # another thread can take it.
                            try:
                                if task.memory is not None:
                                    outputs += task.memory
                                    task.memory = None
                                elif executable.in_place:  # type: ignore[union-attr]  # a ready task has one
                                    cut_off = not on_lane and _on_main_thread()
                                    self.donation.place(task, executable, inputs, outputs, cut_off)  # type: ignore[arg-type]
                                    if renaming.trace is not None:
                                        renaming.trace.placed(task)
                                else:
                                    for value in task.outputs:
                                        outputs.append(value.shelf.take())
                            except MLError as error:
                                renaming.fail(task, error)
                                inputs = None
                            else:
                                ending = None
                                if work.cost >= LONG and task.placement is None:
                                    ending = work.endings.pop() if work.endings else executable.ending()  # type: ignore[union-attr]
                                    if ending is not None:
                                        task.ending = ending
                                        if renaming.discarded:  # promises that settled too early to see it run
                                            renaming.work_off_discarded()
                if tells and ended is not None:
                    for waiter in ended.waiters:
                        waiter.task_ended(ended)
                    ended.waiters = []  # the same as `told`, but without a call
                    renaming.live.pop(ended, None)
                    ended = None
                    if position < len(tasks):
                        continue
                if inputs is None:
                    break
                if widths is not None and widths.wanted:
                    widths.compile()
                began = clock()
                try:
                    if ending is None:
                        executable.run(inputs, outputs)  # type: ignore[union-attr]
                    else:
                        executable.run_until(inputs, outputs, ending)  # type: ignore[union-attr]
                except BaseException as error:
                    self.now = clock()
                    if not isinstance(error, Exception) and not on_lane:
                        raise  # a Ctrl-C that came while the task ran on the user's thread
                    if renaming.trace is not None:
                        renaming.trace.ran(task, began, self.now, on_lane, None)
                    if ending is not None and isinstance(error, CancelledError):
                        self._ended_early(task)
                    else:
                        self._failed(task, error)
                    return spent + self.now - began or 1
                end = self.now = clock()
                took, cost = end - began, work.cost
                if not cost <= took < STEADY * cost:  # else there is nothing to learn from it
                    work.measured(took)
                spent += took or 1
                position += 1
                has_run = True
            if renaming.ended or self._room.waiting:
                self.tell_ended()
            return spent
        except BaseException:
            try:
                self._put_back(task, outputs)
            except BaseException:  # another interrupt
                self._put_back(task, outputs)
                raise
            raise

    def run_one(self, task: Task) -> int:
        """The same as `run((task,), on_lane=False)`, in a straight line if the task needs nothing out of the ordinary.

        A round trip of a small graph waits for this call, so it has none of the steps that only other tasks need.
        """
        work, renaming = task.work, self._renaming
        executable = work.executable
        if executable is None or executable.in_place or work.widths is not None:
            return self.run((task,), False)
        lock, clock = self._lock, self.clock
        outputs: list[View] = []
        reused = 0
        try:
            with lock:
                if renaming.trace is not None:
                    made = task.outputs
                    reused = reusable(made) if len(made) != 1 else 1 if made[0].shelf.views else 0
                inputs = renaming.start(task, outputs)
                if inputs is None:
                    return 0
                if task.memory is not None:
                    outputs += task.memory
                    task.memory = None
                else:
                    try:
                        for value in task.outputs:
                            outputs.append(value.shelf.take())
                    except MLError as error:
                        renaming.fail(task, error)
                        inputs = None
            if inputs is None:
                self.tell_ended()
                return 0
            began = clock()
            try:
                executable.run(inputs, outputs)
            except Exception as error:
                self.now = clock()
                if renaming.trace is not None:
                    renaming.trace.ran(task, began, self.now, False, None)
                self._failed(task, error)
                return self.now - began or 1
            self.now = end = clock()
            took, cost = end - began, work.cost
            if not cost <= took < STEADY * cost:  # else there is nothing to learn from it
                work.measured(took)
            with lock:
                renaming.finish(task, outputs, False)
                figures = work.figures
                figures.runs += 1
                if figures.runs >= figures.wanted and task.queued_at:
                    figures.ran(task.queued_at, began, end)
                trace = renaming.trace
                if trace is not None:  # as `trace.ran`
                    trace.add(
                        (RAN, began, end, trace.thread.track, id(task), figures.number, task.queued_at, False, reused)
                    )
                waiters = task.waiters
                if waiters and work.byte_length <= self._small:
                    for waiter in waiters:
                        waiter.collect(renaming.release, trace)
            if waiters:
                for waiter in waiters:
                    waiter.task_ended(task)
                task.waiters = []  # the same as `told`, but without a call
                renaming.live.pop(task, None)
            if renaming.ended or self._room.waiting:
                self.tell_ended()
            return took or 1
        except BaseException:
            try:
                self._put_back(task, outputs)
            except BaseException:  # another interrupt
                self._put_back(task, outputs)
                raise
            raise

    def _put_back(self, task: Task, outputs: list[View]) -> None:
        with self._lock:
            self.cores.forget(task)
            put_back(self._renaming, task, outputs)

    def tell_ended(self) -> None:
        """Tell the waiters of tasks that have ended. Never called under the lock, since waiters call other code.

        A task leaves `ended` only when all of its waiters have been told, so nothing is lost by an interrupt: this
        goes on with the rest and raises the interrupt at the end.
        """
        renaming, room = self._renaming, self._room
        interrupt: BaseException | None = None
        interrupted: object = None
        while renaming.ended or room.has_space_for_waiting:
            told: Task | Promise[None] | None = None
            try:
                if renaming.ended:
                    told = oldest(renaming.ended)
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
                    # Another attempt would fail too: the memory cannot be read, for example.
                    _reject(told, error)
                    renaming.told(told)
                if not isinstance(error, Exception):
                    interrupt = interrupt or error
                interrupted = told
        if interrupt is not None:
            raise interrupt

    def recover(self) -> None:
        """Complete the changes that an interrupt has cut off."""
        try:
            self._recover()
        except BaseException:  # another interrupt
            self._recover()
            raise

    def _recover(self) -> None:
        with self._lock:
            rebuild(self._renaming)
        self.tell_ended()

    def _ended_early(self, task: Task) -> None:
        with self._lock:
            self.cores.forget(task)
            self._renaming.ended_early(task)
        self.tell_ended()

    def _failed(self, task: Task, error: BaseException) -> None:
        forget_frames(error)
        task.work.failed = True
        with self._lock:
            self.cores.forget(task)
            self._renaming.fail(task, explained(f"{task.work.figures.label}: the backend failed", error))
        self.tell_ended()
        tell_if_lost(error, self.device_lost)


def _on_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def _reject(task: Task, error: BaseException) -> None:
    forget_frames(error)
    error = explained("the result could not be read", error)
    for waiter in task.waiters:
        waiter.reject(error)


def oldest(tasks: dict[Task, None]) -> Task | None:
    """The oldest task. Needs no lock; None if other threads were faster."""
    try:
        return next(iter(tasks), None)
    except RuntimeError:  # another thread has changed it
        return None
