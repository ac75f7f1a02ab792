"""The timeline of one context: takes writes, dispatches and reads in the order of the calls, and carries them out.

Where a task runs. A task whose work is known to be cheap runs on the thread that awaits its result, or else at the
end of the event loop's tick (`InlineLane`). Every other task goes to a worker thread at once (`Workers`). Either way
`Execution` runs it. This module decides what is queued; those three decide when and where it runs.

Locks. The timeline has one lock, which it shares with its parts. It guards all state here, in the parts and in
`Renaming` (except the time of the tick, see `inline.py`), and is never held while a backend, a callback or user code
runs. It is taken before the pool's lock, never after. Reading one attribute needs no lock, but code that acts on it
reads it again under the lock. Finalizers take no lock: they append to `Renaming.discarded`, which the next call
processes.

Threads. Every public method, here and of the parts, may be called from any thread.

Interrupts. A signal handler may raise between any two steps of a call on the main thread. The call has then done either
nothing or everything that it does, and raises the handler's exception. See `recovery.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from webnn.errors import MLError
from webnn.forking import hold_of, reentrant_lock
from webnn.memory.allocator import Allocator
from webnn.memory.buffer import View
from webnn.memory.lease import frozen, lend
from webnn.memory.pool import BufferPool, Shelf
from webnn.scheduler.batching import BatchingFigures
from webnn.scheduler.cores import Cores
from webnn.scheduler.deadlines import give_up_after
from webnn.scheduler.donation import restored
from webnn.scheduler.execution import Execution
from webnn.scheduler.inline import InlineLane
from webnn.scheduler.lane import Lane
from webnn.scheduler.promise import PENDING, Promise, resolve
from webnn.scheduler.recovery import bind_outputs
from webnn.scheduler.renaming import Discard, Renaming
from webnn.scheduler.results import Dispatch, End, Read, Run
from webnn.scheduler.room import INLINE_QUEUE, MAX_QUEUED, MAX_QUEUED_BYTES, Room
from webnn.scheduler.shutdown import Shutdown
from webnn.scheduler.statistics import Figures, MergingStatistics, Statistics
from webnn.scheduler.task import QUEUED, RUNNING, Task, Work
from webnn.scheduler.trace import Recorder, Sink
from webnn.scheduler.value import Name, NewValues, Value
from webnn.scheduler.width import Width
from webnn.scheduler.workers import INLINE_LIMIT, Workers

if TYPE_CHECKING:
    from webnn.scheduler.plan import Plan

__all__ = ["Timeline"]

SMALL: Final = 4096
"""Bytes up to which a write may overwrite the old value, if only the name can reach that value. The copy is made under
the lock. Larger writes do the same if the budget does not hold a second value."""
UNREAD: Final = 16
"""The number of reads that may be pending without being awaited. Beyond it, they are carried out at once."""


class Timeline:
    """The order of one context's work.

    Args:
        pool: the memory of values.
        lanes: run the tasks that do not run inline.
        clock: the time in nanoseconds, for measuring the cost of tasks.
        inline_limit: see `INLINE_LIMIT`. Lanes that are slow to wake raise it. 0 runs everything on the lanes.
        max_queued: queued tasks beyond which awaiting a dispatch waits.
        max_queued_bytes: bytes of queued tasks' outputs beyond which it waits.
        width: chooses how many threads a run has. By default, one core for each lane.
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
        width: Width | None = None,
    ) -> None:
        self.pool = pool
        self.allocator: Allocator = pool.allocator
        self.runs_directly = pool.budget is None and pool.allocator.is_host
        """Whether `run_here` may run a graph on the arrays of its caller."""
        self.host_array: Callable[[View], np.ndarray[Any, Any]] = pool.allocator.host_array
        # A copy of what is on a device need not hold that memory.
        self.lend: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]] = lend if pool.allocator.is_host else frozen
        # Reentrant, since the garbage collector may run a user's finalizer, which may call us, at any allocation.
        self._lock = lock = hold_of(reentrant_lock())
        fetches = not pool.allocator.is_host
        # The thread that runs a task also fetches what is read of it, which may take long.
        inline_limit = 0 if fetches else inline_limit
        self._renaming = renaming = Renaming(inline_limit)
        self.room = Room(renaming, max_queued, max_queued_bytes)
        self.width = width if width is not None else Width(len(lanes))
        """Chooses how many threads a run has. `width.piece()` counts the work of streams."""
        self._execution = execution = Execution(
            lock, renaming, self.room, pool, clock, cores=Cores(renaming, self.width, len(lanes), clock)
        )
        self._workers = Workers(lock, renaming, execution, lanes, inline_limit)
        self.inline = InlineLane(lock, renaming, execution, self._workers, fetches=fetches)
        self.shutdown = Shutdown(
            lock, renaming, room=self.room, execution=execution, workers=self._workers, inline=self.inline, pool=pool
        )
        self._new = NewValues(lock, renaming, pool)
        self._clock = clock
        self.figures = Figures()
        self._recorder = Recorder(clock)
        self.batching = BatchingFigures()
        self.lent: dict[int, Discard] = {}
        """The weak references to lent arrays, by identity."""
        self.discard: Callable[[Any], None] = renaming.discarded.append
        """Give up a hold on a value. May be called from a finalizer: it takes no lock, does not raise, and is not
        Python code, in which a Ctrl-C would be lost.

        Not for a value that has failed, which has no memory to give back. The traceback of its error may hold the
        context, or arrays that hold this queue where the garbage collector cannot see it.
        """

    @property
    def device_lost(self) -> Callable[[str], object]:
        """Is called, with the reason, when a run finds that the device is gone. It must not wait for anything."""
        return self._execution.device_lost

    @device_lost.setter
    def device_lost(self, lost: Callable[[str], object]) -> None:
        self._execution.device_lost = lost

    # Calls of the program.

    def write(self, name: Name, data: np.ndarray[Any, Any]) -> None:
        """Bind `name` to a new value with a copy of `data`, which is made now."""
        renaming = self._renaming
        if self.pool.budget is not None:
            self.tidy()  # also tells the waiters of tasks that this ends, even if the budget is exceeded below
        trace = renaming.trace
        called = 0 if trace is None else trace.clock()
        try:
            with self._lock:
                if renaming.discarded:
                    renaming.work_off_discarded()
                old = name.value
                if (
                    old is not None
                    and old.holds == 1
                    and old.view is not None
                    and old.owner is None
                    and renaming.lost is None
                    and (data.nbytes <= SMALL or not self.pool.holds(renaming.queued_bytes + name.shelf.size))
                ):
                    # Only the name can reach the old value, so overwriting it cannot be observed.
                    self.allocator.write(old.view, data)
                    if trace is not None:
                        trace.wrote(old, called, data.nbytes, "in place")
                else:
                    old = None
            if old is None:
                value = self._new.copy_of(data, name.shelf)
                with self._lock:
                    if renaming.lost is None:
                        renaming.bind(name, value)
                        if trace is not None:
                            trace.wrote(value, called, data.nbytes)
                    else:
                        renaming.release(value)
                        renaming.check_not_lost()
            if renaming.ended:
                self._execution.tell_ended()
        except MLError:  # refused before anything was changed
            raise
        except BaseException:
            self._workers.recover()
            raise

    def dispatch(self, work: Work, inputs: Sequence[Name], outputs: Sequence[Name]) -> Dispatch:
        """Queue a run of `work` on the values that `inputs` have now, and bind `outputs` to the values it will make."""
        renaming = self._renaming
        if self.pool.budget is not None:
            self.tidy()  # also tells the waiters of tasks that this ends, even if the budget is exceeded below
        task: Task | None = None
        try:
            with self._lock:
                if renaming.discarded:
                    renaming.work_off_discarded()
                if renaming.lost is not None or self.pool.budget is not None:
                    renaming.check_not_lost()
                    zeros = sum(name.shelf.size for name in inputs if name.value is None)
                    given_up = sum(name.freed_bytes for name in outputs)
                    self.pool.check(renaming.queued_bytes + zeros + work.byte_length - given_up)
                values: list[Value] = []
                for name in inputs:
                    values.append(name.value or self._new.zeros(name))
                task = Task(work, values, ())
                figures = work.figures
                task.queued_at = 0 if figures.runs + 1 < figures.wanted and renaming.trace is None else self._clock()
                made = task.outputs
                task.names = inputs
                for name in outputs:
                    made.append(Value(name.shelf, task, None))
                renaming.submit(task, outputs)
            if (
                get_ident() != self.inline.tick_on
                or renaming.ended
                or renaming.lane
                or renaming.queued > self.room.max_queued
            ):  # most dispatches do not need the call, which costs more than this check
                self._after_submit()
        except MLError:  # refused before anything was changed
            raise
        except BaseException:
            if task is not None:
                with self._lock:
                    bind_outputs(renaming, task, outputs)
            self._workers.recover()
            raise
        return Dispatch(self, task)

    def replay(self, plan: Plan, works: Sequence[Work]) -> Dispatch:
        """Queue the tasks of `plan`, whose steps do `works`, all together or not at all."""
        renaming = self._renaming
        if self.pool.budget is not None:
            self.tidy()
        try:
            with self._lock:
                if renaming.discarded:
                    renaming.work_off_discarded()
                if renaming.lost is not None or self.pool.budget is not None:
                    renaming.check_not_lost()
                    self.pool.check(renaming.queued_bytes + plan.more_bytes(works))
                tasks = plan.submit(renaming, works, self._new.zeros, now=self._clock(), anew=self.pool.budget is None)
            self._after_submit()
        except MLError:  # refused before anything was changed
            raise
        except BaseException:
            self._workers.recover()
            raise
        return plan.handle(self, tasks)

    def run(
        self,
        work: Work,
        inputs: Sequence[tuple[Shelf, np.ndarray[Any, Any]]],
        outputs: Sequence[tuple[str, Shelf]],
        *,
        here: bool = False,
        timeout: float | None = None,
    ) -> Promise[Any]:
        """Queue a run of `work` on copies of the arrays in `inputs`. Returns a promise of the outputs by name.

        With `here`, the caller is about to block for the result, and will run the task on its own thread whatever it
        costs. The promise is rejected after `timeout` seconds.
        """
        renaming, pool = self._renaming, self.pool
        trace = renaming.trace
        called = 0 if trace is None else trace.clock()
        values: list[Value] = []
        queued = False
        try:
            if renaming.discarded:
                self.tidy()  # first: their buffers may be used here
            if pool.budget is not None:
                pool.check(renaming.queued_bytes + work.byte_length + sum(shelf.size for shelf, _ in inputs))
            for shelf, array in inputs:
                value = self._new.copy_of(array, shelf)
                value.holds = 0  # the task takes the first hold
                values.append(value)
            with self._lock:
                if renaming.lost is not None or pool.budget is not None:
                    renaming.check_not_lost()
                    # Again: under the lock, no other thread can queue first.
                    pool.check(renaming.queued_bytes + work.byte_length)
                task = Task(work, values, ())
                for _, shelf in outputs:
                    task.outputs.append(Value(shelf, task, None))
                figures = work.figures
                task.queued_at = 0 if figures.runs + 1 < figures.wanted and trace is None else self._clock()
                promise: Promise[Any] = Promise()
                source = Run(promise, self.discard)
                source.outputs, source.values = outputs, task.outputs
                source.deadline = source.result = None
                source.begin(promise, self, task)
                task.waiters.append(source)
                queued = True
                if trace is not None:
                    trace.called = called
                renaming.submit(task)
            if timeout is not None:
                source.deadline = give_up_after(timeout, promise, f"run: no result after {timeout:g} s")
                if promise._status is not PENDING:  # a lane was faster, and found no deadline to call off
                    source.deadline.call_off()
            if not here or task.state is not QUEUED:
                self._after_submit()
        except MLError:  # refused before anything was changed
            while values and not queued:
                value = values.pop()
                if value.view is not None:
                    value.shelf.put(value.view)
            raise
        except BaseException:
            self._workers.recover()
            raise
        return promise

    def forget(self, work: Work) -> None:
        """The graph of `work` is gone: give back what was compiled for the chains that it is part of."""
        if self.inline.merged is not None:
            self.inline.merged.forget(work)

    def read(self, name: Name, out: np.ndarray[Any, Any] | None = None, source_of: type[Read] = Read) -> Promise[Any]:
        """A promise of the value that `name` has now, as an array."""
        renaming, inline = self._renaming, self.inline
        try:
            with self._lock:
                if renaming.lost is not None:
                    renaming.check_not_lost()
                value = name.value or self._new.zeros(name)
                producer = value.producer
                if value.undo is not None and producer is None and value.view is None:
                    error = restored(value)
                    if error is not None:
                        raise error
                value.holds += 1
                promise: Promise[Any] = Promise()
                source = source_of(promise, self.discard)
                source.name = name  # one by one: four at once would build a tuple
                source.value = value
                source.out = out
                source.result = None
                source.filling = False
                source.timeline, source.task, source.kept = self, producer, None  # the same as `begin`
                promise._source = source
                if renaming.trace is not None:
                    source.asked_at = self._clock()
                if producer is not None:
                    producer.waiters.append(source)
                else:
                    # Available, but it settles after this tick or when it is awaited: `destroy` may still come first.
                    inline.unsettled[id(source)] = source
            # What is ready for a lane ends without this thread.
            if producer is None or (producer.state is QUEUED and producer not in renaming.lane):
                if get_ident() != inline.tick_on:
                    inline.expect_tick()
                if len(inline.unsettled) > UNREAD or (producer is not None and len(producer.waiters) > UNREAD):
                    inline.settle_unasked()
        except MLError:  # refused before anything was changed
            raise
        except BaseException:
            self._workers.recover()
            raise
        return promise

    def will_tell(self, source: End, tasks: Sequence[Task]) -> bool:
        """Have `source` told when each of `tasks` ends. Returns False if all of them have ended already."""
        pending = False
        with self._lock:
            for task in tasks:
                if task.state is QUEUED or task.state is RUNNING:
                    if self.shutdown.is_forked:  # no thread of this process is running it
                        self._renaming.check_not_lost()
                    task.waiters.append(source)
                    pending = True
        return pending

    def compiled(self, work: Work) -> None:
        """`work` has its executable or its error: let the tasks that wait for it go on."""
        try:
            with self._lock:
                self._renaming.work_off_discarded()  # first, so that unreachable tasks are dropped and do not fail
                self._renaming.compiled(work)
            self._execution.tell_ended()
            self._workers.wake()
        except MLError:  # refused before anything was changed
            raise
        except BaseException:
            self._workers.recover()
            raise

    def destroy_name(self, name: Name, error: MLError) -> None:
        """Let `name` mean no value, and reject its pending reads with `error`."""
        try:
            self._destroy_name(name, error)
        except BaseException:
            self._workers.recover()
            self._destroy_name(name, error)
            raise

    def _destroy_name(self, name: Name, error: MLError) -> None:
        renaming = self._renaming
        with self._lock:
            reads = [waiter for waiter in self.inline.waiters() if isinstance(waiter, Read) and waiter.name is name]
            renaming.unbind(name)
        for read in reads:
            read.reject(error)
        self.tidy()
        self._execution.tell_ended()

    def has_ended(self, task: Task) -> bool:
        """Whether `task` has ended, so that its waiters can be told."""
        if task.state is QUEUED or task.state is RUNNING:
            return False
        with self._lock:  # which its end is under
            return True

    def make_room(self) -> Promise[None]:
        """A promise that settles when the queue has room again. Runs cheap tasks now to make room."""
        self.inline.run_ready(INLINE_QUEUE // 2)
        promise: Promise[None] = Promise()
        with self._lock:
            full = self.room.is_full and self._renaming.lost is None
            if full:
                self.room.waiting.append(promise)
                self._renaming.hand_over()
        if full:
            self._workers.wake()
        else:
            resolve(promise, None)
        return promise

    def _after_submit(self) -> None:
        """Make sure that the queued task will run, and tell the waiters of tasks that ended when it was queued."""
        renaming, inline = self._renaming, self.inline
        if renaming.ended:
            self._execution.tell_ended()
        if renaming.lane:
            self._workers.wake()
        if renaming.inline:
            if renaming.queued > self.room.max_queued:
                inline.run_ready()
            if get_ident() != inline.tick_on:
                inline.expect_tick()

    def tidy(self) -> None:
        """Release the values that finalizers have discarded, so that the pool's figures are current."""
        if self._renaming.discarded:
            try:
                with self._lock:
                    self._renaming.work_off_discarded()
                self._execution.tell_ended()
            except BaseException:
                self._workers.recover()
                raise

    # Figures and traces.

    @property
    def trace(self) -> Recorder | None:
        """Records what happens, while a trace is open."""
        return self._renaming.trace

    def start_trace(self, sink: Sink) -> Recorder:
        """Extend `sink` by a record of everything that happens from now on; see `webnn.scheduler.trace`."""
        with self._lock:
            self.figures.keep()
            self._recorder.attach(sink)
            self._renaming.trace = self._recorder
        return self._recorder

    def stop_trace(self, sink: Sink) -> None:
        """Extend `sink` no more."""
        with self._lock:
            self._recorder.detach(sink)
            if not self._recorder.sinks:
                self._renaming.trace = self.figures.kept = None

    def count_drops(self, reason: str, count: int) -> None:
        """Count items that a stream has left out before they became runs."""
        with self._lock:
            drops = self._renaming.drops
            drops[reason] = drops.get(reason, 0) + count

    @property
    def statistics(self) -> Statistics:
        """Counts of the tasks that are queued or running, and of those that have been run or dropped; and latencies."""
        with self._lock:
            r, e = self._renaming, self._execution
            return Statistics(
                r.queued,
                len(r.running),
                r.begun - e.run_on_lanes,
                e.run_on_lanes,
                r.dropped,
                graphs=tuple(graph.snapshot() for graph in self.figures.graphs()),
                drops=dict(r.drops),
                width=self.width.statistics,
                donated=e.donation.donated,
                borrowed=e.donation.borrowed,
                batching=self.batching.snapshot(),
                merging=MergingStatistics() if self.inline.merged is None else self.inline.merged.chains.statistics,
            )
