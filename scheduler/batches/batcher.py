"""Gathers the requests of one graph in batches, and decides when a batch may run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from webnn.errors import MLError
from webnn.memory.buffer import View
from webnn.memory.pool import Shelf
from webnn.scheduler.batches.batch import Batch
from webnn.scheduler.batches.computation import JOINED, NARROW, Batched, Computation
from webnn.scheduler.batches.request import Input, Request
from webnn.scheduler.batching import Batching
from webnn.scheduler.bridge import current_loop, current_task
from webnn.scheduler.deadlines import call_after, give_up_after
from webnn.scheduler.promise import PENDING, Promise
from webnn.scheduler.results import Run
from webnn.scheduler.statistics import UNOBSERVABLE, GraphFigures
from webnn.scheduler.task import QUEUED, RUNNING, Work

if TYPE_CHECKING:
    from webnn.scheduler.timeline import Timeline

__all__ = ["Batcher"]

Array = np.ndarray[Any, Any]

RELEASING: Final = 500
"""Elements of an input above which it is copied without NumPy, if it is not large: between loop and lane, the turn that
NumPy gives away takes longer than the copy."""


class Batcher:
    """Gathers the requests of one graph.

    Args:
        timeline: runs them, alone or in batches.
        work: the graph's own work, for requests that run by themselves.
        inputs: the shelves of the inputs of one request.
        outputs: the names and shelves of its outputs.
        max_batch: the most requests in one run.
        max_delay: nanoseconds for which a request waits for company at most, while there are lanes and cores to run it
            beside the batch that is under way.
        compile: see `Batched`.
    """

    def __init__(
        self,
        timeline: Timeline,
        work: Work,
        inputs: Sequence[Shelf],
        outputs: Sequence[tuple[str, Shelf]],
        *,
        max_batch: int,
        max_delay: float,
        compile: Callable[[int, bool], None],
    ) -> None:
        self._timeline = timeline
        self._lock = timeline._lock
        self._renaming = timeline._renaming
        self.workers = timeline._workers
        self._work = work
        self._inputs = inputs
        self._outputs = outputs
        self._max_batch = max_batch
        self._max_delay = max_delay
        self._clock = timeline._clock
        self.policy = Batching(max_batch)
        with self._lock:
            timeline.batching.graphs.add(self.policy)
        batched = Batched(
            timeline,
            work,
            lock=self._lock,
            workers=self.workers,
            inputs=inputs,
            outputs=outputs,
            compile=compile,
            clock=self._clock,
        )
        self.computation = Computation(batched, self.policy)
        self.figures = GraphFigures()
        """Of the batches' tasks; those of the requests are counted for the graph itself."""
        self.figures.number = work.figures.number  # traces know it by that
        # Only buffers count for a budget.
        self._as_bytes = JOINED if timeline.allocator.is_host and timeline.pool.budget is None else -1
        """The most bytes of an input that is kept as bytes instead of in a buffer. It is the same for all requests."""
        self._open: Batch | None = None
        """The batch that the next request joins, as long as it is queued."""
        self._active: list[Batch] = []
        """Batches that are running, or may begin."""
        self._held: list[Batch] = []
        """Queued batches that gather more requests while others are active, oldest first."""
        # To tell whether requests come in company while they run alone: the last one, and who made it.
        self._last: Run | None = None
        self._last_task = 0
        self._last_tick = 0

    # Requests.

    def run(
        self, given: Sequence[tuple[Shelf, Array]], *, here: bool = False, timeout: float | None = None
    ) -> Promise[Any]:
        """As `Timeline.run`, for a request of this graph."""
        policy, timeline, who = self.policy, self._timeline, 0
        if policy.is_apart and self.computation.is_compared:
            with self._lock:
                policy.compared()
        if not policy.gathers and not policy.rests():
            who = id(current_task())
            if self._has_company(who):
                with self._lock:
                    policy.meets_company(self._work.cost, compares=self.computation.compares)
        if policy.gathers:
            return self._gather(given, timeout)
        promise = timeline.run(self._work, given, self._outputs, here=here, timeout=timeout)
        source = promise._source
        self._last = source if isinstance(source, Run) else None
        self._last_task, self._last_tick = who, timeline.inline.tick_began
        return promise

    def _has_company(self, who: int) -> bool:
        """Whether another request is under way, or another task of the event loop has made one in this tick."""
        last, inline = self._last, self._timeline.inline
        if last is not None and last.task is not None and last.task.state <= RUNNING:
            return True
        return inline.tick_of is not None and inline.tick_began == self._last_tick and who != self._last_task

    def _gather(self, given: Sequence[tuple[Shelf, Array]], timeout: float | None) -> Promise[Any]:
        timeline, renaming = self._timeline, self._renaming
        inputs: list[Input] = []
        try:
            if renaming.discarded:
                timeline.tidy()  # first: their buffers may be used here
            if timeline.pool.budget is not None:
                needed = self._work.byte_length + sum(shelf.size for shelf, _ in given)
                with self._lock:
                    timeline.pool.check(renaming.queued_bytes + needed)
            for shelf, array in given:
                if array.nbytes <= self._as_bytes:
                    inputs.append(array.tobytes())
                else:
                    view = shelf.take()
                    inputs.append(view)
                    self._write(view, array)
            promise: Promise[Any] = Promise()
            request = Request(promise, timeline.discard)  # one by one: more than three at once would build a tuple
            request.outputs = self._outputs
            request.inputs = [inputs]
            request.values = request.deadline = request.result = request.error = None
            request.here = request.ready = False
            request.forgone = UNOBSERVABLE
            request.queued_at = self._clock()
            with self._lock:
                if renaming.lost is not None:
                    renaming.check_not_lost()
                batch = self._open
                new = batch is None or batch.task.state is not QUEUED
                if batch is None or new:
                    batch = Batch(self)
                request.batch = batch
                request.timeline, request.task, request.kept = timeline, None, None  # the same as `begin`
                promise._source = request
                requests = batch.requests
                requests.append(request)
                if new:
                    batch.task.queued_at = request.queued_at
                    if not self._admit(batch):
                        self._held.append(batch)
                    renaming.submit(batch.task)
                    self._open = batch
                size = self._work.byte_length  # the same as `grow`
                batch.work.byte_length += size
                renaming.queued_bytes += size
                full = len(requests) >= self._max_batch
                if full:
                    self._open = None
            if timeout is not None:
                request.deadline = give_up_after(timeout, promise, f"run: no result after {timeout:g} s")
                if promise._status is not PENDING:
                    request.deadline.call_off()
            if full or new:
                self._expect(batch, full)
        except MLError:  # refused before anything was changed
            for (shelf, _), each in zip(given, inputs, strict=False):
                if isinstance(each, View):
                    shelf.put(each)
            raise
        except BaseException:
            self.workers.recover()
            raise
        return promise

    def _write(self, view: View, array: Array) -> None:
        """Copy a request's input into its buffer."""
        allocator = self._timeline.allocator
        if array.size > RELEASING and array.nbytes <= JOINED and array.flags.c_contiguous and allocator.is_host:
            memoryview(view.array).cast("B")[:] = memoryview(array).cast("B")  # type: ignore[arg-type]
        else:
            allocator.write(view, array)

    def _expect(self, batch: Batch, full: bool) -> None:
        """Make sure that `batch`, which is new or full, runs."""
        if batch.work.executable is None:
            if full:
                self._hurry(batch)
            elif self._max_delay and self._beside > 1:
                batch.deadline = call_after(self._max_delay / 1e9, partial(self._hurry, batch))
        elif full or current_loop() is None:
            self.workers.wake()
        else:
            self._timeline.inline.expect_tick()  # requests of the same tick come along

    # Called by a batch, under the lock.

    def grow(self, batch: Batch, requests: int) -> None:
        """So many requests have come to the queued `batch`."""
        size = requests * self._work.byte_length
        batch.work.byte_length += size
        self._renaming.queued_bytes += size

    def count_drop(self, reason: str) -> None:
        """A request was given up, and was not computed, or not to the end."""
        self._renaming.dropped += 1
        self._renaming.count_drop(self._work.figures, reason)

    def withdraw(self, batch: Batch) -> None:
        """All requests of the queued `batch` were given up."""
        if batch in self._held:
            self._held.remove(batch)
        self._renaming.withdraw(batch.task)

    # Called by a batch.

    def look(self, batch: Batch) -> None:
        """A request of `batch` was given up: end what is computed of it, if that was for this request alone.

        The next batch need not wait until that has ended, which is at the end of an operator.
        """
        following = None
        self._timeline.tidy()
        with self._lock:
            if batch.under_way is not None:
                batch.under_way.look()
                if batch.ends and self._held and self._admit(self._held[0]):
                    following = self._active[-1]
        if following is not None:
            self._timeline.compiled(following.work)

    # Batches beside each other.

    @property
    def _beside(self) -> int:
        """How many batches may be under way at once: one core is for the program, and a wide batch takes all."""
        if self.policy.alone_cost >= NARROW:
            return 1
        return max(1, min(self.workers.count, self._timeline.width.cores - 1))

    def _is_under_way(self, batch: Batch) -> bool:
        state = batch.task.state
        return batch.task in self._renaming.live and (state is QUEUED or state is RUNNING) and not batch.ends

    def _admit(self, batch: Batch, *, hurry: bool = False) -> bool:
        """Let `batch`, which is queued, run if no other one is under way. Called under the lock.

        Args:
            batch: is held back otherwise.
            hurry: it is full, or has waited for `max_delay`, and may run beside others.
        """
        self._active = [other for other in self._active if self._is_under_way(other)]
        if batch.work.executable is not None or (self._active and not (hurry and len(self._active) < self._beside)):
            return False
        batch.work.executable = batch
        self._active.append(batch)
        if batch in self._held:
            self._held.remove(batch)
        return True

    def _hurry(self, batch: Batch) -> None:
        """`batch` is full or has waited for long enough: let it run if there is a core for it."""
        with self._lock:
            batch.hurries = True
            admitted = self._admit(batch, hurry=True)
        if admitted:
            self._timeline.compiled(batch.work)

    def ended(self, batch: Batch) -> None:
        """`batch` has ended in whatever way: let the next one run. May be called again."""
        batch.work.executable = None  # which is a cycle
        if batch.deadline is not None:
            batch.deadline.call_off()
        with self._lock:
            self._active = [other for other in self._active if other is not batch]
            self._held = [other for other in self._held if self._is_under_way(other)]
            following = self._held[0] if self._held else None
            admitted = following is not None and self._admit(following, hurry=following.hurries)
            if following is not None and admitted and self.workers.begins_next(following.task):
                following.due = {**batch.due, **following.due}
                batch.due = {}  # last: after an interrupt they are settled twice, which does no harm
        if following is not None and admitted:
            self._timeline.compiled(following.work)
        self.computation.settle_due(batch)  # last: a callback may wait for the next batch
