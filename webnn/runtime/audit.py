"""`context.audit`: a sample of a graph's runs is done again on another backend, when the device is idle.

The executable of the graph is wrapped while the audit goes on. A sampled run copies its inputs and outputs; the
comparison is made on a thread of the audit, which waits for an idle moment first.
"""

from __future__ import annotations

import logging
import random
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import partial
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from webnn.backends.base import Cancellation, CompileOptions, Ending, Executable
from webnn.backends.registry import backend_named
from webnn.errors import ContextLostError, MLError, OperationError, ValidationError
from webnn.forking import reentrant_lock
from webnn.graph.arguments import described, number, shown
from webnn.graph.unpicklable import Unpicklable
from webnn.memory.buffer import View
from webnn.runtime.suspects import Array, Function, Side, first_wrong, worst
from webnn.scheduler.lane import ThreadLane
from webnn.scheduler.promise import Promise, abandon, reject, resolve

if TYPE_CHECKING:
    from webnn.runtime.graph import MLGraph

__all__ = ["Audit", "AuditFinding", "begun"]

BACKLOG: Final = 4
"""Samples that wait for their comparison at most; runs that would be sampled beyond it are not."""
PATIENCE: Final = 1.0
"""Seconds for which a comparison waits for an idle moment at most."""
INTERVAL: Final = 0.01
"""Seconds between two looks at whether the device is idle."""

_log = logging.getLogger("webnn")


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """A run whose results another backend does not confirm."""

    output: str
    """The output of the graph that was off; the worst one of several."""
    error: float
    """How far it was off: see `MLContext.audit`."""
    tolerance: float
    """The largest error that was allowed."""
    operator: str
    """The first operator whose result is off; empty if the parts of the graph, compiled by themselves, are right."""
    label: str
    """The label of that operator."""
    operator_error: float
    """How far the result of that operator is off."""
    backend: str
    """The backend of the context."""
    reference: str
    """The backend that it was compared with."""

    def __str__(self) -> str:
        where = f"[{self.label}] {self.operator}" if self.label else self.operator
        cause = (
            f"{where} is the first operator that is off, by {self.operator_error:.3g}"
            if self.operator
            else "its parts are right when they are compiled by themselves"
        )
        return (
            f"{self.backend} and {self.reference} differ by {self.error:.3g} in the output {self.output!r},"
            f" {self.tolerance:.3g} is allowed: {cause}"
        )


@dataclass(frozen=True, slots=True)
class _Sample:
    inputs: Sequence[Array]
    outputs: Sequence[Array]


class Audit(Unpicklable):
    """Compares a sample of a graph's runs with another backend's results. Made by `MLContext.audit`.

    It goes on until `stop`, the end of its `with` block, its first finding or the end of the context.
    """

    _why_unpicklable: ClassVar[str] = "it belongs to a context of this process; send its finding"

    def __init__(self, graph: MLGraph, rate: float, reference: str, tolerance: float | None) -> None:
        device = graph._device
        self._graph = weakref.ref(graph)
        self._ir = graph._graph
        self._timeline = weakref.ref(device.timeline)
        self._allocator = device.pool.allocator
        self._suspect = Side(device.backend, graph._options)
        self._reference = Side(backend_named(reference), CompileOptions())
        self._rate = rate
        self._tolerance = tolerance
        self._random = random.Random()
        self._lock = reentrant_lock()  # around the counts and the samples
        self._samples: deque[_Sample] = deque()
        self._function: Function | None = None
        self._cancellation = Cancellation()
        self._waiting: weakref.WeakSet[Promise[None]] = weakref.WeakSet()
        self._is_open = True
        self._error: MLError | None = None
        self._lane = ThreadLane("webnn-audit")
        self.finding: AuditFinding | None = None
        """The first result that was off; None as long as there is none. It is also logged as a warning."""
        self.runs = 0
        """Runs of the graph since the audit began. Batches and merged replays are not counted, and never sampled."""
        self.checked = 0
        """Sampled runs that were compared."""
        self.skipped = 0
        """Runs that were chosen, but not sampled, since comparisons were behind."""
        device.on_lost(_if_alive(self._lost))
        device.on_forked(_if_alive(self._forked))

    # Around the executable.

    def around(self, executable: Executable) -> Executable:
        """`executable`, with samples taken of its runs."""
        return _Sampled(executable, self)

    def chosen(self) -> bool:
        """Whether the run that begins is sampled. The first one always is."""
        with self._lock:
            self.runs += 1
            if not self._is_open or not (self.runs == 1 or self._random.random() < self._rate):
                return False
            if len(self._samples) >= BACKLOG:
                self.skipped += 1
                return False
            return True

    def copies(self, views: Sequence[View]) -> list[Array] | None:
        """The values of `views` in host memory of their own; None if they cannot be copied, which ends the audit."""
        try:
            return [self._allocator.host_array(view).copy() for view in views]
        except MLError as error:  # not an error of the run
            self._fail(error)
            return None

    def take(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        """Compare a run later."""
        with self._lock:
            if not self._is_open:
                return
            self._samples.append(_Sample(inputs, outputs))
            self._lane.wake(self._compare)  # under the lock, so that `stop` closes the lane behind it

    # On the audit's thread.

    def _compare(self) -> bool:
        with self._lock:
            sample = self._samples.popleft() if self._samples else None
        if sample is None:
            return False
        try:
            self._wait_for_idle()
            self._judge(sample)
        except CancelledError:
            pass
        except BaseException as error:  # whoever waits for the audit is told
            self._fail(error)
        else:
            self.checked += 1
        return True

    def _wait_for_idle(self) -> None:
        end = time.monotonic() + PATIENCE
        while (timeline := self._timeline()) is not None and time.monotonic() < end:
            figures = timeline.statistics
            del timeline
            if not figures.running and not figures.queued:
                return
            self._cancellation.checkpoint()
            time.sleep(INTERVAL)

    def _judge(self, sample: _Sample) -> None:
        graph = self._ir
        if self._function is None:
            self._function = self._reference.compiled(graph, self._cancellation)
        feeds = dict(zip(graph.inputs, sample.inputs, strict=True))
        expected = self._function(feeds)
        pairs = dict(zip(graph.outputs.values(), zip(sample.outputs, expected, strict=True), strict=True))
        off = worst(pairs, self._tolerance)
        if off is None:
            return
        found = first_wrong(
            graph,
            feeds,
            self._suspect,
            self._reference,
            tolerance=self._tolerance,
            cancellation=self._cancellation,
        )
        (output,) = [name for name, operand in graph.outputs.items() if operand is off.operand][:1]
        node, inner = found or (None, None)
        self.finding = AuditFinding(
            output,
            off.error,
            off.tolerance,
            "" if node is None else node.op,
            "" if node is None else node.label,
            0.0 if inner is None else inner.error,
            self._suspect.backend.name,
            self._reference.backend.name,
        )
        _log.warning("audit: %s", self.finding)
        self._end()

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, ContextLostError):
            self._error = error
        else:
            reference = self._reference.backend.name
            self._error = OperationError(f"audit: the runs cannot be compared with {reference}: {described(error)}")
            self._error.__cause__ = error
        _log.warning("%s", self._error)
        self._end()

    def _settle(self, promise: Promise[None]) -> None:
        if self._error is not None:
            reject(promise, self._error)
        else:
            resolve(promise, None)

    # For the program.

    def compared(self) -> Promise[None]:
        """Settles when every run that was sampled so far has been compared.

        Raises:
            OperationError: the other backend cannot compile or run the graph; the message says why.
        """
        promise: Promise[None] = Promise()
        self._waiting.add(promise)
        if not self._lane.call(partial(self._settle, promise)):  # nothing was sampled, or all is done
            self._settle(promise)
        return promise

    def stop(self) -> None:
        """Take no more samples. Those that were taken are still compared."""
        with self._lock:
            self._is_open = False
        if (graph := self._graph()) is not None:
            graph._unwrap(self.around)
        self._lane.call(partial(self._lane.close, wait=False))

    def _end(self) -> None:
        self.stop()
        with self._lock:
            self._samples.clear()

    def _lost(self, _: ContextLostError) -> None:
        self._cancellation.cancel()
        self._end()

    def _forked(self, error: ContextLostError) -> None:
        for promise in list(self._waiting):
            abandon(promise, error)

    def __del__(self) -> None:
        if (lane := getattr(self, "_lane", None)) is not None:
            lane.close(wait=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if kind is None:
            self.compared().result()

    def __repr__(self) -> str:
        verdict = self.finding or self._error or "nothing found"
        return f"<Audit of {self.runs} runs, {self.checked} compared: {verdict}>"


class _Sampled(Executable):
    """An executable whose runs an audit may sample."""

    def __init__(self, executable: Executable, audit: Audit) -> None:
        super().__init__(executable.inputs, executable.outputs, executable.byte_length, in_place=executable.in_place)
        self.executable = executable
        self.audit = audit

    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        self._run(inputs, outputs, partial(self.executable.run, inputs, outputs))

    def ending(self) -> Ending | None:
        return self.executable.ending()

    def run_until(self, inputs: Sequence[View], outputs: Sequence[View], ending: Ending) -> None:
        self._run(inputs, outputs, partial(self.executable.run_until, inputs, outputs, ending))

    def _run(self, inputs: Sequence[View], outputs: Sequence[View], run: Callable[[], None]) -> None:
        if not self.audit.chosen():
            run()
            return
        given = self.audit.copies(inputs)  # before: an output may take over the memory of an input
        run()  # raises if it is ended early: then there is nothing to compare
        made = self.audit.copies(outputs)
        if given is not None and made is not None:
            self.audit.take(given, made)


def _if_alive(method: Callable[[ContextLostError], None]) -> Callable[[ContextLostError], None]:
    """`method` as a callback that does not keep its object alive."""
    reference = weakref.WeakMethod(method)

    def call(error: ContextLostError) -> None:
        if (alive := reference()) is not None:
            alive(error)

    return call


def begun(graph: MLGraph, rate: Any, backend: Any, tolerance: Any) -> Audit:
    """An audit that goes on from now on; see `MLContext.audit`."""
    share = float(number("audit: rate", rate))
    if not 0 < share <= 1:
        raise ValidationError(f"audit: rate must be above 0 and at most 1, got {shown(rate)}")
    if not isinstance(backend, str):
        raise ValidationError(f"audit: backend must be a name, got {shown(backend)}")
    own = graph._device.backend.name
    if backend == own:
        raise ValidationError(
            f"audit: backend must be another one than the context's own, which is {own!r} too;"
            " webnn.available_backends() lists the others"
        )
    if tolerance is not None and not 0 <= float(number("audit: tolerance", tolerance)) < inf:
        raise ValidationError(f"audit: tolerance must be finite and not negative, got {shown(tolerance)}")
    audit = Audit(graph, share, backend, None if tolerance is None else float(tolerance))
    graph._wrap(audit.around)
    return audit
