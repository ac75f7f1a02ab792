"""The CUDA backend, and on it one for TensorRT: onnxruntime's execution providers of these names.

Never run on a device yet: see docs/devices.md. The parts that need none (options, lifetimes, the order of copies and
runs) are tested on a stand-in for the CUDA runtime.

Both need `onnxruntime-gpu`, which takes the place of `onnxruntime`. TensorRT compiles what it can of a graph, and the
CUDA provider runs the rest; `graph.explain()` says which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from webnn.backends.base import Backend, Cancellation, CompileOptions, DeviceInfo, DeviceType, Executable
from webnn.backends.cuda.library import CudaLibrary
from webnn.backends.cuda.memory import CudaAllocator
from webnn.backends.cuda.options import CUDA, TENSORRT, cuda_options, device_number, engine_folder, tensorrt_options
from webnn.backends.cuda.stream import Stream, stream_of
from webnn.backends.onnx.lower import lower
from webnn.backends.onnx.portable import PortableKernels
from webnn.backends.providers.placement import assigned_nodes, placements
from webnn.backends.providers.sessions import onnxruntime, provider_missing, refusal, session
from webnn.backends.user_cache import cache_folder
from webnn.errors import MLError, NotSupportedError, OperationError
from webnn.graph.ir import Graph
from webnn.graph.placement import OperatorPlacement
from webnn.memory.allocator import Allocator
from webnn.memory.buffer import View

__all__ = ["CudaBackend", "CudaExecutable", "OnnxRuntimeTensorRtBackend"]

KEPT: Final = 128
"""The bindings that an executable keeps. A loop over more combinations of buffers binds again in every run."""
_INSTALL: Final = "install onnxruntime-gpu in its place, in an environment of its own"


@dataclass(slots=True)
class CudaExecutable(Executable):
    """Runs a session on the stream of its device, on buffers that are bound by their addresses."""

    session: Any = None
    stream: Stream | None = None
    input_names: Sequence[str] = ()
    output_names: Sequence[str] = ()
    captures: bool = False
    """Whether each combination of buffers is captured as a CUDA graph, and then launched as one."""
    weights: Sequence[Any] = ()
    """The weights as onnxruntime was given them: parts on the CPU read them in place."""
    milliseconds: float = inf
    """What the last run took on the device."""
    _bindings: dict[tuple[int, ...], tuple[Any, Any]] = field(default_factory=dict)
    """Binding and run options by the addresses; what was used last comes last. A run takes its binding out."""
    _graphs: int = 0
    """The number of the last CUDA graph."""

    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        """Queue the run, and wait for it if it is long; see `Stream`."""
        stream = self.stream
        assert stream is not None
        key = tuple(view.array.address for view in (*inputs, *outputs))
        bound = self._bindings.pop(key, None)
        binding, options = self._bound(stream, inputs, outputs) if bound is None else bound

        def launch() -> None:
            self.session.run_with_iobinding(binding, options)

        try:
            stream.run(launch, (inputs, outputs), self.milliseconds, self._measured)
        except MLError:
            raise
        except Exception as error:  # onnxruntime's exceptions have no common base
            stream.cuda.check(stream.handle)
            raise OperationError(f"onnxruntime: {error}") from error
        self._bindings[key] = binding, options
        if len(self._bindings) > KEPT:
            with suppress(RuntimeError, StopIteration, KeyError):  # another thread was faster
                del self._bindings[next(iter(self._bindings))]

    def _measured(self, milliseconds: float) -> None:
        self.milliseconds = milliseconds

    def _bound(self, stream: Stream, inputs: Sequence[View], outputs: Sequence[View]) -> tuple[Any, Any]:
        binding, device = self.session.io_binding(), stream.cuda.device
        for name, view in zip(self.input_names, inputs, strict=True):
            array = view.array
            binding.bind_input(name, "cuda", device, array.dtype, array.shape, array.address)
        for name, view in zip(self.output_names, outputs, strict=True):
            array = view.array
            binding.bind_output(name, "cuda", device, array.dtype, array.shape, array.address)
        options = onnxruntime().RunOptions()
        # The end of a run is an event on the stream, for which no thread of the host has to wait.
        options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        if self.captures:
            self._graphs += 1
            options.add_run_config_entry("gpu_graph_id", str(self._graphs))
        return binding, options


class CudaBackend(Backend):
    """onnxruntime's CUDA provider, in float32 as it is.

    `create_context(backend="cuda", backend_options={"device_id": "1"})`. The options are those of the provider:
    https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html
    """

    name: ClassVar[str] = "cuda"
    device_type: DeviceType = "gpu"
    provider: ClassVar[str] = CUDA

    def __init__(self) -> None:
        self._device = 0

    @classmethod
    def unavailable(cls) -> str | None:
        """Why there is no such provider, or no device."""
        reason = provider_missing(cls.provider, _INSTALL)
        if reason is not None:
            return reason
        try:
            return None if CudaLibrary().count() else "CUDA found no device"
        except MLError as error:
            return str(error)

    def check_options(self, options: Mapping[str, str]) -> None:
        """Try the options with a session of two operators, which must be assigned to the provider."""
        self._device = device_number(options)
        reason = refusal(self.provider, lambda model: self._session(model, options, capture=False))
        if reason is not None:
            raise NotSupportedError(f"create_context: {self.provider} refuses {dict(options)}: {reason}")

    def device(self, options: Mapping[str, str]) -> DeviceInfo:
        """The GPU, as NVIDIA calls it."""
        return DeviceInfo("gpu", stream_of(device_number(options)).cuda.name(), self.provider)

    @property
    def allocator(self) -> Allocator:
        """Memory of the device."""
        device = self._device

        def allocate(size: int) -> Any:
            return onnxruntime().OrtValue.ortvalue_from_shape_and_type([size], np.uint8, "cuda", device)

        return CudaAllocator(stream_of(device), allocate)

    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """Lower to standard ONNX, and make a session of it."""
        model = lower(graph, PortableKernels(), cancellation.checkpoint)
        serialized = model.finish().SerializeToString()
        own = dict(options.backend)
        weights = {name: onnxruntime().OrtValue.ortvalue_from_numpy(each) for name, each in model.external.items()}
        made = self._session(serialized, own, capture=options.repeated, weights=weights, cancellation=cancellation)
        captures = options.repeated and all(provider == self.provider for _, provider in assigned_nodes(made))
        if options.repeated and not captures:  # it cannot be captured in parts
            made = self._session(serialized, own, capture=False, weights=weights, cancellation=cancellation)
        return CudaExecutable(
            inputs=list(graph.input_descriptors.items()),
            outputs=list(graph.output_descriptors.items()),
            byte_length=graph.constant_bytes,
            session=made,
            stream=stream_of(device_number(own)),
            input_names=list(model.input_names.values()),
            output_names=list(model.output_names.values()),
            captures=captures,
            weights=list(weights.values()),
        )

    def placements(self, graph: Graph, executable: Executable, options: CompileOptions) -> list[OperatorPlacement]:
        """What each provider has taken."""
        assert isinstance(executable, CudaExecutable)
        model = lower(graph, PortableKernels())
        model.finish()
        return placements(model, assigned_nodes(executable.session))

    def _session(
        self,
        serialized: bytes,
        options: Mapping[str, str],
        *,
        capture: bool,
        weights: Mapping[str, Any] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Any:
        settings = onnxruntime().SessionOptions()
        if weights:
            settings.add_external_initializers(list(weights), list(weights.values()))
        (provider, own), *fallback = self._providers(options, stream_of(device_number(options)), capture=capture)
        try:
            return session(serialized, provider, own, settings=settings, fallback=fallback, cancellation=cancellation)
        except CancelledError:
            raise
        except OperationError as error:
            raise OperationError(f"{self.name}: {error}") from error

    def _providers(
        self, options: Mapping[str, str], stream: Stream, *, capture: bool
    ) -> list[tuple[str, Mapping[str, str]]]:
        """The providers with their options, in the order in which they take operators."""
        return [(CUDA, cuda_options(options, stream.handle, capture=capture))]


class OnnxRuntimeTensorRtBackend(CudaBackend):
    """onnxruntime's TensorRT provider, and the CUDA provider for what it does not take. Compiling takes minutes.

    Give it a `meanwhile`. Engines are kept in the cache folder, for one GPU, driver and set of libraries each. The
    options are those of the provider, such as `trt_fp16_enable`:
    https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html
    """

    name: ClassVar[str] = "onnxruntime-tensorrt"
    provider: ClassVar[str] = TENSORRT

    def placements(self, graph: Graph, executable: Executable, options: CompileOptions) -> list[OperatorPlacement]:
        """What each provider has taken; with `trt_fp16_enable`, TensorRT may compute float32 in float16."""
        rows = super().placements(graph, executable, options)
        if dict(options.backend).get("trt_fp16_enable", "0").lower() not in ("1", "true"):
            return rows
        return [_halved(row) if TENSORRT in row.providers else row for row in rows]

    def _providers(
        self, options: Mapping[str, str], stream: Stream, *, capture: bool
    ) -> list[tuple[str, Mapping[str, str]]]:
        cuda = stream.cuda
        driver, runtime = cuda.versions()
        versions = {"driver": str(driver), "runtime": str(runtime), "onnxruntime": str(onnxruntime().__version__)}
        folder = engine_folder(cache_folder(), cuda.name(), cuda.capability(), versions)
        Path(options.get("trt_engine_cache_path", folder)).mkdir(parents=True, exist_ok=True)
        return [
            (TENSORRT, tensorrt_options(options, stream.handle, folder, capture=capture)),
            (CUDA, cuda_options(options, stream.handle, capture=False)),
        ]


def _halved(row: OperatorPlacement) -> OperatorPlacement:
    types = tuple("float16" if data_type == "float32" else data_type for data_type in row.data_types)
    return OperatorPlacement(row.label, row.op, row.nodes, row.providers, types, row.realization, row.parts)
