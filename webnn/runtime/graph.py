"""`MLGraph`: a graph that is compiled in the background for a context.

Spec: https://www.w3.org/TR/webnn/#api-mlgraph
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from webnn.backends.base import Backend, Cancellation, CompileOptions, Executable
from webnn.backends.session_cache import Entry, session_cache
from webnn.errors import ContextLostError, InvalidStateError, MLError, OperationError, ValidationError
from webnn.forking import import_lock, reentrant_lock
from webnn.graph.arguments import described, shown
from webnn.graph.batching import why_not_separable
from webnn.graph.composites.composite import expanded
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.donation import graph_donations
from webnn.graph.explanation import Explanation
from webnn.graph.in_place import pair_numbers
from webnn.graph.ir import Graph
from webnn.graph.other_names import GRAPH
from webnn.graph.placement import OperatorPlacement
from webnn.graph.rewrites import Rewrite
from webnn.graph.spelling import named_elsewhere
from webnn.graph.unpicklable import Unpicklable
from webnn.memory.lease import SMALL
from webnn.runtime.batch_sizes import BatchSizes
from webnn.runtime.device import Device
from webnn.runtime.narrow import Around, NarrowExecutable
from webnn.runtime.saving import SAVERS, registered
from webnn.scheduler.batches import Batcher
from webnn.scheduler.promise import Promise, abandon, reject, resolve
from webnn.scheduler.statistics import GraphFigures
from webnn.scheduler.task import MergedWork, Work
from webnn.scheduler.width import Widths

if TYPE_CHECKING:
    from webnn.runtime.views import View

__all__ = ["MLGraph", "compiling"]

_log = logging.getLogger("webnn")


@named_elsewhere(GRAPH)
class MLGraph(Unpicklable):
    """An immutable graph, compiled in the background.

    Made by `MLGraphBuilder.build`. It can be dispatched at once; awaiting it waits for the compilation, gives the
    graph itself, and raises `OperationError` if the backend could not compile it.

    A graph lives until `destroy()`, until its context is destroyed, or until its last reference is gone. Runs that were
    queued before then still complete.
    """

    _why_unpicklable: ClassVar[str] = (
        "it is compiled for a device of this process. Keep it with graph.save(path) or context.save_graph(key, graph),"
        " send the path or the key, and load it with a context of the process that uses it"
    )

    def __init__(
        self,
        context: object,
        device: Device,
        graph: Graph,
        check: Callable[[], None] | None = None,
        *,
        options: CompileOptions | None = None,
        dispatches: int = 1,
    ) -> None:
        self._context = context  # opaque here, and alive as long as its graphs
        self._device = device
        self._graph = graph
        self._check = check
        self._options = device.options if options is None else options
        self._destroyed = False
        self._lock = reentrant_lock()  # around `_entry`, which is released once; reentrant for finalizers
        self._entry: Entry | None = None
        self._backend = device.backend
        self._executable: Executable | None = None
        self._narrow: NarrowExecutable | None = None
        self._resting: NarrowExecutable | None = None
        self._around: Around | None = None
        self._cancellation = Cancellation()
        self._compiled: Promise[None] = Promise()
        pool = device.pool
        self._input_shelves = [(name, pool.shelf(operand.descriptor)) for name, operand in graph.inputs.items()]
        self._output_shelves = [(name, pool.shelf(operand.descriptor)) for name, operand in graph.outputs.items()]
        self._is_small = 1 <= len(self._input_shelves) <= 2 and len(self._output_shelves) == 1
        # The plan of `checks.feeds`.
        self._feeds = [
            (name, shelf, shelf.descriptor.dtype, shelf.descriptor.shape) for name, shelf in self._input_shelves
        ]
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
        self._explanation: Explanation | None = None
        self._in_place: Sequence[tuple[int, int]] | None = None
        self._batch_sizes: BatchSizes | None = None
        self._batcher: Batcher | None = None
        """Gathers the runs of the graph, if the context batches and the graph is separable."""

    @property
    def inputs(self) -> Mapping[str, MLOperandDescriptor]:
        """The data type and shape of each input, by name."""
        return self._graph.input_descriptors

    @property
    def outputs(self) -> Mapping[str, MLOperandDescriptor]:
        """The data type and shape of each output, by name."""
        return self._graph.output_descriptors

    @property
    def label(self) -> str:
        """Its name in statistics and traces, "inputs -> outputs" at first. May be set to any other text."""
        return self._figures.label

    @label.setter
    def label(self, label: str) -> None:
        if not isinstance(label, str):
            raise ValidationError(f"label: a text is expected, got {shown(label)}")
        self._figures.label = label

    @property
    def backend(self) -> str:
        """The backend that runs it now: the context's own, or `meanwhile` until the context's own has compiled it."""
        return self._backend.name

    @property
    def context(self) -> Any:
        """The `MLContext` that it runs on."""
        return self._context

    if not TYPE_CHECKING:

        def __call__(self, *_: object, **__: object) -> NoReturn:  # noqa: D102
            raise TypeError(
                f"{self!r} is not callable: write context.compute(graph, inputs), or await context.run(graph, inputs);"
                " webnn.Model(path) makes a callable model"
            )

    def explain(self) -> Explanation:
        """How the runtime runs this graph, which optimizations it cannot make, and why; print it to read it.

        It says which inputs can be *donated*: where a dispatch is the last use of an input's value, its memory can
        become that of an output, which an operator then writes in place. A tensor may be named both as such an input
        and as its output. It says whether several runs can be executed together, with `max_batch`. It lists the
        operators by label: where each runs, as the runtime has assigned it, in which data types, and whether it is one
        operator of the runtime or composed of several. The call compiles and runs nothing; the operators are listed
        once the graph is compiled.

        >>> import numpy as np, webnn
        >>> with webnn.ML().create_context() as context:
        ...     builder = context.create_graph_builder()
        ...     cache = builder.input("cache", [128, 64], "float32")
        ...     row, at = builder.input("row", [1, 64], "float32"), builder.input("at", [1, 1], "int32")
        ...     graph = builder.build({"next": builder.scatter_nd(cache, at, row, label="store")})
        ...     zeros = {name: np.zeros(each.shape, each.dtype) for name, each in graph.inputs.items()}
        ...     _ = context.compute(graph, zeros)
        ...     print(graph.explain())
        donation of inputs whose last use is the dispatch:
          cache -> next (written in place by [store] scatter_nd)
          row: no, no output has its data type and shape
          at: no, no output has its data type and shape
        batches of several runs: no, [store] scatter_nd has indices that count from the start of dimension 0
        operators:
          [store] scatter_nd: CPUExecutionProvider, int32 and float32, composed by Clip, Cast, ScatterND
        """
        if self._explanation is None:
            donations = graph_donations(self._graph, self._device.backend.in_place)
            self._explanation = Explanation(donations, why_not_separable(self._graph))
        # A new one, since it refers to the graph.
        return replace(self._explanation, find=self._placements, find_rewrites=self._rewrites)

    def _placements(self) -> list[OperatorPlacement] | None:
        with self._lock:  # both change together when another backend takes over
            backend, entry = self._backend, self._entry
        if entry is None:
            return None
        return backend.placements(self._graph_for(backend), entry.executable, self._options)

    def _rewrites(self) -> list[Rewrite]:
        backend = self._backend
        return backend.rewrites(self._graph_for(backend))

    def _graph_for(self, backend: Backend) -> Graph:
        return self._graph if backend is self._device.backend else expanded(self._graph, backend.composites)

    def _may_share(self, inputs: Sequence[object], outputs: Sequence[object]) -> bool:
        """Whether every tensor that occurs twice is an input and the output that can take over its memory."""
        if self._in_place is None:
            donations = graph_donations(self._graph, self._device.backend.in_place)
            self._in_place = pair_numbers(self._graph, donations.pairs)
        shared = 0
        for i, j in self._in_place:
            if inputs[i] is outputs[j]:
                shared += 1
        return len({*inputs}) == len(inputs) and len({*inputs, *outputs}) == len(inputs) + len(outputs) - shared

    def save(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Write the graph to a file. The suffix of the path chooses the format.

        - `.onnx`: standard ONNX. More than a megabyte of weights goes into `NAME.onnx.data` beside it.
        - `.mlpackage`: a folder with an ML Program for Core ML (iOS 17, macOS 14 and later), and its weights. It needs
          the package coremltools. uint8, int8 and int64 inputs and outputs are int32 there, and scalars are [1].
        - `.webnn`, `.json`: the graph's text or JSON form, with the weights beside it. `weights="safetensors"`, the
          default, makes `STEM.safetensors`; `weights="blob"` makes `STEM.weights` with `STEM.manifest.json`.
        - `.js`: a JavaScript module that builds and runs the graph in a browser, with TypeScript declarations
          (`STEM.d.ts`, `webnn.d.ts`) and weights (`STEM.safetensors`) beside it.
        - `.html`: a page that needs nothing else, and tests the graph in the browser that opens it. `inputs` and
          `outputs` are the values of the test. The defaults are random inputs, from `seed`, and the outputs of the
          default backend. Floating-point outputs may differ by `tolerance` (1e-3) of the largest element.

        Each file appears whole, and replaces an earlier file of its name.

        Raises:
            ValidationError: no format has this suffix or this option, or the graph has a name that is not possible in
                the format. Nothing is written then.
            NotSupportedError: the format cannot express an operator.
            InvalidStateError: the graph is destroyed.
            OSError: a file cannot be written.
        """
        self._check_not_destroyed("save")
        path = Path(path)
        saver = SAVERS.get(path.suffix.lower())
        if saver is None:
            raise ValidationError(f"save: the suffix must be one of {', '.join(sorted(SAVERS))}, got {str(path)!r}")
        save = registered(saver)
        try:
            signature(save).bind(self._graph, path, **options)
        except TypeError as error:
            raise ValidationError(f"save: {path.suffix}: {error}") from None
        save(self._graph, path, **options)

    def view(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        beside: MLGraph | None = None,
        target: str | Sequence[str] = (),
        open: bool = False,
    ) -> View:
        """The graph as one HTML page that needs nothing else, as `webnn view` draws it; a notebook shows it.

        The page shows the costs and shapes of every operator, folds blocks, searches, and saves the drawing as SVG.

        Args:
            path: a file to write the page to.
            beside: another graph, such as the result of `webnn.fit`; operators that differ are marked.
            target: a target of `webnn.check`, or several: operators that it refuses are marked with the reason.
            open: show the page in the browser of this desktop.

        Raises:
            NotSupportedError: no target has that name, or several have.
            InvalidStateError: the graph is destroyed.
            OSError: the file cannot be written.
        """
        self._check_not_destroyed("view")
        made: View = registered("webnn.view.views:view")(self, path, beside=beside, target=target, open=open)
        return made

    def _repr_html_(self) -> str | None:
        """The form that notebooks show; None for a destroyed graph, which they then write as text."""
        if self._destroyed:
            return None
        shown: str | None = registered("webnn.view.views:notebook_view")(self)
        return shown

    def _check_not_destroyed(self, what: str) -> None:
        if self._destroyed:
            self._device.check_not_lost()
            raise InvalidStateError(f"{what}: {self!r} was destroyed")

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

    def destroy(self) -> None:
        """Release its resources. A compilation that is under way is cancelled. Calling it again is fine.

        Spec: https://www.w3.org/TR/webnn/#api-mlgraph-destroy
        """
        if not self._destroyed:
            self._destroyed = True
            if not self._compiled.done() or self._backend is not self._device.backend:
                self._cancellation.cancel()
            if not self._compiled.done():
                self._fail(self._work, InvalidStateError("the graph was destroyed before it was compiled"))
            self._let_go()

    def __await__(self) -> Generator[Any, Any, MLGraph]:
        yield from self._compiled.__await__()
        if self._destroyed:
            self._device.check_not_lost()
            raise InvalidStateError(f"{self!r} was destroyed")
        return self

    def _compile(self) -> bool:
        """Compile, on the build lane. Returns False, since there is nothing more to do."""
        if self._cancellation.cancelled or self._destroyed:
            return False
        device, graph = self._device, self._graph
        if self._check is not None:
            try:
                self._check()
            except BaseException as error:  # the waiters are on other threads, and get it from their promises
                self._fail(self._work, _explained(error, f"saved graph {self.label} could not be read"))
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
        return self._compile_for_device()

    def _compile_for_device(self) -> bool:
        if self._cancellation.cancelled or self._destroyed:
            return False
        device, work, graph = self._device, self._work, self._graph
        began = time.perf_counter_ns()
        try:
            entry = device.compile(graph, self._options, self._cancellation)
        except BaseException as error:
            self._trace_compilation(began, described(error))
            if not self._cancellation.cancelled:  # otherwise the code that cancelled it has rejected the promises
                self._fail(work, _explained(error, f"{device.backend.name} backend could not compile {self.label}"))
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
        if device.max_batch > 1 and device.pool.allocator.is_host and why_not_separable(graph) is None:
            inputs = [shelf for _, shelf in self._input_shelves]
            self._batch_sizes = BatchSizes(device, graph, work, inputs, self._output_shelves)
            self._batcher = self._batch_sizes.batcher
        self._use(device.backend, entry, entry.executable)
        return False

    def _use(self, backend: Backend, entry: Entry, executable: Executable) -> None:
        """Run `executable` from now on, and tell those who wait for one. `entry` is released with the graph."""
        with self._lock:
            work = self._work
            before, self._entry = self._entry, entry
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
        if self._entry is not None:  # of the backend that runs it meanwhile
            if self._destroyed:
                return
            _log.warning("%r goes on running on the %s backend: %s", self, self.backend, error)
            return
        work.error = error
        self._device.timeline.compiled(work)
        reject(self._compiled, error)

    def _stop(self) -> None:
        """Cancel the compilations that are under way."""
        self._cancellation.cancel()
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
        # Queued tasks still have the work. Ending a session can take a while, so the last reference to it goes on the
        # build lane, where no caller waits for it.
        with self._lock:
            held: list[Any] = [self._entry, (self._narrow, self._resting), self._work]
            if self._entry is None:
                return
            forget = partial(self._device.timeline.forget, self._work)
            self._entry, self._executable, self._work = None, None, Work(0)
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
        if getattr(self, "_entry", None) is not None:
            self._let_go()

    def __repr__(self) -> str:
        state = " (destroyed)" if self._destroyed else ""
        return f"<MLGraph {list(self.inputs)} -> {list(self.outputs)}{state}>"


def _explained(error: BaseException, what: str) -> MLError:
    if isinstance(error, MLError):
        return error
    explained = OperationError(f"the {what}: {described(error)}")
    explained.__cause__ = error
    return explained


def _release(held: list[Any]) -> None:
    entry, others, _work, *sizes = held
    held.clear()
    for other in others:
        if other is not None:
            other.release()
    session_cache.release(entry)
    for each in sizes:
        each.close()


def compiling(context: object, device: Device, graph: Graph, check: Callable[[], None] | None = None) -> MLGraph:
    """`graph` for `context`; the build thread calls `check`, and compiles it."""
    result = MLGraph(context, device, graph, check)
    device.register(result)
    device.build_lane.wake(result._compile)
    return result
