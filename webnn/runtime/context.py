"""`MLContext`: the device, its timeline, and everything a program does with them.

Spec: https://www.w3.org/TR/webnn/#api-mlcontext
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import AsyncIterable, Callable, Generator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, overload

import numpy as np

from webnn.backends.base import Backend, CompileOptions
from webnn.backends.disk_cache import DiskCache
from webnn.errors import ContextLostError, ValidationError
from webnn.graph.arrays import array_from
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Graph
from webnn.graph.limits import LimitsTable
from webnn.memory.pool import BufferPool, MemoryInfo
from webnn.runtime import checks
from webnn.runtime.graph import MLGraph
from webnn.runtime.limits import OpSupportLimits, op_support_limits
from webnn.runtime.lost import MLContextLostInfo, forget
from webnn.runtime.saving import Draft, SavedGraphs, check_key
from webnn.runtime.stream import Stream
from webnn.runtime.tensor import MLTensor
from webnn.scheduler.lane import ThreadLane
from webnn.scheduler.promise import Promise
from webnn.scheduler.results import Dispatch
from webnn.scheduler.statistics import Statistics
from webnn.scheduler.timeline import Timeline

__all__ = ["MLContext"]

F = TypeVar("F")


class MLContext:
    """A device, and the timeline of what is done on it.

    Made by `ML.create_context`. It can be used at once; awaiting it gives the context itself. It may be used from
    several threads and event loops at the same time.

    As a context manager, sync or async, it is destroyed at the end of the block. One that is forgotten is destroyed
    when nobody refers to it or to its tensors any more, or at exit.
    """

    def __init__(
        self,
        backend: Backend,
        options: CompileOptions,
        *,
        lanes: int,
        memory_budget: int | None,
        cache_dir: str | os.PathLike[str] | None = None,
        disk: DiskCache | None = None,
    ) -> None:
        self._backend = backend
        self._compile_options = options
        self._disk = disk
        self._limits = backend.support_limits()
        self._lost_message: str | None = None
        self._lost: Promise[MLContextLostInfo] = Promise()
        lost = weakref.ref(self._lost)
        self._build_lane = ThreadLane("webnn-build")
        self._saved = SavedGraphs(cache_dir)
        self._timeline = Timeline(
            BufferPool(backend.allocator, memory_budget), [ThreadLane(f"webnn-lane-{i}") for i in range(lanes)]
        )
        # What is destroyed with the context. Under the lock either an object is in its set before the context is lost,
        # or whoever adds it finds the context lost. Reentrant for finalizers, which may run at any allocation.
        self._lock = threading.RLock()
        self._graphs: weakref.WeakSet[MLGraph] = weakref.WeakSet()
        self._tensors: weakref.WeakSet[MLTensor] = weakref.WeakSet()
        self._finalizer = weakref.finalize(self, forget, self._timeline, self._build_lane, self._graphs, lost)

    # What it is.

    @property
    def backend(self) -> str:
        """The name of the backend that runs its graphs."""
        return self._backend.name

    @property
    def accelerated(self) -> bool:
        """Whether a GPU or NPU runs its graphs."""
        return self._backend.device_type != "cpu"

    @property
    def lost(self) -> Promise[MLContextLostInfo]:
        """Resolves, with a message, when the context is destroyed or its device is gone."""
        return self._lost

    def op_support_limits(self) -> OpSupportLimits:
        """What this context's backend supports, with the specification's keys.

        Each operator maps its operands to `{"dataTypes": [...], "rankRange": {"min": ..., "max": ...}}`. What is listed
        works; what is not is refused at the builder's call.

        >>> import webnn
        >>> with webnn.ML().create_context() as context:
        ...     context.op_support_limits()["conv2d"]["input"]
        {'dataTypes': ['float32', 'float16'], 'rankRange': {'min': 4, 'max': 4}}

        Spec: https://www.w3.org/TR/webnn/#api-mlcontext-opsupportlimits
        """
        return op_support_limits(self._limits, self._backend.preferred_input_layout)

    def memory_info(self) -> MemoryInfo:
        """The bytes that tensors and results hold now (`in_use`), that are kept for reuse (`idle`), and the peak."""
        self._timeline.tidy()
        return self._timeline.pool.info()

    def statistics(self) -> Statistics:
        """What the timeline has done so far: runs inline and on lanes, dropped dispatches, and what is queued."""
        return self._timeline.statistics

    # Making things.

    def create_graph_builder(self) -> MLGraphBuilder[MLGraph]:
        """A builder for one graph of this context; `webnn.MLGraphBuilder(context)` in other words."""
        return MLGraphBuilder(self)

    def create_tensor(
        self,
        shape: Sequence[int] | MLOperandDescriptor | Mapping[str, Any],
        data_type: DataType | None = None,
        *,
        readable: bool = False,
        writable: bool = False,
    ) -> MLTensor:
        """A tensor on this context's device, which reads as zeros until something is written.

        Args:
            shape: the dimensions, each at least 1; or a whole descriptor, then without `data_type`.
            data_type: the type of each element.
            readable: allow `read_tensor`.
            writable: allow `write_tensor`.

        Raises:
            ValidationError: the descriptor is not valid.
            OperationError: the tensor alone exceeds what is left of the memory budget.
            ContextLostError: the context is destroyed.

        Spec: https://www.w3.org/TR/webnn/#api-mlcontext-createtensor
        """
        self.check_not_lost()
        descriptor, readable, writable = checks.tensor_arguments(shape, data_type, readable, writable)
        if self._timeline.pool.budget is not None:
            self._timeline.tidy()
            self._timeline.pool.check(self._timeline.pool.shelf(descriptor).size)
        return self._keep(MLTensor(self, descriptor, readable=readable, writable=writable, constant=False))

    @overload
    def create_constant_tensor(self, data: Any, /) -> MLTensor: ...
    @overload
    def create_constant_tensor(self, descriptor: MLOperandDescriptor | Mapping[str, Any], data: Any, /) -> MLTensor: ...
    @overload
    def create_constant_tensor(self, shape: Sequence[int], data_type: DataType, data: Any, /) -> MLTensor: ...
    def create_constant_tensor(self, *args: Any) -> MLTensor:
        """A tensor for `MLGraphBuilder.constant`, whose bytes are copied now and never change.

        - `create_constant_tensor(array)`
        - `create_constant_tensor(descriptor, data)`, the specification's form
        - `create_constant_tensor(shape, data_type, data)`

        Raises:
            ValidationError: the data does not fit the descriptor.
            OperationError: the memory budget does not hold it.
            ContextLostError: the context is destroyed.

        Spec: https://www.w3.org/TR/webnn/#api-mlcontext-createconstanttensor
        """
        self.check_not_lost()
        descriptor, array = checks.constant_arguments(args)
        tensor = MLTensor(self, descriptor, readable=False, writable=False, constant=True)
        self._timeline.write(tensor, array)
        return self._keep(tensor)

    def _keep(self, tensor: MLTensor) -> MLTensor:
        with self._lock:
            self.check_not_lost()
            self._tensors.add(tensor)
        return tensor

    def compile(self, graph: Graph, check: Callable[[], None] | None = None) -> MLGraph:
        """Start compiling what a builder has built, after `check`; for `MLGraphBuilder.build`."""
        result = MLGraph(self, graph, check)
        with self._lock:
            self.check_not_lost()
            self._graphs.add(result)
        self._build_lane.wake(result._compile)
        return result

    # Doing things.

    def write_tensor(self, tensor: MLTensor, data: Any) -> None:
        """Make `tensor` hold `data`. The bytes are taken at the call: what happens to `data` afterwards is no matter.

        Reads and dispatches that were made before still see what the tensor held then, so there is nothing to wait
        for.

        Args:
            tensor: a writable tensor of this context.
            data: an array (`__dlpack__`, `__array__`), a buffer or nested lists, of the tensor's type and shape; or
                the elements in row-major order, as raw bytes or one-dimensional.

        Raises:
            ValidationError: the tensor is not writable, destroyed or of another context; the data does not fit.
            OperationError: the memory budget does not hold a second value beside one that is still in use.
            ContextLostError: the context is destroyed.

        Spec: https://www.w3.org/TR/webnn/#api-mlcontext-writetensor
        """
        if tensor.__class__ is not MLTensor or tensor._context is not self or tensor._destroyed or not tensor._writable:
            checks.check_tensor(self, "write_tensor", tensor, "writable")
        descriptor = tensor.descriptor
        if data.__class__ is not np.ndarray or data.dtype != descriptor.dtype or data.shape != descriptor.shape:
            try:
                data = array_from(data, descriptor)
            except ValidationError as error:
                raise ValidationError(f"write_tensor: {error}") from None
        self._timeline.write(tensor, data)

    @overload
    def read_tensor(self, tensor: MLTensor) -> Promise[np.ndarray[Any, Any]]: ...
    @overload
    def read_tensor(self, tensor: MLTensor, out: F) -> Promise[F]: ...
    def read_tensor(self, tensor: MLTensor, out: Any = None) -> Promise[Any]:
        """What `tensor` holds at this moment in the order of calls.

        Args:
            tensor: a readable tensor of this context.
            out: where the bytes shall go: a writable, C-contiguous array of the tensor's type and shape (NumPy's, or
                any other with `__dlpack__` in host memory), or a writable buffer; of a larger one the first bytes are
                filled. It may be filled at any time until the promise settles.

        Returns:
            A promise of `out` if it was given; else of an array that is read-only and was not copied: it is the
            value's own memory, which nobody will write again and which is given back when the array is gone.

        Raises:
            ValidationError: the tensor is not readable, destroyed or of another context; `out` does not fit.
            ContextLostError: the context is destroyed.

        Spec: https://www.w3.org/TR/webnn/#api-mlcontext-readtensor
        """
        if tensor.__class__ is not MLTensor or tensor._context is not self or tensor._destroyed or not tensor.readable:
            checks.check_tensor(self, "read_tensor", tensor, "readable")
        if out is None:
            return self._timeline.read(tensor)
        target = checks.writable_array(out, tensor.descriptor)
        promise = self._timeline.read(tensor, target)
        return promise if target is out else promise.then(lambda _: out)

    def dispatch(self, graph: MLGraph, inputs: Mapping[str, MLTensor], outputs: Mapping[str, MLTensor]) -> Dispatch:
        """Queue a run of `graph` on what `inputs` hold now; `outputs` hold its results from now on.

        It queues at the call and does not wait for anything. Awaiting what it returns waits for room in the queue, so
        a loop that does never queues more than can be worked off. For the end of the work, read an output, or
        `await handle.finished()`. What goes wrong on the device is raised where a result is read.

        Args:
            graph: a graph of this context.
            inputs: a tensor for each of the graph's inputs, of its type and shape.
            outputs: likewise for its outputs. No tensor may appear twice, in `inputs` and `outputs` together.

        Raises:
            ValidationError: a name is missing or unknown; a tensor does not fit, appears twice, is destroyed, a
                constant tensor, or of another context; the graph is of another context.
            InvalidStateError: the graph is destroyed.
            OperationError: the memory budget does not hold the outputs.
            ContextLostError: the context is destroyed.

        Spec: https://www.w3.org/TR/webnn/#api-mlcontext-dispatch
        """
        if graph.__class__ is not MLGraph or graph._context is not self or graph._destroyed:
            checks.check_graph(self, "dispatch", graph)
        try:
            names = []
            for name, key in graph._input_keys:
                tensor = inputs[name]
                if tensor._home is not self or tensor.key != key:
                    raise KeyError
                names.append(tensor)
            results = []
            for name, key in graph._output_keys:
                tensor = outputs[name]
                if tensor._home is not self or tensor.key != key:
                    raise KeyError
                results.append(tensor)
            count = len(names) + len(results)
            if count != len(inputs) + len(outputs) or count != len({*names, *results}):
                raise KeyError
        except (LookupError, TypeError, AttributeError):
            checks.refuse_dispatch(self, graph, inputs, outputs)
        return self._timeline.dispatch(graph._work, names, results)

    def run(self, graph: MLGraph, inputs: Mapping[str, Any]) -> Promise[dict[str, np.ndarray[Any, Any]]]:
        """Run `graph` on arrays, without tensors of one's own: `outputs = await context.run(graph, {"x": frame})`.

        Args:
            graph: a graph of this context.
            inputs: data for each of the graph's inputs, as `write_tensor` takes it; the bytes are taken at the call.

        Returns:
            A promise of the outputs by name, as `read_tensor` gives them.

        Raises:
            As `write_tensor` and `dispatch` do.
        """
        given = checks.feeds(self, "run", graph, inputs)
        return self._timeline.run(graph._work, given, graph._output_shelves)  # type: ignore[return-value]

    def compute(self, graph: MLGraph, inputs: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
        """Run `graph` on arrays and wait for the outputs, blocking this thread; `run` is the one for event loops.

        Where nothing else is queued the graph runs on this very thread.
        """
        given = checks.feeds(self, "compute", graph, inputs)
        return self._timeline.run(graph._work, given, graph._output_shelves, here=True).result()  # type: ignore[return-value]

    def stream(
        self,
        graph: MLGraph,
        source: Iterable[Any] | AsyncIterable[Any],
        *,
        depth: int = 4,
        before: Callable[[Any], Mapping[str, Any]] | None = None,
        after: Callable[[dict[str, np.ndarray[Any, Any]]], Any] | None = None,
    ) -> Stream:
        """Run `graph` on everything that `source` yields, results in order: `async for outputs in context.stream(...)`.

        While one item is computed the next ones are taken from the source and prepared. With a source that is not
        async, a plain `for` works too.

        Args:
            graph: a graph of this context.
            source: any iterable or async iterable of what `run` takes as inputs. What it raises is raised after the
                results of the items before; it is closed when the stream ends, however it ends.
            depth: how many items may be under way at once, at least 1.
            before: called with each item, gives the inputs.
            after: called with each run's outputs, gives the result.

        Raises:
            ValidationError: `depth` is less than 1, or `source` is not iterable.
        """
        checks.check_graph(self, "stream", graph)

        def run(item: Any) -> Promise[Any]:
            return self._timeline.run(graph._work, checks.feeds(self, "stream", graph, item), graph._output_shelves)

        return Stream(run, source, depth=depth, before=before, after=after)

    # Graphs that are kept between programs.

    def save_graph(self, key: str, graph: MLGraph) -> Promise[None]:
        """Keep `graph` under `key`, for `load_graph` in this program or another one; what was there is replaced.

        It is written in the background, to the folder that `create_context(cache_dir=...)` says. Other processes see it
        whole or not at all. What is kept is the graph and its weights: any backend can load it.

        Args:
            key: not empty.
            graph: a graph of this context.

        Raises:
            ValidationError: the key is empty; the graph is of another context.
            InvalidStateError: the graph is destroyed.
            OSError: (where the promise is awaited) it could not be written.

        Explainer: https://github.com/webmachinelearning/webnn/blob/main/cache-explainer.md
        """
        check_key("save_graph", key)
        checks.check_graph(self, "save_graph", graph)
        kept = graph._graph
        return self._saved.submit(lambda store: store.save(key, kept))

    def load_graph(self, key: str) -> MLGraph:
        """The graph that was saved under `key`, compiled in the background: usable at once, and awaitable.

        Its `inputs` and `outputs` are known when this returns. Its weights are read in the background, and compared
        with their checksum before they are used: a damaged entry is removed, and awaiting the graph, or reading what
        it computes, raises `DataError`.

        Raises:
            ValidationError: there is no such graph.
            DataError: it is damaged; it has been removed.
            NotSupportedError: this context's backend cannot run it; it stays where it is.
            ContextLostError: the context is destroyed.
        """
        self.check_not_lost()
        check_key("load_graph", key)
        try:
            saved = self._saved.store.load(key, Draft(self._limits))
        except ValidationError as error:
            raise ValidationError(f"load_graph: {error}") from None
        return self.compile(saved.graph, saved.check)

    def list_graphs(self) -> Promise[list[str]]:
        """The keys of all graphs that are saved, sorted."""
        self.check_not_lost()
        return self._saved.submit(lambda store: store.keys())

    def delete_graph(self, key: str) -> Promise[None]:
        """Remove the graph that was saved under `key`, if there is one. Graphs that were loaded from it go on."""
        self.check_not_lost()
        check_key("delete_graph", key)
        return self._saved.submit(lambda store: store.delete(key))

    # The end.

    def destroy(self) -> None:
        """Give everything back.

        What is queued is cancelled, what is running ends, what is pending is rejected with `ContextLostError`, and
        `lost` resolves. Arrays that were read stay valid. Calling again is fine.

        Spec: https://www.w3.org/TR/webnn/#api-mlcontext-destroy
        """
        self._lose("destroy() was called")

    def _lose(self, message: str) -> None:
        with self._lock:
            if self._lost_message is not None:
                return
            self._lost_message = f"the context was lost: {message}"
            graphs, tensors = list(self._graphs), list(self._tensors)
        error = ContextLostError(self._lost_message)
        self._finalizer.detach()
        for graph in graphs:
            graph._cancellation.cancel()
        self._timeline.destroy(error)
        for graph in graphs:
            graph._lose(error)
        for tensor in tensors:
            tensor.destroy()
        self._timeline.pool.trim()
        self._build_lane.close(wait=False)
        self._saved.lose(error)
        self._lost.resolve(MLContextLostInfo(message))

    def check_not_lost(self) -> None:
        """Raise `ContextLostError` when the context is lost."""
        if self._lost_message is not None:
            raise ContextLostError(self._lost_message)

    @property
    def limits(self) -> LimitsTable:
        """The limits that builders validate against; `op_support_limits` says them in the specification's words."""
        return self._limits

    def __await__(self) -> Generator[Any, Any, Self]:
        self.check_not_lost()
        return self
        yield  # (makes this a generator, which is what awaiting takes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.destroy()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.destroy()

    def __repr__(self) -> str:
        return f"<MLContext on {self.backend}{' (lost)' if self._lost_message is not None else ''}>"
