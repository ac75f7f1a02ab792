"""The OpenVINO backend: onnxruntime's execution provider of that name, from the package `onnxruntime-openvino`.

That package takes the place of `onnxruntime`, so it needs an environment of its own.

Seen of onnxruntime-openvino 1.24.1: with a wrong option, or an absent device, a session is made all the same, and runs
on onnxruntime's own CPU provider. With a device that does not exist it even lists the provider, which is given no
operator. So the options of a context are tried with a graph of two operators, and what counts is what onnxruntime says
of their assignment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from typing import Any, ClassVar, Final

from webnn.backends.base import Backend, Cancellation, CompileOptions, Executable
from webnn.errors import NotSupportedError, OperationError
from webnn.forking import import_lock
from webnn.graph.arguments import described
from webnn.graph.dtypes import ALL, FLOATS, DataType
from webnn.graph.ir import Graph
from webnn.graph.limits import ALGORITHM_GAPS, LimitsTable, narrowed
from webnn.memory.buffer import View

__all__ = ["OpenVinoBackend"]

PROVIDER: Final = "OpenVINOExecutionProvider"
_ASSIGNMENT: Final = "session.record_ep_graph_assignment_info"
_DEFAULTS: Final[Mapping[str, str]] = {
    "device_type": "CPU",
    # Without it, processors that have bfloat16 compute in it.
    "load_config": json.dumps({"CPU": {"INFERENCE_PRECISION_HINT": "f32"}}),
}
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


@dataclass(slots=True)
class OpenVinoExecutable(Executable):
    """Runs a session."""

    session: Any = None
    input_names: Sequence[str] = ()
    output_names: Sequence[str] = ()

    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        """Run, and copy the outputs into their views."""
        feeds = {name: view.array for name, view in zip(self.input_names, inputs, strict=True)}
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
        if find_spec("onnxruntime") is not None and PROVIDER in _onnxruntime().get_available_providers():
            return None
        return "needs onnxruntime-openvino in place of onnxruntime: install it in an environment of its own"

    def support_limits(self) -> LimitsTable:
        """The specification's table, without arithmetic of integers, and casts from floats to them."""
        table = narrowed(ALGORITHM_GAPS)
        gaps: dict[str, dict[str, Sequence[DataType]]] = {
            op: dict.fromkeys((name for name, row in table[op].items() if {*row.types} & {*FLOATS}), _INTEGERS)
            for op in _INTEGERS_AS_FLOATS
        }
        return narrowed({**gaps, "cast": {"output": _INTEGERS}}, table)

    def check_options(self, options: Mapping[str, str]) -> None:
        """Make a session of two operators with the options, which must be assigned to OpenVINO."""
        with import_lock:
            from onnx import TensorProto, helper  # noqa: PLC0415
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy")
        nodes = [helper.make_node("Mul", ["x", "x"], ["z"]), helper.make_node("Relu", ["z"], ["y"])]
        model = helper.make_model(
            helper.make_graph(nodes, "probe", [x], [y]), opset_imports=[helper.make_opsetid("", 21)], ir_version=10
        )
        try:
            session = _session(model.SerializeToString(), {**_DEFAULTS, **options})
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise NotSupportedError(f"create_context: OpenVINO refuses {dict(options)}: {described(error)}") from error
        if not any(part.ep_name == PROVIDER for part in session.get_provider_graph_assignment_info()):
            raise NotSupportedError(
                f"create_context: OpenVINO runs nothing with {dict(options)}: is there such a device, and are the"
                " values valid? See https://onnxruntime.ai/docs/execution-providers/OpenVINO-ExecutionProvider.html"
            )

    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """Lower to standard ONNX, and make a session of it."""
        with import_lock:
            from onnx import numpy_helper  # noqa: PLC0415

            from webnn.backends.onnx.lower import lower  # noqa: PLC0415
            from webnn.backends.onnx.portable import PortableKernels  # noqa: PLC0415
        model = lower(graph, PortableKernels(), cancellation.checkpoint)
        proto = model.finish()
        for tensor in proto.graph.initializer:
            if tensor.name in model.external:
                array = numpy_helper.from_array(model.external[tensor.name], tensor.name)
                tensor.ParseFromString(array.SerializeToString())
        threads = {"num_of_threads": str(options.threads)} if options.threads else {}
        try:
            session = _session(proto.SerializeToString(), {**_DEFAULTS, **threads, **dict(options.backend)})
        except Exception as error:
            if cancellation.cancelled:
                raise CancelledError from error
            raise OperationError(f"openvino: {described(error)}") from error
        return OpenVinoExecutable(
            inputs=list(graph.input_descriptors.items()),
            outputs=list(graph.output_descriptors.items()),
            byte_length=2 * graph.constant_bytes,
            session=session,
            input_names=list(model.input_names.values()),
            output_names=list(model.output_names.values()),
        )


def _onnxruntime() -> Any:
    with import_lock:  # here, since most machines have another one
        import onnxruntime  # noqa: PLC0415

    return onnxruntime


def _session(model: bytes, options: Mapping[str, str]) -> Any:
    onnxruntime = _onnxruntime()
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    settings.add_session_config_entry(_ASSIGNMENT, "1")
    with redirect_stdout(StringIO()):  # it prints what it also raises
        return onnxruntime.InferenceSession(model, settings, providers=[(PROVIDER, dict(options))], enable_fallback=0)
