"""The OpenVINO backend: onnxruntime's execution provider of that name, from the package `onnxruntime-openvino`.

That package takes the place of `onnxruntime`, so it needs an environment of its own.

OpenVINO holds 64-bit integers in 32 bits: `findings/int64_has_32_bits.sh`. Inputs and constants are checked for that.

Seen of onnxruntime-openvino 1.24.1: with a wrong option, or an absent device, a session is made all the same, and runs
on onnxruntime's own CPU provider. With a device that does not exist it even lists the provider, which is given no
operator. So the options of a context are tried: see `webnn.backends.providers.sessions`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from webnn.backends.base import Backend, Cancellation, CompileOptions, DeviceInfo, DeviceType, Executable
from webnn.backends.onnx.lower import lower
from webnn.backends.onnx.model import Model
from webnn.backends.onnx.portable import PortableKernels, is_nan
from webnn.backends.onnx.signatures import Composition
from webnn.backends.processors import processor_name
from webnn.backends.providers.placement import assigned_nodes, placements
from webnn.backends.providers.sessions import provider_missing, refusal, session
from webnn.errors import NotSupportedError, OperationError
from webnn.forking import import_lock
from webnn.graph.arrays import beyond
from webnn.graph.dtypes import ALL, FLOATS, DataType
from webnn.graph.ir import Graph
from webnn.graph.limits import ALGORITHM_GAPS, LimitsTable, narrowed
from webnn.graph.placement import OperatorPlacement
from webnn.memory.buffer import View

__all__ = ["OpenVinoBackend"]

PROVIDER: Final = "OpenVINOExecutionProvider"
_DEFAULTS: Final[Mapping[str, str]] = {
    "device_type": "CPU",
    # Without it, processors that have bfloat16 compute in it.
    "load_config": json.dumps({"CPU": {"INFERENCE_PRECISION_HINT": "f32"}}),
}
_DEVICE_TYPES: Final[Mapping[str, DeviceType]] = {"GPU": "gpu", "NPU": "npu"}
_PRECISIONS: Final[Mapping[str, str]] = {"f16": "float16", "fp16": "float16", "bf16": "bfloat16"}
_INTEGERS: Final[tuple[DataType, ...]] = tuple(data_type for data_type in ALL if data_type not in FLOATS)
# fmt: off
_INTEGERS_AS_FLOATS: Final = (
    "abs", "add", "arg_max", "arg_min", "clamp", "cumulative_sum", "div", "equal", "greater",
    "greater_or_equal", "lesser", "lesser_or_equal", "max", "min", "mul", "neg", "not_equal", "pow", "prelu",
    "reduce_l1", "reduce_max", "reduce_mean", "reduce_min", "reduce_product", "reduce_sum", "reduce_sum_square",
    "relu", "sign", "sub",
)
# fmt: on
"""Operators whose integers OpenVINO computes in float32, or saturates: they lose digits over 2^24, and do not wrap."""


class _OpenVinoKernels(PortableKernels):
    """Those of many runtimes, without `IsNaN`.

    OpenVINO does not take it, and onnxruntime refuses a graph in which operators on both sides of one that it does not
    take are put together: they would depend on each other in a circle.
    """

    rounds_last = True  # findings/zero_point_decides_the_rounding.sh

    def composition(self, op_type: str, data_type: str) -> Composition | None:
        """`is_nan` for `IsNaN`."""
        return is_nan if op_type == "IsNaN" else None


@dataclass(slots=True)
class OpenVinoExecutable(Executable):
    """Runs a session."""

    session: Any = None
    input_names: Sequence[str] = ()
    output_names: Sequence[str] = ()

    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        """Run, and copy the outputs into their views."""
        feeds = {name: view.array for name, view in zip(self.input_names, inputs, strict=True)}
        for (name, _), array in zip(self.inputs, feeds.values(), strict=True):
            _check_bits(f"input {name!r}", array)
        try:
            results = self.session.run(self.output_names, feeds)
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise OperationError(f"openvino: {error}") from error
        for view, result in zip(outputs, results, strict=True):
            view.array[...] = result


class OpenVinoBackend(Backend):
    """OpenVINO, in float32 unless an option says otherwise. Never chosen by default, only by name.

    `create_context(backend="openvino", backend_options={"device_type": "GPU"})`. The options are those of the execution
    provider: https://onnxruntime.ai/docs/execution-providers/OpenVINO-ExecutionProvider.html
    """

    name: ClassVar[str] = "openvino"

    @classmethod
    def unavailable(cls) -> str | None:
        """Why there is no such provider."""
        install = "install onnxruntime-openvino in its place, in an environment of its own"
        return provider_missing(PROVIDER, install)

    def support_limits(self) -> LimitsTable:
        """The specification's table, without arithmetic of integers, and casts from floats to them."""
        table = narrowed(ALGORITHM_GAPS)
        gaps: dict[str, dict[str, Sequence[DataType]]] = {
            op: dict.fromkeys((name for name, row in table[op].items() if {*row.types} & {*FLOATS}), _INTEGERS)
            for op in _INTEGERS_AS_FLOATS
        }
        return narrowed({**gaps, "cast": {"output": _INTEGERS}}, table)

    def check_options(self, options: Mapping[str, str]) -> None:
        """Try the options with a session of two operators, which must be assigned to OpenVINO."""
        reason = refusal(PROVIDER, lambda model: session(model, PROVIDER, {**_DEFAULTS, **options}))
        if reason is not None:
            raise NotSupportedError(
                f"create_context: OpenVINO refuses {dict(options)}: {reason} See"
                " https://onnxruntime.ai/docs/execution-providers/OpenVINO-ExecutionProvider.html"
            )

    def device(self, options: Mapping[str, str]) -> DeviceInfo:
        """That of the option `device_type`, such as "GPU.1"; the first one of several, as in "HETERO:GPU,CPU"."""
        name = options.get("device_type", "CPU")
        first = name.partition(":")[2].partition(",")[0] or name
        kind = _DEVICE_TYPES.get(first.partition(".")[0], "cpu")
        return DeviceInfo(kind, processor_name() if name == "CPU" else name, PROVIDER)

    def placements(self, graph: Graph, executable: Executable, options: CompileOptions) -> list[OperatorPlacement]:
        """What OpenVINO has taken, and what onnxruntime's CPU provider does."""
        assert isinstance(executable, OpenVinoExecutable)
        model = _lowered(graph)
        model.finish()
        return placements(model, assigned_nodes(executable.session), _precision(dict(options.backend)))

    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """Lower to standard ONNX, and make a session of it."""
        with import_lock:
            from onnx import numpy_helper  # noqa: PLC0415
        for operand in graph.constants:
            assert operand.constant is not None
            _check_bits("a constant", operand.constant)
        model = _lowered(graph, cancellation.checkpoint)
        proto = model.finish()
        for tensor in proto.graph.initializer:
            if tensor.name in model.external:
                array = numpy_helper.from_array(model.external[tensor.name], tensor.name)
                tensor.ParseFromString(array.SerializeToString())
        threads = {"num_of_threads": str(options.threads)} if options.threads else {}
        provided = {**_DEFAULTS, **threads, **dict(options.backend)}
        try:
            made = session(proto.SerializeToString(), PROVIDER, provided, cancellation=cancellation)
        except OperationError as error:
            raise OperationError(f"openvino: {error}") from error
        return OpenVinoExecutable(
            inputs=list(graph.input_descriptors.items()),
            outputs=list(graph.output_descriptors.items()),
            byte_length=2 * graph.constant_bytes,
            session=made,
            input_names=list(model.input_names.values()),
            output_names=list(model.output_names.values()),
        )


def _check_bits(where: str, array: np.ndarray[Any, Any]) -> None:
    """Refuse integers that OpenVINO would cut to 32 bits, also where it only moves them."""
    if array.dtype in (np.int64, np.uint64):
        outside = beyond(array, "int32")
        if outside is not None:
            raise OperationError(f"openvino: {where} has {outside}; OpenVINO holds {array.dtype} in 32 bits")


def _lowered(graph: Graph, checkpoint: Callable[[], object] | None = None) -> Model:
    return lower(graph, _OpenVinoKernels(), checkpoint)


def _precision(options: Mapping[str, str]) -> dict[str, str]:
    """The data type in which it computes float32, by the options of the execution provider."""
    given = options.get("precision", "").lower()
    for device in json.loads(options.get("load_config", "") or _DEFAULTS["load_config"]).values():
        given = str(device.get("INFERENCE_PRECISION_HINT", given)).lower()
    return {"float32": _PRECISIONS[given]} if given in _PRECISIONS else {}
