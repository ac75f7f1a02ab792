"""The timeline of one context: takes writes, dispatches and reads, and decides where and when tasks run.

Where a task runs. A task whose work is known to be cheap waits for whoever wants its result, who runs it on the spot
(the *inline lane*); if nobody comes, the end of the event loop's tick does. Everything else goes to a worker thread (a
*lane*) at once. Inline work has a budget per tick: what exceeds it waits for the next tick, and a loop of awaits that
never suspends lets the event loop breathe when the tick has become long.

Locks. `_lock` guards all state here and in `Renaming`, and is never held while a backend, a callback or user code
runs. It is taken before the pool's lock, never after. Finalizers take no lock: they append to `_discarded`, which is
worked off at the next call.

Threads. Every public method may be called from any thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from webnn.errors import ContextLostError, MLError, UnknownError
from webnn.graph.arguments import described
from webnn.memory.allocator import Allocator
from webnn.memory.buffer import View
from webnn.memory.pool import BufferPool, Shelf
from webnn.scheduler.bridge import asyncio_loop, current_bridge, current_loop
from webnn.scheduler.lane import Lane
from webnn.scheduler.promise import Promise
from webnn.scheduler.renaming import Renaming
from webnn.scheduler.results import Finished, Read, Run
from webnn.scheduler.task import QUEUED, RUNNING, Task, Waiter, Work
from webnn.scheduler.value import Name, Value

__all__ = ["INLINE_LIMIT", "Dispatch", "Statistics", "Timeline"]

INLINE_LIMIT: Final = 50_000
"""Nanoseconds: a task that costs less runs where its result is awaited, since a thread hop costs about as much."""
INLINE_LIMIT_OF_SLOW_LANES: Final = 250_000
"""As `INLINE_LIMIT`, where waking a thread takes so long that the hop costs this and more, as on virtual machines."""
HOP: Final = 4
"""A hop to a lane and back, in times that waking the lane takes: two wakings, and the interpreter's way to each."""
TICK_BUDGET: Final = 1_000_000
"""Nanoseconds of inline tasks in one go, and of one tick; after that the event loop's other tasks get their turn."""
INLINE_QUEUE: Final = 16
"""Queued cheap tasks beyond which awaiting a dispatch runs them."""
MAX_QUEUED: Final = 64
"""Queued tasks beyond which awaiting a dispatch waits."""
MAX_QUEUED_BYTES: Final = 256 * 1024 * 1024
"""Bytes of queued tasks' outputs beyond which awaiting a dispatch waits."""
SMALL: Final = 4096
"""Bytes up to which a write may go over the old value, if nothing but the name can reach that. (Under the lock.)"""
UNREAD: Final = 16
"""Reads that nobody has waited for, beyond which they are carried out unasked."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts since the context was made, and the queue at this moment."""

    queued: int
    running: int
    run_inline: int
    run_on_lanes: int
    dropped: int


class Dispatch(Task):
    """What `dispatch` gives back: await it for room in the queue, or `finished()` for the end of the work."""

    __slots__ = ("_timeline",)

    _timeline: Timeline

    def __await__(self) -> Generator[Any, Any, Dispatch]:
        timeline = self._timeline
        if timeline.is_crowded:
            yield from timeline.room().__await__()
        if timeline.breath_due():
            bridge = current_bridge()
            if bridge is not None:
                yield from bridge.breathe()
        return self

    def finished(self) -> Promise[None]:
        """Settles when the work has ended: with its error if it failed; at once if it was not worth running."""
        promise = Finished(self._timeline, self)
        self._timeline.watch(self, promise)
        return promise

    def __repr__(self) -> str:
        return f"<Dispatch {self.state.name.lower()}>"


class Timeline:
    """The order of one context's work.

    Args:
        pool: where values live.
        lanes: where tasks run that are not run inline.
        clock: nanoseconds; measures what tasks cost.
        inline_limit: see `INLINE_LIMIT`; lanes that are slow to wake raise it. 0 runs everything on the lanes.
        max_queued: tasks beyond which awaiting a dispatch waits.
        max_queued_bytes: bytes of their outputs beyond which it does.
    """

    def __init__(
        self,
        pool: BufferPool,
        lanes: Sequence[Lane],
        *,
        clock: Callable[[], int] = time.perf_counter_ns,
        inline_limit: float = INLINE_LIMIT,
        max_queued: int = MAX_QUEUED,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
    ) -> None:
        self.pool = pool
        self.allocator: Allocator = pool.allocator
        self._lanes = lanes
        self._clock = clock
        self._max_queued = max_queued
        self._max_queued_bytes = max_queued_bytes
        # Reentrant, since the garbage collector may run a user's finalizer, which may call us, at any allocation.
        self._lock = threading.RLock()
        self._inline_limit = inline_limit
        self._renaming = Renaming(inline_limit, reserving=pool.budget is not None)
        self._asleep: set[Lane] = set(lanes)
        self._discarded: deque[Value] = deque()
        self.discard: Callable[[Value], None] = self._discarded.append
        """One who could reach a value is gone. May be called from a finalizer: neither locks nor raises."""
        self._tick_of: object = None  # the loop that will call `_end_tick`
        self._tick_began = 0
        self._now = 0
        self.unsettled: set[Read] = set()
        """Reads of values that are there, which settle when somebody asks, or at the end of the tick."""
        self._waiting_for_room: list[Promise[None]] = []
        self._lost: ContextLostError | None = None
        self._run_inline = 0
        self._run_on_lanes = 0

    # What a program does.

    def write(self, name: Name, data: np.ndarray[Any, Any]) -> None:
        """Bind `name` to a new value that holds `data`, whose bytes are copied now."""
        renaming = self._renaming
        with self._lock:
            if self._discarded:
                self._work_off_discarded()
            old = name.value
            if old is not None and old.holds == 1 and old.view is not None and data.nbytes <= SMALL and not self._lost:
                # Only the name can reach the old value, so nobody sees that this one takes its place.
                self.allocator.write(old.view, data)
            else:
                old = None
        if old is None:
            value = self._written(name.shelf, data)
            with self._lock:
                if self._lost is None:
                    renaming.bind(name, value)
                else:
                    renaming.release(value)
                    self._check_not_lost()
        if renaming.ended:
            self._tell_ended()

    def dispatch(self, work: Work, inputs: Sequence[Name], outputs: Sequence[Name]) -> Dispatch:
        """Queue a run of `work` on the values that `inputs` have now, and bind `outputs` to what it will make."""
        renaming = self._renaming
        with self._lock:
            if self._discarded:
                self._work_off_discarded()
            if self._lost is not None or self.pool.budget is not None:
                self._check_not_lost()
                self.pool.check(renaming.queued_bytes + work.byte_length)
            values: list[Value] = []
            for name in inputs:
                values.append(name.value or self._zeros(name))
            shelves: list[Shelf] = []
            for name in outputs:
                shelves.append(name.shelf)
            task = Dispatch(work, values, shelves)
            task._timeline = self
            renaming.submit(task)
            for name, value in zip(outputs, task.outputs, strict=True):
                renaming.bind(name, value)
        loop = asyncio_loop()
        if (
            loop is None
            or loop is not self._tick_of
            or renaming.ended
            or renaming.lane
            or renaming.queued > self._max_queued
        ):
            self._after_submit()
        return task

    def run(
        self,
        work: Work,
        inputs: Sequence[tuple[Shelf, np.ndarray[Any, Any]]],
        outputs: Sequence[tuple[str, Shelf]],
        *,
        here: bool = False,
    ) -> Run:
        """Queue a run of `work` on copies of the arrays in `inputs`; the promise has the outputs by name.

        With `here` the caller is about to block for the result and runs it on its own thread, whatever it costs.
        """
        renaming = self._renaming
        values: list[Value] = []
        self.tidy()
        try:
            if self.pool.budget is not None:
                self.pool.check(renaming.queued_bytes + work.byte_length + sum(shelf.size for shelf, _ in inputs))
            for shelf, array in inputs:
                values.append(self._written(shelf, array))
            with self._lock:
                self._check_not_lost()
                task = Task(work, values, [shelf for _, shelf in outputs])
                promise = Run(self, [name for name, _ in outputs], task)
                task.waiters.append(promise)
                renaming.submit(task)
        finally:
            with self._lock:
                for value in values:  # the task holds them, if there is one
                    renaming.release(value)
        if not here or task.state is not QUEUED:
            self._after_submit()
        return promise

    def read(self, name: Name, out: np.ndarray[Any, Any] | None = None) -> Read:
        """The value that `name` has now, as an array, once it is there."""
        with self._lock:
            self._check_not_lost()
            value = name.value or self._zeros(name)
            value.holds += 1
            promise = Read(self, name, value, out)
            name.reads.add(promise)
            producer = value.producer
            if producer is not None:
                producer.waiters.append(promise)
            else:
                # It is there, but settles after this tick or when it is awaited: `destroy` may still come before.
                self.unsettled.add(promise)
        if producer is None or producer.state is QUEUED:
            loop = asyncio_loop()
            if loop is not self._tick_of or loop is None:
                self._expect_tick()
            if len(name.reads) > UNREAD or len(self.unsettled) > UNREAD:
                self._settle_unasked()
        return promise

    def compiled(self, work: Work) -> None:
        """`work` has got its executable or its error: let the tasks go on that wait for it."""
        with self._lock:
            self._renaming.compiled(work)
        self._tell_ended()
        self._wake_lanes()

    def destroy_name(self, name: Name, error: MLError) -> None:
        """`name` means nothing any more; its reads that have not settled are rejected with `error`."""
        with self._lock:
            reads = list(name.reads)
            self._renaming.unbind(name)
        for promise in reads:
            promise.reject(error)
        with self._lock:
            self._work_off_discarded()
        self._tell_ended()

    def watch(self, task: Task, waiter: Waiter) -> None:
        """Tell `waiter` when `task` has ended: now, if it has."""
        with self._lock:
            if task.state is QUEUED or task.state is RUNNING:
                task.waiters.append(waiter)
                return
        waiter.task_ended(task)

    # Room in the queue.

    @property
    def is_crowded(self) -> bool:
        """Whether so much is queued that awaiting a dispatch should do something about it."""
        renaming = self._renaming
        return (renaming.queued > INLINE_QUEUE and bool(renaming.inline)) or self._is_full

    @property
    def _is_full(self) -> bool:
        renaming = self._renaming
        return renaming.queued > self._max_queued or renaming.queued_bytes > self._max_queued_bytes

    def room(self) -> Promise[None]:
        """Settles when the queue has room again; runs cheap work on the spot to make some."""
        self._run_inline_queue(INLINE_QUEUE // 2)
        promise: Promise[None] = Promise()
        with self._lock:
            full = self._is_full and self._lost is None
            if full:
                self._waiting_for_room.append(promise)
                self._renaming.hand_over()
        if full:
            self._wake_lanes()
        else:
            promise.resolve(None)
        return promise

    # The inline lane.

    def advance(self, task: Task) -> bool:
        """Run what `task` needs on the caller's thread, if that is cheap; or else see to it that a lane does.

        Returns:
            Whether the event loop must get a turn now; if `task` has not ended then, call again.
        """
        renaming = self._renaming
        with self._lock:
            if task.state is not QUEUED:
                return False
            if task in renaming.inline:  # the common case: nothing before it
                inputs = renaming.start(task)
                self._run_inline += 1
                needed = None
            else:
                needed = renaming.needed_for(task)
                if needed is None or not renaming.cheap(needed):
                    renaming.hand_over()
                    needed = []
        if needed is None:
            self._execute(task, inputs, on_lane=False)
            return self._now - self._tick_began > TICK_BUDGET and self._tick_of is not None
        spent = 0
        for each in needed:
            if spent > TICK_BUDGET:
                return True
            spent += self._start_inline(each)
        if task.state is QUEUED:
            self._wake_lanes()
        return self.breath_due()

    def drive(self, task: Task) -> None:
        """Run what `task` needs on the caller's thread whatever it costs, unless a lane has begun with it."""
        while True:
            with self._lock:
                if task.state is not QUEUED:
                    break
                needed = self._renaming.needed_for(task)
                if needed is None:
                    self._renaming.hand_over()
                    break
            for each in needed:
                if not self._start_inline(each):
                    break
        self._wake_lanes()

    def breath_due(self, *, look: bool = False) -> bool:
        """Whether the tick has become so long that the event loop must get a turn.

        The end of the last task stands for the time; with `look` the clock is asked.
        """
        if look:
            self._now = self._clock()
        return self._now - self._tick_began > TICK_BUDGET and self._tick_of is not None

    def _start_inline(self, task: Task) -> int:
        """Run `task` here if it is still ready; the nanoseconds that took, or 0 if it was not."""
        with self._lock:
            if task.state is not QUEUED or task.unmet:
                return 0
            inputs = self._renaming.start(task)
            self._run_inline += 1
        return self._execute(task, inputs, on_lane=False)

    def _run_inline_queue(self, leave: int = 0) -> None:
        """Run what is ready for the inline lane, oldest first, until `leave` tasks are queued or a tick has gone by."""
        renaming, spent = self._renaming, 0
        while renaming.inline and renaming.queued > leave and spent <= TICK_BUDGET:
            with self._lock:
                if not renaming.inline:
                    return
                task = next(iter(renaming.inline))
                inputs = renaming.start(task)
                self._run_inline += 1
            spent += self._execute(task, inputs, on_lane=False)

    def _expect_tick(self) -> None:
        """Have the event loop that runs the caller, if there is one, call `_end_tick` at the end of its tick."""
        loop = current_loop()
        if loop is not self._tick_of and (bridge := current_bridge()) is not None:
            self._tick_of = loop
            self._tick_began = self._now = self._clock()
            bridge.call_soon(self._end_tick)

    def _end_tick(self) -> None:
        self._tick_of = None
        self._settle_unasked()
        if self._renaming.inline:
            self._expect_tick()

    def _settle_unasked(self) -> None:
        """Run what is cheap and settle the reads that are due, though nobody has asked for them yet."""
        self._run_inline_queue()
        with self._lock:
            promises = list(self.unsettled)
        for promise in promises:
            promise.deliver()

    # Running.

    def _after_submit(self) -> None:
        renaming = self._renaming
        if renaming.ended:
            self._tell_ended()
        if renaming.lane:
            self._wake_lanes()
        if renaming.inline:
            if renaming.queued > self._max_queued:
                self._run_inline_queue()
            loop = asyncio_loop()
            if loop is not self._tick_of or loop is None:
                self._expect_tick()

    def _execute(self, task: Task, inputs: Sequence[View], *, on_lane: bool) -> int:
        """Run a task that has been started, and settle what it makes; the nanoseconds that it took."""
        work, clock = task.work, self._clock
        outputs: list[View] = []
        start = clock()
        try:
            if self.pool.budget is None:
                for value in task.outputs:
                    outputs.append(value.shelf.take())
            else:
                self._take_reserved(task, outputs)
            work.executable.run(inputs, outputs)  # type: ignore[union-attr]  # ready: it has one
        except BaseException as error:
            self._now = clock()
            self._failed(task, outputs, error)
            if not isinstance(error, Exception) and not on_lane:
                raise  # the user's Ctrl-C, which came while the task ran on the user's thread
            return self._now - start or 1
        end = self._now = clock()
        work.measured(end - start)
        renaming = self._renaming
        with self._lock:
            renaming.finish(task, outputs, on_lane=on_lane)
            waiters, task.waiters = task.waiters, []
        for waiter in waiters:
            waiter.task_ended(task)
        if renaming.ended or self._waiting_for_room:
            self._tell_ended()
        return end - start or 1

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
        self._tell_ended()

    def _tell_ended(self) -> None:
        """Tell those who wait for tasks that have ended; never under the lock, since they call out."""
        renaming = self._renaming
        with self._lock:
            ended, renaming.ended = renaming.ended, []
            room: list[Promise[None]] = []
            if (
                self._waiting_for_room
                and renaming.queued <= self._max_queued // 2
                and renaming.queued_bytes <= self._max_queued_bytes // 2
            ):
                room, self._waiting_for_room = self._waiting_for_room, []
        for task in ended:
            waiters, task.waiters = task.waiters, []
            for waiter in waiters:
                waiter.task_ended(task)
        for promise in room:
            promise.resolve(None)

    def _wake_lanes(self) -> None:
        renaming = self._renaming
        while renaming.lane and self._asleep:
            with self._lock:
                awake = len(self._lanes) - len(self._asleep)
                if not self._asleep or awake >= len(renaming.lane) + len(renaming.running):
                    return
                lane = self._asleep.pop()
            lane.wake(lambda lane=lane: self._drain(lane))  # type: ignore[misc]

    def _drain(self, lane: Lane) -> bool:
        """Run one task on `lane`; False when there is none, and `lane` must be woken for the next."""
        renaming = self._renaming
        with self._lock:
            if not renaming.lane:
                self._asleep.add(lane)
                return False
            task = next(iter(renaming.lane))
            inputs = renaming.start(task)
            self._run_on_lanes += 1
            if self._inline_limit:
                hop = min(HOP * lane.latency, INLINE_LIMIT_OF_SLOW_LANES)
                renaming.inline_limit = max(self._inline_limit, hop)
        if len(self._lanes) > 1:
            self._wake_lanes()
        self._execute(task, inputs, on_lane=True)
        return True

    # Values.

    def _written(self, shelf: Shelf, data: np.ndarray[Any, Any]) -> Value:
        """A new value with the bytes of `data`; the caller has its first hold."""
        view = self._unreserved(shelf)
        try:
            self.allocator.write(view, data)
        except BaseException:
            shelf.put(view)
            raise
        return Value(shelf, None, view)

    def _unreserved(self, shelf: Shelf) -> View:
        """Memory that no queued task has been promised."""
        if self.pool.budget is None:
            return shelf.take()
        with self._lock:
            self.pool.check(self._renaming.queued_bytes + shelf.size)
            return shelf.take()

    def _zeros(self, name: Name) -> Value:
        """Bind a name that was never written to zeros. Under the lock."""
        view = self._unreserved(name.shelf)
        self.allocator.clear(view)
        value = Value(name.shelf, None, view)
        self._renaming.bind(name, value)
        return value

    def _work_off_discarded(self) -> None:
        """Release what finalizers have left. Under the lock; tasks may end by it."""
        discarded, renaming = self._discarded, self._renaming
        while discarded:
            renaming.release(discarded.popleft())

    def tidy(self) -> None:
        """Work off what finalizers have left, so that the pool's accounts are of this moment."""
        if self._discarded:
            with self._lock:
                self._work_off_discarded()
            self._tell_ended()

    # The end.

    @property
    def statistics(self) -> Statistics:
        """Counts of what was queued, run and dropped."""
        with self._lock:
            r = self._renaming
            return Statistics(r.queued, len(r.running), self._run_inline, self._run_on_lanes, r.dropped)

    def destroy(self, error: ContextLostError) -> None:
        """Cancel what is queued, let what is running end, reject everything that is pending, end the lanes."""
        with self._lock:
            if self._lost is not None:
                return
            self._lost = error
            renaming = self._renaming
            renaming.cancel_all(error)
            pending: list[Waiter] = [waiter for task in renaming.running for waiter in task.waiters]
            for task in renaming.running:
                task.waiters = []
            pending += self.unsettled
            pending += self._waiting_for_room  # type: ignore[arg-type]
            self._waiting_for_room = []
            busy = bool(renaming.running)
        self._tell_ended()
        for waiter in pending:
            waiter.reject(error)
        for lane in self._lanes:
            lane.close(wait=not busy)
        self.tidy()
        self.pool.trim()

    def _check_not_lost(self) -> None:
        if self._lost is not None:
            raise ContextLostError(*self._lost.args)
