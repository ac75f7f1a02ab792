"""The TensorRT backend: graphs as engines of TensorRT, without onnxruntime.

Never run on a device yet: see docs/devices.md.

An engine computes a whole graph, or the graph is refused: nothing falls back to another device. With onnxruntime's
provider for TensorRT (the backend `onnxruntime-tensorrt`), CUDA and the CPU run the operators that TensorRT lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Final

from webnn.backends.base import Backend, Cancellation, CompileOptions, DeviceInfo, DeviceType, Executable
from webnn.backends.cuda.library import CudaLibrary
from webnn.backends.cuda.memory import CudaAllocator, allocated
from webnn.backends.cuda.options import device_number, engine_folder
from webnn.backends.cuda.stream import Stream, stream_of
from webnn.backends.disk_cache import sources_digest
from webnn.backends.providers.placement import placements
from webnn.backends.tensorrt.engines import Builder, refit_mode, tensorrt
from webnn.backends.tensorrt.executable import TensorRtExecutable
from webnn.backends.tensorrt.lowering import Lowered, lowered, tensorrt_limits
from webnn.backends.user_cache import cache_folder
from webnn.errors import MLError, OperationError, ValidationError
from webnn.graph.arguments import described
from webnn.graph.ir import Graph
from webnn.graph.limits import LimitsTable
from webnn.graph.placement import OperatorPlacement
from webnn.memory.allocator import Allocator

__all__ = ["TensorRtBackend"]

_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "refit": ("0", "1"),
    "tf32": ("0", "1"),
    "builder_optimization_level": tuple("012345"),
}
"""Besides `device_id`."""
_PLAN: Final = "engine.plan"
_OLDEST: Final = 10
"""The first major version with strongly typed networks of all data types, and int64."""


class TensorRtBackend(Backend):
    """Graphs as engines of TensorRT, in their own data types. Compiling takes seconds to minutes: give a `meanwhile`.

    `create_context(backend="tensorrt", backend_options={"refit": "1"}, meanwhile="onnxruntime")`.
    """

    name: ClassVar[str] = "tensorrt"
    device_type: DeviceType = "gpu"

    def __init__(self) -> None:
        self._device = 0

    @classmethod
    def unavailable(cls) -> str | None:
        """Why there is no TensorRT, or no device."""
        if find_spec("tensorrt") is None:
            return "tensorrt is not installed: pip install tensorrt"
        try:
            version = str(tensorrt().__version__)
        except Exception as error:  # its package fails in several ways where its libraries are missing
            return f"tensorrt cannot be imported: {described(error)}"
        if int(version.partition(".")[0]) < _OLDEST:
            return f"tensorrt {version} is too old: it must be {_OLDEST} or newer"
        try:
            return None if CudaLibrary().count() else "CUDA found no device"
        except MLError as error:
            return str(error)

    def check_options(self, options: Mapping[str, str]) -> None:
        """Accept the number of a device, and the values in `_OPTIONS`."""
        for name, value in options.items():
            if name == "device_id":
                continue
            if name not in _OPTIONS:
                known = ", ".join(("device_id", *_OPTIONS))
                raise ValidationError(f"backend_options: the tensorrt backend has {known}, and no {name!r}")
            if value not in _OPTIONS[name]:
                raise ValidationError(
                    f"backend_options: {name} must be one of {', '.join(_OPTIONS[name])}, got {value!r}"
                )
        self._device = device_number(options)
        count = CudaLibrary().count()
        if self._device >= count:
            raise ValidationError(f"backend_options: device_id is {self._device}, and CUDA has {count} devices")

    def device(self, options: Mapping[str, str]) -> DeviceInfo:
        """The GPU, as NVIDIA calls it."""
        return DeviceInfo("gpu", stream_of(device_number(options)).cuda.name(), "TensorRT")

    @property
    def allocator(self) -> Allocator:
        """Memory of the device."""
        stream = stream_of(self._device)
        return CudaAllocator(stream, lambda size: allocated(stream.cuda, size))

    def support_limits(self) -> LimitsTable:
        """The specification's table, without the data types that TensorRT lacks."""
        return tensorrt_limits()

    def placements(self, graph: Graph, executable: Executable, options: CompileOptions) -> list[OperatorPlacement]:
        """All of it is in the engine; with `tf32`, products are computed with 10 bits of mantissa."""
        model = lowered(graph, Cancellation()).model
        precision = {"float32": "tf32"} if dict(options.backend).get("tf32") == "1" else {}
        return placements(model, [(f"#{part.number}", "TensorRT") for part in model.parts()], precision)

    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """Build an engine, or refit one of the same structure (option `refit`)."""
        model, stream, builder = self._prepared(graph, options, cancellation)
        mode = refit_mode(builder.options, graph.constant_bytes, stored=False)
        return self._executable(builder.engine(model, mode, cancellation), graph, model, stream)

    def stored_version(self) -> str | None:
        """The GPU, its driver, TensorRT, and our own modules."""
        return f"{self._folder(stream_of(self._device)).name} {sources_digest(Path(__file__).parent)}"

    def compile_to(self, store: Path, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """Build an engine and write its plan, without the weights if they are large."""
        model, stream, builder = self._prepared(graph, options, cancellation)
        mode = refit_mode(builder.options, graph.constant_bytes, stored=True)
        return self._executable(builder.engine(model, mode, cancellation, store / _PLAN), graph, model, stream)

    def load(self, store: Path, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """The engine of a written plan, with the weights of `graph`."""
        model, stream, builder = self._prepared(graph, options, cancellation)
        return self._executable(builder.load((store / _PLAN).read_bytes(), model), graph, model, stream)

    def _prepared(
        self, graph: Graph, options: CompileOptions, cancellation: Cancellation
    ) -> tuple[Lowered, Stream, Builder]:
        own = dict(options.backend)
        stream = stream_of(device_number(own))
        stream.cuda.use()
        return lowered(graph, cancellation), stream, Builder(self._folder(stream), own)

    @staticmethod
    def _folder(stream: Stream) -> Path:
        cuda = stream.cuda
        driver, runtime = cuda.versions()
        versions = {"driver": str(driver), "runtime": str(runtime), "tensorrt": str(tensorrt().__version__)}
        return engine_folder(cache_folder(), cuda.name(), cuda.capability(), versions)

    @staticmethod
    def _executable(engine: Any, graph: Graph, model: Lowered, stream: Stream) -> Executable:
        context = engine.create_execution_context()
        if context is None:
            raise OperationError("tensorrt: there is no memory for the intermediate values of the graph")
        names = model.model
        return TensorRtExecutable(
            inputs=list(graph.input_descriptors.items()),
            outputs=list(graph.output_descriptors.items()),
            byte_length=graph.constant_bytes,
            engine=engine,
            context=context,
            stream=stream,
            input_names=list(names.input_names.values()),
            output_names=list(names.output_names.values()),
        )
