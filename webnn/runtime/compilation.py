"""The compiled form of a graph: made in the background, exchanged for another one, and released once.

A graph is compiled on the build lane of its device. If the context has a second backend for the time until then, the
graph is compiled for that one first, and on the slow lane for the device. Executables for fewer threads and for batches
are compiled on the slow lane when the scheduler asks for them.

A small graph that a caller blocks for is compiled by that caller, if the lane has not begun: what the import has left
in the processor's caches and in the heap of its thread is at hand there, and no thread has to be woken. So the lane
leaves such a graph alone for a moment, unless something else waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from webnn.backends.base import Backend, Cancellation, CompileOptions, Executable
from webnn.backends.session_cache import Use, session_cache
from webnn.errors import ContextLostError, InvalidStateError, MLError, OperationError
from webnn.forking import import_lock, reentrant_lock
from webnn.graph.arguments import described
from webnn.graph.ir import Graph
from webnn.memory.lease import SMALL
from webnn.runtime.device import Device
from webnn.runtime.narrow import Around, NarrowExecutable
from webnn.scheduler.promise import Promise, abandon, reject, resolve
from webnn.scheduler.statistics import GraphFigures
from webnn.scheduler.task import MergedWork, Work
from webnn.scheduler.width import Widths

if TYPE_CHECKING:
    from webnn.runtime.batch_sizes import BatchSizes
    from webnn.scheduler.batches.batcher import Batcher

__all__ = ["Compilation"]

_log = logging.getLogger("webnn")

GRACE: Final = 0.002
"""Seconds after `build` for which the lane leaves a graph to a caller that may be about to block for it."""
BYTES_HERE: Final = 32 * 1024 * 1024
NODES_HERE: Final = 2000
"""The constants and operators of graphs that callers compile: Ctrl-C waits until onnxruntime has made the session."""


class Compilation:
    """The part of a graph that the device runs.

    Args:
        device: compiles and runs it.
        graph: what to compile.
        check: called before; what it raises is the error of the graph.
        options: the options to compile with; None for those of the device.
        dispatches: how many dispatches of a program the graph stands for.
    """

    def __init__(
        self,
        device: Device,
        graph: Graph,
        check: Callable[[], None] | None,
        options: CompileOptions | None,
        dispatches: int,
    ) -> None:
        self._device = device
        self._graph = graph
        self._check = check
        self._options = device.options if options is None else options
        self._destroyed = False
        self._lock = reentrant_lock()  # around `_used`, which is released once; reentrant for finalizers
        self._used: Use | None = None
        self._backend = device.backend
        self._executable: Executable | None = None
        self._narrow: NarrowExecutable | None = None
        self._resting: NarrowExecutable | None = None
        self._around: Around | None = None
        self._cancellation = Cancellation()
        self._compiled: Promise[None] = Promise()
        self._begun = False
        """Whether a thread has taken the compilation on."""
        self._asked: SimpleQueue[None] | None = SimpleQueue() if self._may_be_compiled_here() else None
        """Of a graph that is left to its callers for a moment: tells the lane that something else waits for it."""
        self._left_until = time.monotonic() + GRACE
        pool = device.pool
        self._input_shelves = [(name, pool.shelf(operand.descriptor)) for name, operand in graph.inputs.items()]
        self._output_shelves = [(name, pool.shelf(operand.descriptor)) for name, operand in graph.outputs.items()]
        sizes = [operand.descriptor.byte_length for operand in graph.outputs.values()]
        self._figures = GraphFigures(
            f"{', '.join(graph.inputs)} -> {', '.join(graph.outputs)}",
            len(graph.nodes),
            input_bytes=sum(operand.descriptor.byte_length for operand in graph.inputs.values()),
            small_bytes=sum(size for size in sizes if size <= SMALL),
        )
        device.timeline.figures.add(self._figures)
        size = sum(shelf.size for _, shelf in self._output_shelves)
        self._work = MergedWork(size, self._figures, dispatches) if dispatches > 1 else Work(size, self._figures)
        self._work.wanted = bool if self._asked is None else partial(self._asked.put, None)
        self._batch_sizes: BatchSizes | None = None
        self._batcher: Batcher | None = None
        """Gathers the runs of the graph, if the context batches and the graph is separable."""

    def _may_be_compiled_here(self) -> bool:
        device, graph = self._device, self._graph
        return (
            device.backend.compiles_on_callers
            and not device.has_prepared_threads
            and device.meanwhile is None
            and device.disk is None  # another process may be compiling it
            and device.max_batch <= 1
            and self._check is None
            and len(graph.nodes) <= NODES_HERE
            and graph.constant_bytes <= BYTES_HERE
        )

    def _take_on(self) -> bool:
        """Whether the calling thread has to compile the graph: no other has begun to."""
        self._hurry()  # if it is not the lane: there is nothing to wait for
        with self._lock:
            is_first, self._begun, self._asked = not self._begun, True, None
            return is_first

    def _hurry(self) -> None:
        """Let the lane wait no longer: something else waits for the graph, or compiles it."""
        if (asked := self._asked) is not None:
            asked.put(None)

    def _compile_in_background(self) -> bool:
        """Compile, on the build lane, unless a caller does. Returns False, since there is nothing more to do."""
        if (asked := self._asked) is not None:
            with suppress(Empty):
                asked.get(timeout=max(0.0, self._left_until - time.monotonic()))
        return self._take_on() and self._compile()

    def _compile_here(self) -> None:
        """Compile on this thread, which is about to block for the graph, if the lane has left it to its callers.

        A signal handler may raise on this thread, at any place and anything. So whatever is raised here, the lane
        compiles the graph again, and its result counts.
        """
        if self._asked is None:
            return
        try:
            if self._take_on():
                self._cancellation.yields = not _only_lanes_run_beside()
                self._compile(here=True)
        except BaseException as error:
            try:
                self._hand_over()
            except BaseException:  # another interrupt
                self._hand_over()
                raise
            if not isinstance(error, Exception):
                raise
            try:
                self._compiled.result()
            except MLError:
                return  # so it was the compilation, and the graph has its error
            # Backends explain what is raised in them.
            raise (error.__cause__ if isinstance(error, OperationError) else None) or error from None

    def _hand_over(self) -> None:
        if not self._compiled.done():
            self._device.build_lane.wake(self._compile)

    def _compile(self, *, here: bool = False) -> bool:
        """Compile, on the build lane, or, with `here`, on a thread that gets what is raised. Returns False."""
        if self._cancellation.cancelled or self._destroyed:
            return False
        device, graph = self._device, self._graph
        if self._check is not None:
            try:
                self._check()
            except BaseException as error:  # the waiters are on other threads, and get it from their promises
                self._fail(self._work, _explained(error, f"saved graph {self._figures.label} could not be read"))
                return False
        if device.meanwhile is not None:
            with import_lock:  # here, since most programs have one backend
                from webnn.runtime.meanwhile import compiled_meanwhile  # noqa: PLC0415

            began = time.perf_counter_ns()
            quick = compiled_meanwhile(device, device.meanwhile, graph, self._cancellation)
            if quick is not None:
                self._trace_compilation(began)
                self._use(device.meanwhile, *quick)
                device.slow_lane.wake(self._compile_for_device)
                return False
        return self._compile_for_device(here=here)

    def _compile_for_device(self, *, here: bool = False) -> bool:
        if self._cancellation.cancelled or self._destroyed:
            return False
        device, work, graph = self._device, self._work, self._graph
        began = time.perf_counter_ns()
        try:
            use = device.compile(graph, self._options, self._cancellation)
        except BaseException as error:
            if here and not (isinstance(error, CancelledError) and self._cancellation.cancelled):
                raise
            self._trace_compilation(began, described(error))
            if not self._cancellation.cancelled:  # otherwise the code that cancelled it has rejected the promises
                self._fail(
                    work, _explained(error, f"{device.backend.name} backend could not compile {self._figures.label}")
                )
            return False
        options = device.backend.narrow_options(graph, self._options)
        if options is not None:
            self._narrow = NarrowExecutable(device, graph, options)
            resting = device.backend.resting_options(graph, self._options)
            if resting is not None:
                self._resting = NarrowExecutable(device, graph, resting)
            # Before the executable, for threads that read both.
            work.widths = Widths(self._narrow.start, None if self._resting is None else self._resting.start)
        self._figures.compile_nanoseconds = time.perf_counter_ns() - began
        self._trace_compilation(began)
        if device.max_batch > 1 and device.pool.allocator.is_host:
            with import_lock:  # here, since most programs batch nothing
                from webnn.graph.batching import why_not_separable  # noqa: PLC0415
                from webnn.runtime.batch_sizes import BatchSizes  # noqa: PLC0415

            if why_not_separable(graph) is None:
                inputs = [shelf for _, shelf in self._input_shelves]
                self._batch_sizes = BatchSizes(device, graph, work, inputs, self._output_shelves)
                self._batcher = self._batch_sizes.batcher
        try:
            self._use(device.backend, use, use.executable)
        except BaseException:  # an interrupt, if this is a caller
            if self._used is not use:
                session_cache.release(use)
            raise
        return False

    def _use(self, backend: Backend, use: Use, executable: Executable) -> None:
        """Run `executable` from now on, and tell those who wait for one. `use` is released with the graph."""
        with self._lock:
            work = self._work
            before, self._used = self._used, use
            self._backend, self._executable = backend, executable
            work.executable = executable
            if self._around is not None:  # given while it was compiled
                self._use_wrapped()
            self._allow_merging()
        self._device.timeline.compiled(work)
        resolve(self._compiled, None)
        if before is not None:
            session_cache.release(before)
        if self._destroyed:  # while it was compiled
            self._let_go()

    def _trace_compilation(self, began: int, error: str = "") -> None:
        if (trace := self._device.timeline.trace) is not None:
            trace.compiled(self._figures, began, error)

    def _fail(self, work: Work, error: MLError) -> None:
        if self._used is not None:  # of the backend that runs it meanwhile
            if self._destroyed:
                return
            _log.warning("%r goes on running on the %s backend: %s", self, self._backend.name, error)
            return
        work.error = error
        self._device.timeline.compiled(work)
        reject(self._compiled, error)

    def _graph_for(self, backend: Backend) -> Graph:
        if backend is self._device.backend:
            return self._graph
        with import_lock:  # here, since most programs have one backend
            from webnn.graph.composites.composite import expanded  # noqa: PLC0415

        return expanded(self._graph, backend.composites)

    # Audits, which run other executables around these.

    def _wrap(self, around: Around) -> None:
        """Run `around(executable)` instead of each executable, until `_unwrap(around)`; for an audit."""
        with self._lock:
            if self._around is not None:
                raise InvalidStateError(f"audit: an audit of {self!r} is going on; stop it first")
            self._around = around
            self._use_wrapped()
            self._device.timeline.forget(self._work)  # a run of a merged chain would pass the audit by

    def _unwrap(self, around: Around) -> None:
        with self._lock:
            if self._around == around:
                self._around = None
                self._use_wrapped()
                self._allow_merging()

    def _use_wrapped(self) -> None:
        executable = self._executable
        if executable is None:
            return
        self._work.executable = executable if self._around is None else self._around(executable)
        for other in (self._narrow, self._resting):
            if other is not None and self._work.widths is not None:
                other.wrap(self._work.widths, self._around)

    def _allow_merging(self) -> None:
        """From now on, runs may be merged with others, on the backend of the device and outside of audits."""
        work, is_own = self._work, self._executable is not None and self._backend is self._device.backend
        if is_own and self._around is None and not isinstance(work, MergedWork):
            work.graph, work.unlooked = self._graph, 0

    # The end.

    def _stop(self) -> None:
        """Cancel the compilations that are under way."""
        self._cancellation.cancel()
        self._hurry()
        self._cancel_others()

    def _cancel_others(self) -> None:
        for other in (self._narrow, self._resting):
            if other is not None:
                other.cancel()

    def _lose(self, error: ContextLostError) -> None:
        """The device is gone."""
        self._destroyed = True
        self._stop()
        reject(self._compiled, error)
        self._let_go()

    def _forked(self, error: ContextLostError) -> None:
        """The device is in the parent process, and so are the threads of the compiled graph, which is not released."""
        self._destroyed = True  # not cancelled: callbacks of the backend may concern the parent
        abandon(self._compiled, error)

    def _let_go(self) -> None:
        self._hurry()  # the lane has other graphs to compile, and sessions to end
        # Queued tasks still have the work. Ending a session can take a while, so the last reference to it goes on the
        # build lane, where no caller waits for it.
        with self._lock:
            held: list[Any] = [self._used, (self._narrow, self._resting), self._work]
            if self._used is None:
                return
            forget = partial(self._device.timeline.forget, self._work)
            self._used, self._executable, self._work = None, None, Work(0)
            # For a dispatch on another thread that found the graph alive a moment ago.
            self._work.error = InvalidStateError(f"{self!r} was destroyed")
            sizes, self._batch_sizes, self._batcher = self._batch_sizes, None, None
        self._cancel_others()
        if sizes is not None:
            held.append(sizes)
        lane = self._device.build_lane
        if not (lane.call(forget) and lane.call(partial(_release, held))):
            _release(held)

    def __del__(self) -> None:
        if getattr(self, "_used", None) is not None:
            self._let_go()


def _only_lanes_run_beside() -> bool:
    """Whether no other thread of Python is the program's own: none then wants the interpreter while this one waits."""
    this = threading.current_thread()
    return all(thread is this or thread.name.startswith("webnn-") for thread in threading.enumerate())


def _explained(error: BaseException, what: str) -> MLError:
    if isinstance(error, MLError):
        return error
    explained = OperationError(f"the {what}: {described(error)}")
    explained.__cause__ = error
    return explained


def _release(held: list[Any]) -> None:
    use, others, _work, *sizes = held
    held.clear()
    for other in others:
        if other is not None:
            other.release()
    session_cache.release(use)
    for each in sizes:
        each.close()
