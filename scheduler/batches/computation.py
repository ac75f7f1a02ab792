"""The computation of a batch on a lane: in one run or more, in the sizes that pay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from webnn.backends.base import Ending, Executable
from webnn.forking import Hold
from webnn.graph.quick_dataclass import dataclass
from webnn.memory.buffer import View
from webnn.memory.lease import SMALL
from webnn.memory.pool import Shelf
from webnn.scheduler.batches.batch import Batch
from webnn.scheduler.batches.request import Input, Request
from webnn.scheduler.batches.settling import settle
from webnn.scheduler.batches.under_way import UnderWay
from webnn.scheduler.batching import Batching
from webnn.scheduler.execution import LONG
from webnn.scheduler.failures import explained, forget_frames, tell_if_lost
from webnn.scheduler.task import Work
from webnn.scheduler.value import Value
from webnn.scheduler.workers import Workers

if TYPE_CHECKING:
    from webnn.scheduler.timeline import Timeline

__all__ = ["JOINED", "NARROW", "Batched", "Computation", "Size"]

Array = np.ndarray[Any, Any]

NARROW: Final = 250_000
"""Nanoseconds of a request alone below which batches have one thread. The event loop's own work for so small requests
takes as long as their computation, and needs the other core."""
JOINED: Final = 16 * 1024
"""Bytes of an input up to which it is joined with others by a copy more. NumPy lets other threads run after each copy
of more than 500 elements. While an event loop is busy, each of those would cost the lane a turn of that loop."""


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


@dataclass(frozen=True, slots=True)
class Batched:
    """A graph whose requests are batched, and what its batcher and its computation use of the timeline.

    Attributes:
        timeline: runs the batches.
        work: the graph's own work, for requests that run by themselves.
        lock: the timeline's lock.
        workers: the lanes.
        inputs: the shelves of the inputs of one request.
        outputs: the names and shelves of its outputs.
        compile: starts to compile a size in the background, for one thread if the second argument is True, and returns
            at once. It ends with `Computation.compiled` or `failed`.
        clock: the time in nanoseconds.
    """

    timeline: Timeline
    work: Work
    lock: Hold
    workers: Workers
    inputs: Sequence[Shelf]
    outputs: Sequence[tuple[str, Shelf]]
    compile: Callable[[int, bool], None]
    clock: Callable[[], int]


class Computation:
    """Computes the batches of one graph.

    Args:
        batched: the graph.
        policy: chooses the sizes.
    """

    def __init__(self, batched: Batched, policy: Batching) -> None:
        self._timeline = batched.timeline
        self._work = batched.work
        self._lock = batched.lock
        self._policy = policy
        self._workers = batched.workers
        self._inputs = batched.inputs
        self._outputs = batched.outputs
        self._compile = batched.compile
        self._clock = batched.clock
        self._sizes: dict[int, Size] = {}

    # Sizes.

    def compiled(self, size: int, compiled: Size) -> None:
        """`size` has been compiled."""
        with self._lock:
            self._sizes[size] = compiled
            self._policy.compiled(size)

    def failed(self, size: int) -> None:
        """`size` could not be compiled."""
        with self._lock:
            self._policy.failed(size)

    # On a lane.

    def compute(self, batch: Batch) -> None:
        """Run all requests of `batch`, in one run or more."""
        policy = self._policy
        with self._lock:
            waiting = [request for request in batch.requests if request.inputs]
            waiting.reverse()  # taken from the end
            wanted = policy.gathered(len(waiting), compares=self.compares) if waiting else None
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
                    self.settle_due(batch, beside=_calls_back(batch))
                    for request, own in zip(chunk, inputs, strict=True):
                        self._run_alone(request, own, is_last=not waiting and request is chunk[-1])
                else:
                    self._run_together(batch, number, size, chunk, inputs, is_last=not waiting)
                batch.due[id(chunk)] = batch, chunk
        finally:
            with self._lock:
                unused = [number for number in self._sizes if number not in policy.usable]
                for number in unused:
                    del self._sizes[number]

    def _run(
        self,
        executable: Executable,
        requests: Sequence[Request],
        inputs: list[View],
        outputs: list[View],
        *,
        cost: float,
        is_last: bool,
    ) -> None:
        """Compute `requests`, which are expected to take `cost` nanoseconds.

        Raises:
            CancelledError: all of them were given up meanwhile.
        """
        ending: Ending | None = None
        if cost >= LONG:
            batch, renaming = requests[0].batch, self._timeline._renaming
            with self._lock:
                ending = executable.ending()
                if ending is not None:
                    batch.under_way = UnderWay(requests, ending, is_last=is_last)
                    renaming.work_off_discarded()
                    batch.under_way.look()  # for those that were given up before
        if ending is None:
            executable.run(inputs, outputs)
            return
        try:
            executable.run_until(inputs, outputs, ending)
        finally:
            batch.under_way = None

    def _ended_early(self, requests: Sequence[Request], error: Exception) -> bool:
        """Whether `error` says that the run of `requests` has ended since all were given up. They count as dropped."""
        if not isinstance(error, CancelledError) or not all(request.is_given_up for request in requests):
            return False
        with self._lock:
            for request in requests:
                request.batch.drop(request)
        return True

    def _run_alone(self, request: Request, given: Sequence[Input], *, is_last: bool) -> None:
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
            self._run(executable, (request,), inputs, outputs, cost=self._policy.alone_cost, is_last=is_last)
        except Exception as error:
            for (_, shelf), view in zip(self._outputs, outputs, strict=False):
                shelf.put(view)
            forget_frames(error)
            if self._ended_early((request,), error):
                self.give_back(inputs)
                return
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
                self._policy.measured(1, ended - began)
                self._work.figures.ran_together([request.queued_at], began, ended)
        request.ready = True

    def _run_together(
        self,
        batch: Batch,
        number: int,
        size: Size,
        chunk: list[Request],
        given: list[list[Input]],
        *,
        is_last: bool,
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
            self._run(size.executable, chunk, inputs, outputs, cost=self._policy.cost(number), is_last=is_last)
            self._split(number, chunk, outputs)
        except Exception as error:
            if self._ended_early(chunk, error):
                for own in given:
                    self.give_back(own)
                return
            for request, own in zip(chunk, given, strict=True):
                self._run_alone(request, own, is_last=is_last and request is chunk[-1])
            if all(request.ready and request.error is None for request in chunk):  # it is the batch that cannot be run
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
            self._policy.side_by_side = self._side_by_side
            self._policy.measured(number, ended - began)
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
                values = []
                for row, (_, shelf) in zip(rows, self._outputs, strict=True):
                    view = shelf.take()
                    values.append(Value(shelf, None, view))
                    self._timeline.allocator.write(view, row[i])
                request.values = values  # when they are written: a promise that is cancelled gives them back at once
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
        results: list[dict[str, Array]] = [{} for _ in chunk]
        for (name, _), part in zip(self._outputs, parts, strict=True):
            for result, each in zip(results, part, strict=False):  # the padding has no request
                result[name] = each
        for request, result in zip(chunk, results, strict=True):
            request.result = result

    def settle_due(self, batch: Batch, *, beside: bool = False) -> None:
        """Settle what `batch` has to settle. May be called again, and on two threads at once.

        With `beside`, another lane does that, if one is asleep. To wake an event loop, a thread lets go of the
        interpreter for a moment, and would get it back only when the loop has handled all of the results. A callback
        of the program may even wait for what the caller is about to compute, so a lane is added for it if need be.
        """
        if (
            beside
            and batch.due
            and self._workers.beside(partial(self.settle_due, batch), adds=lambda: _calls_back(batch))
        ):
            return
        for key, (owner, requests) in list(batch.due.items()):
            settle(owner, requests)
            batch.due.pop(key, None)  # last, for the sake of interrupts

    @property
    def is_compared(self) -> bool:
        """Whether it was measured how long a run on one core takes, beside others."""
        widths = self._work.widths
        return widths is not None and widths.narrow_cost > 0

    @property
    def compares(self) -> bool:
        """Whether that is not known, but can be measured."""
        return self._can_be_side_by_side and not self.is_compared

    @property
    def _can_be_side_by_side(self) -> bool:
        """Whether requests that are not gathered may be run on one core each, and are not too small to tell."""
        widths = self._work.widths
        alone = min(self._policy.alone_cost, self._work.cost)
        return widths is not None and not widths.refusal and alone >= NARROW

    @property
    def _side_by_side(self) -> float:
        """Nanoseconds for each request if they were not gathered; infinity where they are too small to tell."""
        if not self._can_be_side_by_side:
            return float("inf")
        widths, alone, cores = self._work.widths, self._policy.alone_cost, self._timeline.width.cores
        assert widths is not None
        narrow = widths.narrow_cost or alone * widths.speedup(cores)
        return narrow / max(1, min(self._workers.count, cores))

    def give_back(self, inputs: Sequence[Input]) -> None:
        """The inputs of a request are not needed any more."""
        for shelf, each in zip(self._inputs, inputs, strict=False):
            if isinstance(each, View):
                shelf.put(each)


def _calls_back(batch: Batch) -> bool:
    """Whether settling what `batch` has to settle calls code of the program, which may wait."""
    return any(request.calls_back for _, requests in list(batch.due.values()) for request in requests)


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
