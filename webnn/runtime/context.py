"""`MLContext`: creates tensors and graphs on a device, and runs graphs there.

Spec: https://www.w3.org/TR/webnn/#api-mlcontext
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, overload

import numpy as np

from webnn.backends.base import Backend, CompileOptions, DeviceInfo
from webnn.errors import ValidationError
from webnn.forking import import_lock
from webnn.graph.arrays import array_from
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import DataTypeLike
from webnn.graph.ir import Graph
from webnn.graph.limits import LimitsTable
from webnn.graph.other_names import CONTEXT
from webnn.graph.spelling import explained, named_elsewhere
from webnn.graph.unpicklable import Unpicklable
from webnn.runtime import checks
from webnn.runtime.device import Device, MLContextLostInfo
from webnn.runtime.graph import MLGraph, compiling
from webnn.runtime.merged_chains import merge_chains
from webnn.runtime.observability import Observability
from webnn.runtime.recording import Recording, Recordings
from webnn.runtime.saved_graphs import GraphStorage, SavedGraphs
from webnn.runtime.streaming.calls import Streaming
from webnn.runtime.tensor import MLTensor
from webnn.scheduler.direct import run_here
from webnn.scheduler.promise import Promise
from webnn.scheduler.results import Dispatch

if TYPE_CHECKING:
    from webnn.backends.disk_cache import DiskCache
    from webnn.runtime.limits import OpSupportLimits

__all__ = ["MLContext"]

F = TypeVar("F")


@named_elsewhere(CONTEXT)
class MLContext(Observability, Recording, Streaming, SavedGraphs, Unpicklable):
    """A device and its timeline: the order in which writes, dispatches and reads take effect.

    Made by `ML.create_context`. It can be used at once; awaiting it gives the context itself. It may be used from
    several threads and event loops at the same time.

    As a context manager, sync or async, it is destroyed at the end of the block. Without one, and without `destroy`,
    it is destroyed when the last reference to it, its graphs and its tensors is gone, or at exit.
    """

    _why_unpicklable: ClassVar[str] = (
        "it stands for a device, threads and memory of this process. Send arrays, or the path of the model, and make"
        " the context in the process that uses it, with webnn.create_context()"
    )

    def __init__(
        self,
        backend: Backend,
        options: CompileOptions,
        *,
        lanes: int,
        memory_budget: int | None,
        cache_dir: str | os.PathLike[str] | None = None,
        disk: DiskCache | None = None,
        meanwhile: Backend | None = None,
        max_batch: int = 1,
        max_delay: float = 0.0,
        merge: bool = True,
    ) -> None:
        self._device = Device(
            backend,
            options,
            lanes=lanes,
            memory_budget=memory_budget,
            disk=disk,
            meanwhile=meanwhile,
            max_batch=max_batch,
            max_delay=max_delay,
        )
        self._timeline = self._device.timeline
        if merge and max_batch == 1:
            merge_chains(self._device)
        self._recordings: Recordings = {}
        self._storage = GraphStorage(cache_dir)
        self._device.on_lost(self._storage.lose)
        self._device.on_forked(self._storage.forked)

    # Its properties.

    @property
    def backend(self) -> str:
        """The name of the backend that runs its graphs."""
        return self._device.backend.name

    @property
    def accelerated(self) -> bool:
        """Whether a GPU or NPU runs its graphs.

        This describes the device that `create_context` chose. It is False on a machine without an accelerator, even
        with `accelerated=True`.
        """
        return self.device.type != "cpu"

    @property
    def device(self) -> DeviceInfo:
        """The device that runs its graphs: the type, its name, and what runs graphs there.

        >>> import webnn
        >>> with webnn.create_context() as context:
        ...     print(context.device.type, context.device.provider)
        cpu CPUExecutionProvider

        `graph.explain()` says which operators of a graph do not run there.
        """
        return self._device.info

    @property
    def lost(self) -> Promise[MLContextLostInfo]:
        """Resolves, with a message, when the context is destroyed or its device is gone."""
        return self._device.lost

    def op_support_limits(self) -> OpSupportLimits:
        """The data types and ranks that this context's backend supports, with the specification's keys.

        Each operator maps its operands to `{"dataTypes": [...], "rankRange": {"min": ..., "max": ...}}`. The builder
        raises an error for every operand that is not listed.

        >>> import webnn
        >>> with webnn.create_context() as context:
        ...     context.op_support_limits()["conv2d"]["input"]
        {'dataTypes': ['float32', 'float16'], 'rankRange': {'min': 4, 'max': 4}}

        Spec: https://www.w3.org/TR/webnn/#api-mlcontext-opsupportlimits
        """
        with import_lock:  # here, since most programs do not ask
            from webnn.runtime.limits import op_support_limits  # noqa: PLC0415

        return op_support_limits(self._device.limits, self._device.backend.preferred_input_layout)

    # Creation.

    def create_graph_builder(self) -> MLGraphBuilder[MLGraph]:
        """A builder for one graph of this context; the same as `webnn.MLGraphBuilder(context)`."""
        return MLGraphBuilder(self)

    @overload
    def create_tensor(
        self, shape: Sequence[int], data_type: DataTypeLike, *, readable: bool = False, writable: bool = False
    ) -> MLTensor: ...
    @overload
    def create_tensor(
        self,
        shape: MLOperandDescriptor | Mapping[str, Any] | np.ndarray[Any, Any],
        *,
        readable: bool = False,
        writable: bool = False,
    ) -> MLTensor: ...
    @explained
    def create_tensor(
        self, shape: Any, data_type: DataTypeLike | None = None, *, readable: bool = False, writable: bool = False
    ) -> MLTensor:
        """A tensor on this context's device. It reads as zeros until it is written.

        Args:
            shape: the dimensions, each at least 1; or a whole descriptor, without `data_type`; or an array, without
                `data_type`, for a tensor of its type and shape that holds a copy of its elements.
            data_type: the type of each element.
            readable: allow `read_tensor`.
            writable: allow `write_tensor`.

        Raises:
            ValidationError: the descriptor is not valid.
            OperationError: the tensor exceeds what is left of the memory budget.
            ContextLostError: the context is destroyed.

        Spec: https://www.w3.org/TR/webnn/#api-mlcontext-createtensor
        """
        self.check_not_lost()
        descriptor, array, readable, writable = checks.tensor_arguments(shape, data_type, readable, writable)
        if self._timeline.pool.budget is not None:
            self._timeline.tidy()
            self._timeline.pool.check(self._timeline.pool.shelf(descriptor).size)
        tensor = self._registered(descriptor, readable=readable, writable=writable, constant=False)
        if array is not None:
            self._timeline.write(tensor._name, array)
        return tensor

    @overload
    def create_constant_tensor(self, data: Any, /) -> MLTensor: ...
    @overload
    def create_constant_tensor(self, descriptor: MLOperandDescriptor | Mapping[str, Any], data: Any, /) -> MLTensor: ...
    @overload
    def create_constant_tensor(self, shape: Sequence[int], data_type: DataTypeLike, data: Any, /) -> MLTensor: ...
    def create_constant_tensor(self, *args: Any) -> MLTensor:
        """A tensor for `MLGraphBuilder.constant`. Its bytes are copied at the call and never change.

        - `create_constant_tensor(array)`
        - `create_constant_tensor(descriptor, data)`, the specification's form
        - `create_constant_tensor(shape, data_type, data)`

        Raises:
            ValidationError: the data does not fit the descriptor.
            OperationError: it exceeds the memory budget.
            ContextLostError: the context is destroyed.

        Spec: https://www.w3.org/TR/webnn/#api-mlcontext-createconstanttensor
        """
        self.check_not_lost()
        descriptor, array = checks.constant_arguments(args)
        tensor = self._registered(descriptor, readable=False, writable=False, constant=True)
        self._timeline.write(tensor._name, array)
        return tensor

    def _registered(
        self, descriptor: MLOperandDescriptor, *, readable: bool, writable: bool, constant: bool
    ) -> MLTensor:
        tensor = MLTensor(self, self._device, descriptor, readable=readable, writable=writable, constant=constant)
        self._device.register(tensor)
        return tensor

    def compile(self, graph: Graph, check: Callable[[], None] | None = None) -> MLGraph:
        """Start to compile a graph, after `check`; for `MLGraphBuilder.build`."""
        return compiling(self, self._device, graph, check)

    # Running.

    def write_tensor(self, tensor: MLTensor, data: Any) -> None:
        """Write `data` to `tensor`. The bytes are copied at the call, so `data` may change afterwards.

        Reads and dispatches that were made earlier still see the earlier value, so a write never waits for them.

        Args:
            tensor: a writable tensor of this context.
            data: an array (`__dlpack__`, `__array__`), a buffer or nested lists, of the tensor's type and shape; or
                the elements in row-major order, as raw bytes or one-dimensional.

        Raises:
            ValidationError: the tensor is not writable, destroyed or of another context; the data does not fit.
            OperationError: a second value, beside the one that is still in use, exceeds the memory budget.
            ContextLostError: the context is destroyed.

        Spec: https://www.w3.org/TR/webnn/#api-mlcontext-writetensor
        """
        if (
            tensor.__class__ is not MLTensor
            or tensor._device is not self._device
            or tensor._destroyed
            or not tensor._writable
        ):
            checks.check_tensor(self._device, "write_tensor", tensor, "writable")
        if self._recordings:
            checks.check_not_recording(self._recordings, "write_tensor")
        descriptor = tensor.descriptor
        if data.__class__ is not np.ndarray or data.dtype is not descriptor.dtype or data.shape != descriptor.shape:
            try:
                data = array_from(data, descriptor)
            except ValidationError as error:
                raise ValidationError(f"write_tensor: {error}") from None
        self._timeline.write(tensor._name, data)

    @overload
    def read_tensor(self, tensor: MLTensor) -> Promise[np.ndarray[Any, Any]]: ...
    @overload
    def read_tensor(self, tensor: MLTensor, out: F) -> Promise[F]: ...
    def read_tensor(self, tensor: MLTensor, out: Any = None) -> Promise[Any]:
        """The value of `tensor` at this point in the order of calls.

        Args:
            tensor: a readable tensor of this context.
            out: the destination: a writable, C-contiguous array of the tensor's type and shape (NumPy's, or any other
                with `__dlpack__` in host memory), or a writable buffer. If it is larger, its first bytes are filled.
                It may be filled at any time until the promise settles.

        Returns:
            A promise of `out` if it was given. Otherwise a promise of a read-only array over the value's own memory:
            nothing is copied, the bytes never change, and the memory is given back when the array is gone. To change
            an element, copy the array first: `array.copy()`.

        Raises:
            ValidationError: the tensor is not readable, destroyed or of another context; `out` does not fit.
            ContextLostError: the context is destroyed.

        Spec: https://www.w3.org/TR/webnn/#api-mlcontext-readtensor
        """
        if (
            tensor.__class__ is not MLTensor
            or tensor._device is not self._device
            or tensor._destroyed
            or not tensor.readable
        ):
            checks.check_tensor(self._device, "read_tensor", tensor, "readable")
        if self._recordings:
            checks.check_not_recording(self._recordings, "read_tensor")
        if out is None:
            return self._timeline.read(tensor._name)
        target = checks.writable_array(out, tensor.descriptor)
        promise = self._timeline.read(tensor._name, target)
        return promise if target is out else promise.then(lambda _: out)

    def lend_tensor(self, tensor: MLTensor) -> Promise[Any]:
        """Lend the value of `tensor` at this point in the order of calls to other libraries, without a copy.

        `torch.from_dlpack(await context.lend_tensor(tensor))` is a tensor over the same memory on a CUDA device, as is
        `cupy.from_dlpack(...)` and `jax.dlpack.from_dlpack(...)`. Their streams wait for the work that computes the
        value, and nothing is copied. They must not write to it. The memory is given back when their arrays are gone.

        Args:
            tensor: a readable tensor of this context.

        Returns:
            A promise of an object with `__dlpack__`: a read-only NumPy array if the device is the CPU.

        Raises:
            ValidationError: the tensor is not readable, destroyed or of another context.
            ContextLostError: the context is destroyed.
            NotSupportedError: (by the promise) the memory of the device has no addresses, as on WebGPU.
        """
        checks.check_tensor(self._device, "lend_tensor", tensor, "readable")
        if self._recordings:
            checks.check_not_recording(self._recordings, "lend_tensor")
        if self._device.pool.allocator.is_host:
            return self._timeline.read(tensor._name)
        with import_lock:  # here, since most programs lend nothing, or host memory
            from webnn.runtime.lending import Loan  # noqa: PLC0415

        return self._timeline.read(tensor._name, None, Loan)

    def dispatch(self, graph: MLGraph, inputs: Mapping[str, MLTensor], outputs: Mapping[str, MLTensor]) -> Dispatch:
        """Queue a run of `graph` on the values that `inputs` have now. From then on, `outputs` hold its results.

        The call queues the run and does not wait. Awaiting the returned handle waits for room in the queue, so a loop
        that does so never gets too far ahead of the device. To wait for the end of the work, read an output or
        `await handle.finished()`. An error on the device is raised where a result is read.

        Args:
            graph: a graph of this context.
            inputs: a tensor for each of the graph's inputs, of its type and shape.
            outputs: a tensor for each of its outputs. No tensor may appear twice in `inputs` and `outputs` together,
                except as an input and the output that can take over its memory, as `graph.explain()` lists them. That
                is an extension of the specification.

        Raises:
            ValidationError: a name is missing or unknown; a tensor does not fit, appears twice, is destroyed, a
                constant tensor, or of another context; the graph is of another context.
            InvalidStateError: the graph is destroyed.
            OperationError: the outputs exceed the memory budget.
            ContextLostError: the context is destroyed.

        Spec: https://www.w3.org/TR/webnn/#api-mlcontext-dispatch
        """
        device = self._device
        if graph.__class__ is not MLGraph or graph._device is not device or graph._destroyed:
            checks.check_graph(device, "dispatch", graph)
        try:
            names = []
            for name, shelf in graph._input_shelves:
                tensor = inputs[name]
                if tensor._home is not shelf:
                    raise KeyError
                names.append(tensor._name)
            results = []
            for name, shelf in graph._output_shelves:
                tensor = outputs[name]
                if tensor._home is not shelf:
                    raise KeyError
                results.append(tensor._name)
            if len(inputs) != len(names) or len(outputs) != len(results):
                raise KeyError
            if graph._is_small:  # a set takes longer
                x, y, z = names[0], names[-1], results[0]
                repeated = z is x or z is y or (x is y and len(names) == 2)
            else:
                repeated = len({*names, *results}) != len(names) + len(results)
            if repeated and not graph._may_share(names, results):
                raise KeyError
        except (LookupError, TypeError, AttributeError):
            raise checks.dispatch_error(device, graph, inputs, outputs) from None
        if self._recordings and (program := self._recordings.get(checks.recorder())) is not None:
            return program._record(
                graph,
                [inputs[name] for name, _ in graph._input_shelves],
                [outputs[name] for name, _ in graph._output_shelves],
            )
        return self._timeline.dispatch(graph._work, names, results)

    def run(
        self, graph: MLGraph, inputs: Mapping[str, Any] | Any, *, timeout: float | None = None
    ) -> Promise[dict[str, np.ndarray[Any, Any]]]:
        """Run `graph` on arrays, without tensors: `outputs = await context.run(graph, {"x": frame})`.

        A run is dropped when its result can no longer be used: the promise is cancelled, its deadline has passed, or
        its last reference is gone and it has no callback. A run that has begun ends early if the backend can do that.

        Args:
            graph: a graph of this context.
            inputs: data for each of the graph's inputs, as `write_tensor` takes it; the bytes are copied at the call.
                For a graph of one input, its data alone is enough: `context.run(graph, frame)`.
            timeout: seconds after which the promise is rejected with `TimeoutError`; None for no limit.

        Returns:
            A promise of the outputs by name, read-only as those of `read_tensor`: `array.copy()` can be changed.

        Raises:
            As `write_tensor` and `dispatch` do.
        """
        if self._recordings:
            checks.check_not_recording(self._recordings, "run")
        given = checks.feeds(self._device, "run", graph, inputs)
        seconds = None if timeout is None else checks.seconds("run: timeout", timeout)
        batcher = graph._batcher
        if batcher is not None:
            return batcher.run(given, timeout=seconds)
        return self._timeline.run(graph._work, given, graph._output_shelves, timeout=seconds)

    def compute(self, graph: MLGraph, inputs: Mapping[str, Any] | Any) -> dict[str, np.ndarray[Any, Any]]:
        """Run `graph` on arrays and block this thread until the outputs are available. In an event loop, use `run`.

        It takes `inputs` as `run` does. It may run on this thread, where the backend reads the arrays where they are:
        they must not change meanwhile. Runs that took more than half a second leave the main thread to Ctrl-C.

        Returns:
            The outputs by name. The arrays are read-only: `array.copy()` can be changed.

        Raises:
            As `run` does.
        """
        if self._recordings:
            checks.check_not_recording(self._recordings, "compute")
        given = checks.feeds(self._device, "compute", graph, inputs)
        if graph._asked is not None:
            graph._compile_here()
        batcher = graph._batcher
        if batcher is not None:
            promise: Promise[dict[str, np.ndarray[Any, Any]]] = batcher.run(given, here=True)
        elif (direct := run_here(self._timeline, graph._work, given, graph._output_shelves)) is not None:
            return direct
        else:
            promise = self._timeline.run(graph._work, given, graph._output_shelves, here=True)
        return promise.result()

    # The end.

    def destroy(self) -> None:
        """Release all memory and threads.

        Queued work is cancelled, running work ends, pending promises are rejected with `ContextLostError`, and `lost`
        resolves. Arrays that were read stay valid. Calling it again is fine.

        Spec: https://www.w3.org/TR/webnn/#api-mlcontext-destroy
        """
        self._device.lose("destroy() was called")

    def check_not_lost(self) -> None:
        """Raise `ContextLostError` when the context is lost."""
        self._device.check_not_lost()

    @property
    def limits(self) -> LimitsTable:
        """The limits that builders validate against. `op_support_limits` gives them in the specification's form."""
        return self._device.limits

    @property
    def composites(self) -> Collection[str]:
        """The composites that the backend takes as they are. See `webnn.graph.composites`."""
        return self._device.backend.composites

    def __await__(self) -> Generator[Any, Any, Self]:
        self.check_not_lost()
        return self
        yield  # unreachable: `await` needs a generator

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
        return f"<MLContext on {self.backend}{' (lost)' if self._device.is_lost else ''}>"
