"""Batches: runs of one graph that are executed together, and split again.

A `Batcher` stands before the timeline for the requests (runs without tensors) of one graph. While requests come one by
one, or where batching does not pay, it hands them on at once. Otherwise it gathers them in a `Batch`, which is queued
as one task without inputs and outputs, and which is open until a lane begins it. So requests gather while the device is
busy, and go together when it is free. Requests of one tick of an event loop go together too.

Each request has copies of its own of its inputs: bytes if they are small, otherwise buffers. They are copied into the
batch when it runs, and each result is copied out of it. So a request can be given up, fail, or run by itself like any
other run, and a small result never keeps a large buffer alive.

Locks. The timeline's lock guards the batchers and their batches. It is not held while a batch is computed or settled.

Threads. A batch runs on a lane. The results that tasks of one event loop wait for are settled there by one call, so
that these tasks go on in one tick, and their next requests meet again. All others are settled on the lane. A plain
thread that waits for a request sets `Request.here` and then looks for the result, while the batch stores the result
first and looks at `here` after that.

A lane that has computed a batch and will compute another one begins that first. A loop that is woken takes the
interpreter until it has handled all of the results, and the lane would wait for it. So the next batch is made ready,
another lane is asked to wake the loop, and it gets the interpreter when the computation begins.

Interrupts. A request is queued when it is in a batch whose task is live. If that is interrupted, its promise is freed,
which gives it up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

import numpy as np

from webnn.backends.base import Executable
from webnn.errors import MLError
from webnn.forking import Hold
from webnn.memory.buffer import View
from webnn.memory.lease import SMALL
from webnn.memory.pool import Shelf
from webnn.scheduler.batching import Batching
from webnn.scheduler.bridge import Bridge, Waiter, current_loop, current_task
from webnn.scheduler.callbacks import loop_of
from webnn.scheduler.deadlines import Deadline, call_after, give_up_after
from webnn.scheduler.failures import explained, forget_frames, tell_if_lost
from webnn.scheduler.promise import PENDING, RESOLVED, Promise, abandon, reject, settling
from webnn.scheduler.renaming import Renaming
from webnn.scheduler.results import Run
from webnn.scheduler.statistics import CANCELLED as WAS_CANCELLED
from webnn.scheduler.statistics import TIMED_OUT, UNOBSERVABLE, GraphFigures
from webnn.scheduler.status import CANCELLED
from webnn.scheduler.task import QUEUED, RUNNING, Task, Work
from webnn.scheduler.trace import Recorder
from webnn.scheduler.value import Value
from webnn.scheduler.workers import Workers

if TYPE_CHECKING:
    from webnn.scheduler.timeline import Timeline

__all__ = ["Batcher", "Size"]

Array = np.ndarray[Any, Any]

NARROW: Final = 250_000
"""Nanoseconds of a request alone below which batches have one thread. The event loop's own work for so small requests
takes as long as their computation, and needs the other core."""
JOINED: Final = 16 * 1024
"""Bytes of an input up to which it is joined with others by a copy more. NumPy lets other threads run after each copy
of more than 500 elements. While an event loop is busy, each of those would cost the lane a turn of that loop."""
RELEASING: Final = 500
"""Elements of an input above which it is copied without NumPy, if it is not large: between loop and lane, the turn that
NumPy gives away takes longer than the copy."""

Input = View | bytes
"""One input of a request."""


class Size:
    """A graph that is compiled for several requests at once.

    Args:
        executable: runs the batch.
        inputs: the shelves of the inputs of a batch.
        outputs: the shelves of its outputs.
    """

    __slots__ = ("executable", "inputs", "outputs")

    def __init__(self, executable: Executable, inputs: Sequence[Shelf], outputs: Sequence[Shelf]) -> None:
        self.executable = executable
        self.inputs = inputs
        self.outputs = outputs


class Request(Run):
    """The source of the promise of a run that is gathered in a batch."""

    __slots__ = ("batch", "error", "forgone", "here", "inputs", "queued_at", "ready")

    batch: Batch
    inputs: list[list[Input]]
    """Its inputs, as the only item. The thread that pops it computes the request, or gives it up."""
    here: bool
    """Whether the thread that computes it settles it, whoever waits for it."""
    queued_at: int
    ready: bool
    """Whether it has been computed, or has failed."""
    error: BaseException | None
    forgone: str

    def take(self) -> list[Input] | None:
        """Its inputs; None if it was given up, or another thread was faster."""
        try:
            return self.inputs.pop()
        except IndexError:
            return None

    def settle(self) -> None:
        """Settle the promise with what was computed. May be called again, and on two threads at once."""
        promise = self()
        if promise is None or promise._status not in (PENDING, RESOLVED):
            values, self.values = self.values, None
            for value in values or ():
                self.timeline.discard(value)
        elif self.error is not None:
            reject(promise, self.error)
        else:
            self.deliver(promise)

    def settle_here(self) -> None:
        """Have it settled by the thread that computes it, or now if it has been computed."""
        self.here = True
        if self.ready:
            self.settle()

    def loop(self) -> Waiter | Bridge | None:
        """The event loop to settle it on; None if it is to be settled on the thread that computes it."""
        if self.here or (promise := self()) is None or not promise._callbacks:
            return None
        try:
            return loop_of(promise._callbacks[0])
        except IndexError:  # another thread was faster
            return None

    # Called by the promise.

    def advance(self, promise: Promise[Any]) -> bool:
        """Settle if the result is there. Nothing is computed on this thread."""
        if self.ready:
            self.settle()
        return False

    def drive(self, promise: Promise[Any], timeout: float | None) -> None:
        """Make sure that a lane runs the batch now."""
        self.settle_here()
        self.batch.wake()

    def expect(self, promise: Promise[Any]) -> None:
        """Make sure that it settles even if the event loop of another waiter ends."""
        loop = self.loop()
        if loop is None or loop.loop is not current_loop():
            self.settle_here()
            self.batch.wake()

    def expect_elsewhere(self, _: Promise[Any]) -> None:
        """Have it settled on a lane. Takes no lock of the timeline."""
        self.here = True
        self.batch.call(self.settle_here)

    def forgo(self) -> None:
        """Note why it is given up. Its buffers are given back by `discarded`, under the lock."""
        if self.inputs:
            promise = self()
            if promise is not None and promise._status is CANCELLED:
                self.forgone = WAS_CANCELLED
            elif promise is not None and isinstance(promise._error, TimeoutError):
                self.forgone = TIMED_OUT
            self.timeline.discard(self)

    def discarded(self) -> None:
        """The promise has been freed, or has settled without a result: give the inputs back."""
        inputs = self.take() if hasattr(self, "batch") else None
        if inputs is not None:
            self.batch.leave(self, inputs)
        super().discarded()


class Batch(Executable):
    """Requests that run together, and the task that runs them.

    Args:
        batcher: has made it.
    """

    def __init__(self, batcher: Batcher) -> None:
        super().__init__((), ())
        self._batcher = batcher
        self.requests: list[Request] = []
        self.work = Work(0, batcher.figures)
        self.task = Task(self.work, (), ())
        self.task.waiters.append(self)
        self.due: dict[int, tuple[Batch, list[Request]]] = {}
        """Requests of this batch and of the one before that were computed and are to be settled, by their identity."""
        self.deadline: Deadline | None = None
        """When it need not gather any more, if it is held back and could run beside others."""

    __eq__ = object.__eq__  # two batches are never the same, while executables are compared by their tensors
    __hash__ = object.__hash__

    def wake(self) -> None:
        """Wake a lane for it."""
        self._batcher.workers.wake()

    def call(self, function: Callable[[], object]) -> None:
        """Call `function` on a lane. Takes no lock of the timeline."""
        self._batcher.workers.call(function)

    def leave(self, request: Request, inputs: list[Input]) -> None:
        """`request` was given up before it began. Called under the lock."""
        self._batcher.give_back(inputs)
        if self.task.state is QUEUED or self.task.state is RUNNING:
            self._batcher.count_drop(request.forgone)
        if self.task.state is not QUEUED:
            return
        self.requests = [other for other in self.requests if other is not request]
        self._batcher.grow(self, -1)
        if not self.requests:
            self._batcher.withdraw(self)

    # As a waiter of its task.

    def collect(self, release: Callable[[Value], None], trace: Recorder | None) -> None:
        """Its task has no results."""

    def task_ended(self, task: Task) -> None:
        """It has run; or it failed or was cancelled without."""
        if task.error is not None:
            self._batcher.settle_due(self)
            self.reject(task.error)
        self.requests = []
        self._batcher.ended(self)

    def reject(self, error: BaseException) -> None:
        """Reject all requests that have not settled."""
        for request in list(self.requests):
            promise = request()
            if promise is not None:
                reject(promise, error)

    def forked(self, error: BaseException) -> None:
        """This process is a forked child: settle without telling the waiters."""
        for request in [*self.requests, *(each for _, requests in self.due.values() for each in requests)]:
            promise = request()
            if promise is not None:
                abandon(promise, error)

    # As an executable.

    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        """Compute the requests in as many runs as it takes."""
        self._batcher.compute(self)


class _Delivery:
    """The call that settles requests on their event loop. If that loop is closed before, a lane settles them."""

    __slots__ = ("__weakref__", "_batch", "_dropped", "_requests")

    def __init__(self, batch: Batch, requests: list[Request]) -> None:
        self._batch = batch
        self._requests = requests
        self._dropped: ref[_Delivery] | None = ref(self, partial(_settle_elsewhere, batch, requests))

    def __call__(self) -> None:
        try:
            self._dropped = None
            _settle_together(self._requests)
        except BaseException:  # an interrupt
            _settle_elsewhere(self._batch, self._requests)
            raise


def _settle_together(requests: Sequence[Request]) -> None:
    """Settle requests on the thread of the event loop whose tasks wait for them.

    Most of them have a small result and one waiter. For these it does the same as `settle`, in a straight line.
    """
    promise: Promise[Any] | None = None
    try:
        for request in requests:
            promise = request()
            if promise is None or request.result is None or request.deadline is not None:
                request.settle()
                continue
            with settling:
                if promise._status is not PENDING:
                    continue
                promise._result, promise._status = request.result, RESOLVED
            request.kept = promise._source = None
            callbacks = promise._callbacks
            if callbacks is not None and len(callbacks) == 1 and promise._installed is None:
                waiter = callbacks[0]
                if isinstance(waiter, Waiter):
                    waiter.wake()
                    promise._callbacks = None
                    continue
            promise._announce()
    except BaseException:
        if promise is not None and promise._status is not PENDING:
            promise._announce()
        raise


def _settle_elsewhere(batch: Batch, requests: list[Request], _: object = None) -> None:
    def settle() -> None:
        for request in requests:
            request.settle_here()

    batch.call(settle)


class Batcher:
    """Gathers the requests of one graph.

    Args:
        timeline: runs the batches.
        work: the graph's own work, for requests that run by themselves.
        lock: the timeline's lock.
        renaming: the timeline's state, which `lock` guards.
        workers: the lanes.
        inputs: the shelves of the inputs of one request.
        outputs: the names and shelves of its outputs.
        max_batch: the most requests in one run.
        max_delay: nanoseconds for which a request waits for company at most, while there are lanes and cores to run it
            beside the batch that is under way.
        compile: starts to compile a size in the background, for one thread if the second argument is True, and returns
            at once. It ends with `compiled` or `failed`.
        clock: the time in nanoseconds.
    """

    def __init__(
        self,
        timeline: Timeline,
        work: Work,
        *,
        lock: Hold,
        renaming: Renaming,
        workers: Workers,
        inputs: Sequence[Shelf],
        outputs: Sequence[tuple[str, Shelf]],
        max_batch: int,
        max_delay: float,
        compile: Callable[[int, bool], None],
        clock: Callable[[], int],
    ) -> None:
        self._timeline = timeline
        self._lock = lock
        self._renaming = renaming
        self.workers = workers
        self._work = work
        self._inputs = inputs
        self._outputs = outputs
        self._max_batch = max_batch
        self._max_delay = max_delay
        self._compile = compile
        self._clock = clock
        self.policy = Batching(max_batch)
        timeline.batching.graphs.add(self.policy)
        self.figures = GraphFigures()
        """Of the batches' tasks; those of the requests are counted for the graph itself."""
        # Only buffers count for a budget.
        self._as_bytes = JOINED if timeline.allocator.is_host and timeline.pool.budget is None else -1
        """The most bytes of an input that is kept as bytes instead of in a buffer. It is the same for all requests."""
        self._sizes: dict[int, Size] = {}
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
        if not policy.gathers and not policy.rests():
            who = id(current_task())
            if self._has_company(who):
                with self._lock:
                    policy.meets_company(self._work.cost)
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
                if timeline._lost is not None:
                    timeline._check_not_lost()
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

    def give_back(self, inputs: Sequence[Input]) -> None:
        """A request's inputs are not needed any more."""
        for shelf, each in zip(self._inputs, inputs, strict=False):
            if isinstance(each, View):
                shelf.put(each)

    def count_drop(self, reason: str) -> None:
        """A request was given up before it began."""
        self._renaming.dropped += 1
        self._renaming.count_drop(self._work.figures, reason)

    def withdraw(self, batch: Batch) -> None:
        """All requests of the queued `batch` were given up."""
        if batch in self._held:
            self._held.remove(batch)
        self._renaming.withdraw(batch.task)

    # Batches beside each other.

    @property
    def _beside(self) -> int:
        """How many batches may be under way at once: one core is for the program, and a wide batch takes all."""
        if self.policy.alone_cost >= NARROW:
            return 1
        return max(1, min(self.workers.count, self._timeline.width.cores - 1))

    def _is_under_way(self, batch: Batch) -> bool:
        state = batch.task.state
        return batch.task in self._renaming.live and (state is QUEUED or state is RUNNING)

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
            admitted = following is not None and self._admit(following)
            if following is not None and admitted and self.workers.begins_next(following.task):
                following.due = {**batch.due, **following.due}
                batch.due = {}  # last: after an interrupt they are settled twice, which does no harm
        self.settle_due(batch)
        if following is not None and admitted:
            self._timeline.compiled(following.work)

    @property
    def _side_by_side(self) -> float:
        """Nanoseconds for each request if they were not gathered; infinity where they are too small to tell."""
        widths, alone = self._work.widths, self.policy.alone_cost
        if widths is None or alone < NARROW:
            return float("inf")
        cores = self._timeline.width.cores
        narrow = widths.narrow_cost or alone * widths.speedup(cores)
        return narrow / max(1, min(self.workers.count, cores))

    # Sizes.

    def compiled(self, size: int, compiled: Size) -> None:
        """`size` has been compiled."""
        with self._lock:
            self._sizes[size] = compiled
            self.policy.compiled(size)

    def failed(self, size: int) -> None:
        """`size` could not be compiled."""
        with self._lock:
            self.policy.failed(size)

    # On a lane.

    def compute(self, batch: Batch) -> None:
        """Run all requests of `batch`, in one run or more."""
        policy = self.policy
        with self._lock:
            waiting = [request for request in batch.requests if request.inputs]
            waiting.reverse()  # taken from the end
            wanted = policy.gathered(len(waiting)) if waiting else None
        if wanted is not None:
            self._compile(wanted, policy.alone_cost < NARROW)
        try:
            while waiting:
                with self._lock:
                    number = policy.choose(len(waiting))
                    size = self._sizes.get(number)
                chunk: list[Request] = []
                inputs: list[list[Input]] = []
                while waiting and len(chunk) < number:
                    request = waiting.pop()
                    try:
                        inputs.append(request.inputs.pop())
                    except IndexError:  # it was given up
                        continue
                    chunk.append(request)
                if size is None or len(chunk) < 2:
                    self.settle_due(batch)
                    for request, own in zip(chunk, inputs, strict=True):
                        self._run_alone(request, own)
                else:
                    self._run_together(batch, number, size, chunk, inputs)
                batch.due[id(chunk)] = batch, chunk
        finally:
            with self._lock:
                unused = [number for number in self._sizes if number not in policy.usable]
                for number in unused:
                    del self._sizes[number]

    def _run_alone(self, request: Request, given: Sequence[Input]) -> None:
        """Compute one request as if it had never been in a batch."""
        executable = self._work.executable
        assert executable is not None
        inputs: list[View] = []
        outputs: list[View] = []
        began = self._clock()
        try:
            for shelf, each in zip(self._inputs, given, strict=True):
                view = each if isinstance(each, View) else shelf.take()
                inputs.append(view)
                if isinstance(each, bytes):
                    array = np.frombuffer(each, shelf.descriptor.dtype)
                    self._timeline.allocator.write(view, array.reshape(shelf.descriptor.shape))
            for _, shelf in self._outputs:
                outputs.append(shelf.take())
            executable.run(inputs, outputs)
        except Exception as error:
            for (_, shelf), view in zip(self._outputs, outputs, strict=False):
                shelf.put(view)
            forget_frames(error)
            request.error = explained(f"{self._work.figures.label}: the backend failed", error)
            tell_if_lost(error, self._timeline.device_lost)
        else:
            request.values = [Value(shelf, None, view) for (_, shelf), view in zip(self._outputs, outputs, strict=True)]
        ended = self._clock()
        self.give_back(inputs)
        with self._lock:
            if request.error is not None:
                self._work.figures.failed += 1
            else:
                self.policy.measured(1, ended - began)
                self._work.figures.ran_together([request.queued_at], began, ended)
        request.ready = True

    def _run_together(
        self, batch: Batch, number: int, size: Size, chunk: list[Request], given: list[list[Input]]
    ) -> None:
        """Compute requests in one run. If that fails, each runs by itself, and only those fail that have to."""
        inputs: list[View] = []
        outputs: list[View] = []
        began = self._clock()
        try:
            for i, shelf in enumerate(size.inputs):
                inputs.append(shelf.take())
                _stack([own[i] for own in given], inputs[-1].array, number)
            for shelf in size.outputs:
                outputs.append(shelf.take())
            self.settle_due(batch, beside=True)
            size.executable.run(inputs, outputs)
            self._split(number, chunk, outputs)
        except Exception:
            for request, own in zip(chunk, given, strict=True):
                self._run_alone(request, own)
            if not any(request.error for request in chunk):  # so it is the batch that cannot be run
                self.failed(number)
            return
        finally:
            for shelf, view in zip(size.inputs, inputs, strict=False):
                shelf.put(view)
            for shelf, view in zip(size.outputs, outputs, strict=False):
                shelf.put(view)
        ended = self._clock()
        for i, shelf in enumerate(self._inputs):
            if isinstance(given[0][i], View):
                for own in given:
                    shelf.put(own[i])  # type: ignore[arg-type]  # it is of the same kind
        with self._lock:
            self.policy.side_by_side = self._side_by_side
            self.policy.measured(number, ended - began)
            self._work.figures.ran_together([request.queued_at for request in chunk], began, ended)
            batching = self._timeline.batching
            batching.batches += 1
            batching.requests += len(chunk)
            batching.sizes[len(chunk)] = batching.sizes.get(len(chunk), 0) + 1
        for request in chunk:
            request.ready = True

    def _split(self, number: int, chunk: list[Request], outputs: list[View]) -> None:
        """Copy the outputs of each request out of those of the batch."""
        arrays = [self._timeline.host_array(view) for view in outputs]
        rows = [
            array.reshape(number, *shelf.descriptor.shape)
            for array, (_, shelf) in zip(arrays, self._outputs, strict=True)
        ]
        if any(row[0].nbytes > SMALL for row in rows):
            for i, request in enumerate(chunk):
                request.values = []
                for row, (_, shelf) in zip(rows, self._outputs, strict=True):
                    view = shelf.take()
                    request.values.append(Value(shelf, None, view))
                    self._timeline.allocator.write(view, row[i])
            return
        # Small results are copied instead of lent, and very small ones together: nothing keeps a large buffer alive.
        parts = []
        for row in rows:
            if row.nbytes <= SMALL:
                whole = row.copy()
                whole.flags.writeable = False
                parts.append(list(whole))
            else:
                copies = [part.copy() for part in row[: len(chunk)]]
                for copy in copies:
                    copy.flags.writeable = False
                parts.append(copies)
        if len(parts) == 1:
            ((name, _),) = self._outputs
            for request, part in zip(chunk, parts[0], strict=False):  # the padding has no request
                request.result = {name: part}
            return
        names = [name for name, _ in self._outputs]
        for request, *own in zip(chunk, *parts, strict=False):
            request.result = dict(zip(names, own, strict=True))

    def settle_due(self, batch: Batch, *, beside: bool = False) -> None:
        """Settle what `batch` has to settle. May be called again, and on two threads at once.

        With `beside`, another lane does that, if one is asleep. To wake an event loop, a thread lets go of the
        interpreter for a moment, and would get it back only when the loop has handled all of the results.
        """
        if beside and batch.due and self.workers.beside(partial(self.settle_due, batch)):
            return
        for key, (owner, requests) in list(batch.due.items()):
            self._settle(owner, requests)
            batch.due.pop(key, None)  # last, for the sake of interrupts

    def _settle(self, batch: Batch, requests: Sequence[Request]) -> None:
        """Settle requests that were computed, those of each event loop together and there."""
        on_loops: dict[object, tuple[Waiter | Bridge, list[Request]]] = {}
        for request in requests:
            loop = request.loop()
            if loop is None:
                request.settle()
            elif (known := on_loops.get(loop.loop)) is not None:
                known[1].append(request)
            else:
                on_loops[loop.loop] = loop, [request]
        for loop, those in on_loops.values():
            delivery = _Delivery(batch, those)
            if not loop.post(delivery):
                delivery()


def _stack(given: list[Input], batch: Array, number: int) -> None:
    """Copy the inputs `given` into `batch`, one after the other, and the last one again to fill it up.

    Padding must be valid data: other numbers could be indices out of range, or so small that processors take long.
    """
    parts = given if isinstance(given[0], bytes) else [each.array for each in given]  # type: ignore[union-attr]
    missing = parts[-1:] * (number - len(parts))
    first: Any = parts[0]
    if isinstance(batch, np.ndarray) and (isinstance(first, bytes) or first.nbytes <= JOINED):
        memoryview(batch).cast("B")[:] = b"".join([*parts, *missing])  # type: ignore[arg-type]
        return
    rows = batch.reshape(number, *first.shape)
    for i, array in enumerate([*parts, *missing]):
        rows[i] = array
