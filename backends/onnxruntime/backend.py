"""Compiling for ONNX Runtime's CPU execution provider."""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from webnn.backends.base import Backend, Cancellation, CompileOptions, DeviceInfo, Executable
from webnn.backends.onnx import lowerings
from webnn.backends.onnx.lower import lower
from webnn.backends.onnx.messages import ModelProto
from webnn.backends.onnx.model import Model
from webnn.backends.onnxruntime import contrib as _contrib  # noqa: F401 (its lowerings)
from webnn.backends.onnxruntime import native
from webnn.backends.onnxruntime.executable import CPU, OnnxRuntimeExecutable
from webnn.backends.onnxruntime.folding import FOLDED_BYTES, GROWTH, LIMIT, fold_limit
from webnn.backends.onnxruntime.in_place import IN_PLACE, model_donations
from webnn.backends.onnxruntime.kernels import cpu_kernels
from webnn.backends.onnxruntime.optimizers import harmful_optimizers, slowing_optimizers
from webnn.backends.onnxruntime.passes.pipeline import prepared, rewrites
from webnn.backends.onnxruntime.threads import answers_depend_on_threads, combines_in_any_order, is_small
from webnn.backends.onnxruntime.weights import FOLDER, leave_in_files, places_in_files
from webnn.backends.processors import processor_name, usable_cores
from webnn.errors import OperationError
from webnn.forking import import_lock, import_whole
from webnn.graph.in_place import InPlace, in_place_outputs
from webnn.graph.ir import Graph

if TYPE_CHECKING:
    from webnn.graph.placement import OperatorPlacement
    from webnn.graph.rewrites import Rewrite

__all__ = ["OnnxRuntimeBackend"]

LARGE_BYTES: Final = 16 * 1024 * 1024
"""From this size of weights on, optimisation takes much of the build: a third of it for MiniLM."""
SHARED_BYTES: Final = 1024 * 1024
"""From this size of weights on, the graphs that a file gives for several sizes share a session where they can."""
_LAID_OUT_ANEW: Final = frozenset(
    {"conv2d", "conv3d", "conv_transpose2d", "average_pool2d", "max_pool2d"} | {"dequantize_linear", "quantize_linear"}
)
"""Operators that the higher levels of optimisation make faster, convolutions up to 2.5 times."""
_CONVERTED: Final = np.dtype(np.float16)
"""The type of the weights that onnxruntime converts where the processor has no kernel for them: in each run, unless a
higher level of optimisation folds the conversion."""
_NOT_INFERRED: Final = "[ShapeInferenceError]"
"""What marks the messages of onnxruntime that refuse the shapes of a model."""

_OF_INTEGERS: Final = frozenset({"conv_integer", "dynamic_quantize_lstm", "matmul_integer"})
_COMPOSITES: Final = frozenset(lowerings.COMPOSITES) - _OF_INTEGERS | {"block_product"}

_PROVIDER: Final = "CPUExecutionProvider"
STORED: Final = "model.onnx"
"""The file that an optimised model is stored in; its weights are beside it."""
_STORED_WEIGHTS: Final = "session.optimized_model_external_initializers"
_PACKED: Final = "session.save_external_prepacked_constant_initializers"
"""Weights are stored as the kernels have packed them, too: processes that load them map them, and share their pages."""


class OnnxRuntimeBackend(Backend):
    """ONNX Runtime on the CPU."""

    name: ClassVar[str] = "onnxruntime"
    compiles_on_callers: ClassVar[bool] = True
    in_place: ClassVar[InPlace] = IN_PLACE

    @property
    def composites(self) -> Collection[str]:
        """Those with a kernel; and products of integers, where they are exact."""
        return _Composites()

    def device(self, options: Mapping[str, str]) -> DeviceInfo:
        """The processor."""
        return DeviceInfo("cpu", processor_name(), _PROVIDER)

    def placements(self, graph: Graph, executable: Executable, options: CompileOptions) -> list[OperatorPlacement]:
        """The operators as the passes have left them, each with the kernels that it became."""
        assert isinstance(executable, OnnxRuntimeExecutable)
        with import_lock:  # here, since most programs explain nothing
            from webnn.backends.providers.placement import assigned_nodes, placements  # noqa: PLC0415
        model = lower(prepared(graph), cpu_kernels())
        model.finish()
        return placements(model, assigned_nodes(executable.session))

    def rewrites(self, graph: Graph) -> list[Rewrite]:
        """What the passes do with `graph`."""
        return rewrites(graph)

    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """Run the passes, lower to ONNX and make a session; large constants are read in place, or from their files."""
        return self._compile(graph, options, cancellation)

    def compile_to(self, store: Path, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """As `compile`; onnxruntime stores the model as it has optimised it."""
        return self._compile(graph, options, cancellation, store)

    def _compile(
        self,
        graph: Graph,
        options: CompileOptions,
        cancellation: Cancellation,
        store: Path | None = None,
        *,
        may_share: bool = True,
    ) -> Executable:
        rewritten = prepared(graph, cancellation.checkpoint)
        options = _in_order(rewritten, options)
        model = lower(rewritten, cpu_kernels(), cancellation.checkpoint)
        proto = model.finish()
        constants = dict(model.external)
        limit = fold_limit(proto, max(FOLDED_BYTES, GROWTH * graph.constant_bytes))
        parameters = None
        if (
            may_share
            and store is None
            and limit is None
            and graph.open_dimensions
            and graph.constant_bytes >= SHARED_BYTES
        ):
            with import_lock:  # here, since most files have fixed sizes or are small
                from webnn.backends.onnxruntime.shared_sessions import opened, session_key, shared_session  # noqa: PLC0415

            parameters = opened(graph, model, proto, constants)
        unwanted = harmful_optimizers(proto) | slowing_optimizers(rewritten)
        if any(node.op == "where" for node in rewritten.nodes):
            with import_lock:  # here, since most graphs choose nothing
                from webnn.backends.onnxruntime.branches import choose_branches  # noqa: PLC0415

            choose_branches(rewritten, model, proto)

        def read(places: Mapping[str, tuple[Path, int]]) -> tuple[Any, list[Any]]:
            """Make the session, which reads the weights in `places` from their files; and what it reads in memory."""
            settings = _settings(graph, options)
            folder, arrays = leave_in_files(proto, constants, places)
            if folder is not None:
                settings.add_session_config_entry(FOLDER, str(folder))
            values = {name: native.OrtValue.ortvalue_from_numpy(array, CPU) for name, array in arrays.items()}
            if values:
                settings.add_external_initializers(
                    list(values), [native.PublicOrtValue(value) for value in values.values()]
                )
            if store is not None:
                settings.optimized_model_filepath = str(store / STORED)
                settings.add_session_config_entry(f"{_STORED_WEIGHTS}_file_name", f"{STORED}.data")
                settings.add_session_config_entry(f"{_STORED_WEIGHTS}_min_size_in_bytes", "1024")
                settings.add_session_config_entry(_PACKED, "1")
            if limit is not None:
                settings.add_session_config_entry(LIMIT, str(limit))
            # The heap of this thread has no use for what the import has freed on another one.
            trimmed = nullcontext() if graph.constant_bytes < SHARED_BYTES else _roomy(graph.constant_bytes)
            with trimmed:
                session = _session(settings, proto.SerializeToString(), cancellation, unwanted)
            return session, [*arrays.values(), *values.values()]

        def made() -> tuple[Any, list[Any]]:
            places = places_in_files(constants)
            try:
                session = read(places)
            except OperationError:
                if places_in_files(constants) == places:
                    raise
            else:
                if places_in_files(constants) == places:
                    return session
            return read({})  # a file was replaced before onnxruntime opened it; the mapping has the weights that it had

        if parameters is None:
            session, weights = made()
            return _executable(graph, model, session, proto, weights)
        key = session_key(proto, options, _traits(graph), sorted(unwanted))
        try:
            shared = shared_session(key, constants, made)
        except OperationError as error:
            if _NOT_INFERRED not in str(error):
                raise
            # It needs a size that was left open.
            return self._compile(graph, options, cancellation, may_share=False)
        keep = [shared, *parameters.keep]
        return _executable(graph, model, shared.session, proto, keep, parameters=parameters.values)

    def narrow_options(self, graph: Graph, options: CompileOptions) -> CompileOptions | None:
        """One thread for graphs that would get several, and whose answers stay the same."""
        if options.threads or is_small(graph) or usable_cores() == 1 or answers_depend_on_threads(graph):
            return None
        return replace(options, threads=1)

    def resting_options(self, graph: Graph, options: CompileOptions) -> CompileOptions | None:
        """Threads that stop spinning with the run, for graphs that get several."""
        return None if self.narrow_options(graph, options) is None else replace(options, resting=True)

    def stored_version(self) -> str | None:
        """The sources of the lowering and of this backend, the versions of their dependencies, and the processor."""
        return _stored_version()

    def load(self, store: Path, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """A session from the model that onnxruntime had optimised for this processor; its weights stay in the file."""
        proto = ModelProto()
        proto.ParseFromString((store / STORED).read_bytes())
        if any(node.op_type == "ScatterND" for node in proto.graph.node):  # else the passes need not run
            options = _in_order(prepared(graph), options)
        settings = _settings(graph, options)
        settings.graph_optimization_level = native.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = _session(settings, store / STORED, cancellation)
        return _executable(graph, Model(graph), session, proto, [])


class _Composites(Collection[str]):
    """The composites of the backend. Whether products of integers are exact is found out when one asks for them."""

    def __contains__(self, op: object) -> bool:
        return op in _COMPOSITES or (op in _OF_INTEGERS and self._multiplies_integers())

    def __iter__(self) -> Iterator[str]:
        yield from _COMPOSITES
        if self._multiplies_integers():
            yield from _OF_INTEGERS

    def __len__(self) -> int:
        return len(_COMPOSITES) + self._multiplies_integers() * len(_OF_INTEGERS)

    def _multiplies_integers(self) -> bool:
        with import_lock:  # here, since few graphs multiply integers, and finding out takes some 5 ms
            from webnn.backends.onnxruntime.integer_products import integer_products_are_exact  # noqa: PLC0415

        return integer_products_are_exact()


@contextmanager
def _roomy(size: int) -> Iterator[None]:
    """Give freed memory back to the system before the body and after it, and make room for a session of that size."""
    with import_lock:  # here, since small models leave little behind
        from webnn.backends.trimming import give_back_freed_memory, make_room  # noqa: PLC0415

    give_back_freed_memory()
    make_room(2 * size)
    yield
    give_back_freed_memory()


def _session(
    settings: Any, model: bytes | Path, cancellation: Cancellation, without: frozenset[str] = frozenset()
) -> Any:
    cancellation.on_cancel(lambda: settings.set_load_cancellation_flag(True))
    is_path = isinstance(model, Path)
    try:
        session: Any = native.InferenceSession(settings, str(model) if is_path else model, is_path, False)
        session.initialize_session([_PROVIDER], [{}], set(without))
    except Exception as error:  # onnxruntime's exceptions have no common base
        if cancellation.cancelled:
            raise CancelledError from error
        raise OperationError(f"onnxruntime: {error}") from error
    return session


def _executable(
    graph: Graph,
    model: Model,
    session: Any,
    proto: ModelProto,
    weights: list[Any],
    *,
    parameters: Sequence[tuple[str, Any]] = (),
) -> OnnxRuntimeExecutable:
    return OnnxRuntimeExecutable(
        inputs=list(graph.input_descriptors.items()),
        outputs=list(graph.output_descriptors.items()),
        byte_length=graph.constant_bytes,
        in_place=in_place_outputs(graph, model_donations(graph, model, proto)),
        session=session,
        input_names=list(model.input_names.values()),
        output_names=list(model.output_names.values()),
        bool_names=_bool_outputs(graph, session),
        weights=weights,
        parameters=parameters,
    )


def _bool_outputs(graph: Graph, session: Any) -> list[str]:
    if all(output.data_type != "uint8" for output in graph.outputs.values()):
        return []
    return [output.name for output in session.outputs_meta if output.type == "tensor(bool)"]


@cache
def _stored_version() -> str:
    processor = platform.processor()
    with suppress(OSError):  # its instruction sets decide on the layout of weights
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next((line for line in lines if line.startswith(("flags", "Features"))), processor)
    with import_lock:  # here, since most programs keep no compiled graphs
        from webnn.backends.disk_cache import sources_digest  # noqa: PLC0415

    sources = sources_digest(Path(__file__).parent, Path(lowerings.__file__).parent)
    onnx_version = import_whole("importlib.metadata").version("onnx")
    return f"{sources} {(native.version, onnx_version, np.__version__, platform.machine(), processor)}"


def _traits(graph: Graph) -> tuple[bool, bool]:
    """Whether a run is little work, and whether the higher levels of optimisation would do nothing for it."""
    would_gain = (
        graph.constant_bytes < LARGE_BYTES
        or any(node.op in _LAID_OUT_ANEW for node in graph.nodes)
        or any(constant.descriptor.dtype == _CONVERTED for constant in graph.constants)
    )
    return is_small(graph), not would_gain


def _in_order(graph: Graph, options: CompileOptions) -> CompileOptions:
    """`options` with one thread if several would get sums in `graph` wrong, as the passes have left it."""
    return replace(options, threads=1) if any(map(combines_in_any_order, graph.nodes)) else options


def _settings(graph: Graph, options: CompileOptions) -> Any:
    settings = native.SessionOptions()
    settings.log_severity_level = 4
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")  # for `placements`
    small, basic = _traits(graph)
    _configure(settings, options, small=small)
    if basic:
        # On the CPU the higher levels serve convolutions, quantization and float16; transformers are 7% faster without.
        settings.graph_optimization_level = native.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return settings


def _configure(settings: Any, options: CompileOptions, *, small: bool) -> None:
    """Threads, spinning and memory of a session; docs/development/runtime.md has the measurements behind each line."""
    # Onnxruntime would pin threads whose number it chooses itself. When the lane has slept and wakes on the core of one
    # of them, both stay there for some milliseconds.
    settings.intra_op_num_threads = options.threads or (1 if small else usable_cores())
    if small:
        # Few and small intermediate results: the arena and the plan for it cost more than they save.
        settings.enable_cpu_mem_arena = False
        settings.enable_mem_pattern = False
    # A pool that goes on spinning takes the core that the next session or the caller needs. But two threads only pay
    # if they spin between the operators of one run, and from one run of a loop to the next.
    settings.add_session_config_entry("session.intra_op.spin_duration_us", "300")
    if options.resting:
        settings.add_session_config_entry("session.force_spinning_stop", "1")
    # Products with dequantized weights are floats times floats: by default the other factor would be rounded to int8.
    settings.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
