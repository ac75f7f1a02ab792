"""Compiling for the GPU of a desktop, by onnxruntime's WebGPU execution provider.

It is in the package `onnxruntime-webgpu`, which takes the place of `onnxruntime` and so needs an environment of its
own. `device.py` says how it differs from other providers. Graphs are lowered to ONNX for the kernels that it has
(`kernels.py`); operators that it lacks or computes wrongly are written with others (`decompositions.py`,
`compositions.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np

from webnn.backends.base import Backend, Cancellation, CompileOptions, DeviceInfo, DeviceType, Executable
from webnn.backends.onnx.lower import lower
from webnn.backends.onnx.lowerings import OnnxLowering
from webnn.backends.onnx.messages import ModelProto
from webnn.backends.onnx.model import Model
from webnn.backends.onnx.signatures import Kernels
from webnn.backends.providers.placement import placements
from webnn.backends.providers.sessions import CPU
from webnn.backends.webgpu.decompositions import decomposed
from webnn.backends.webgpu.device import PROVIDER, check_owner, missing, open_session
from webnn.backends.webgpu.executable import WebGpuExecutable
from webnn.backends.webgpu.gathering import scatter_elements, scatter_nd
from webnn.backends.webgpu.kernels import NIBBLES_OPSET, WEBGPU_OPSET, webgpu_kernels
from webnn.backends.webgpu.limits import webgpu_limits
from webnn.backends.webgpu.memory import WebGpuAllocator
from webnn.backends.webgpu.quantization import dequantize_weights, needs_nibbles
from webnn.errors import NotSupportedError, ValidationError
from webnn.graph.ir import Graph
from webnn.graph.limits import LimitsTable
from webnn.graph.placement import OperatorPlacement
from webnn.memory.allocator import Allocator

__all__ = ["WebGpuBackend", "lowered"]

_OPTIONS: Final[Mapping[str, Sequence[str]]] = {
    "preferredLayout": ("NCHW", "NHWC"),
}
"""The options of a session; those of the device hold for the whole process, and the first session has set them."""


_LOWERINGS: Final[Mapping[str, OnnxLowering]] = {
    "dequantize_linear": dequantize_weights,
    "scatter_elements": scatter_elements,
    "scatter_nd": scatter_nd,
}
_CASTS_ON_DEVICE: Final = (("int32", "int64"), ("int64", "int32"), ("bool", "int64"))
"""The casts of 64-bit integers that are right on the device."""


def lowered(graph: Graph, kernels: Kernels, cancellation: Cancellation) -> Model:
    """`graph` as an ONNX model for the device, which has `kernels`."""
    rewritten = decomposed(graph, kernels.opset, cancellation.checkpoint)
    return lower(rewritten, kernels, cancellation.checkpoint, _LOWERINGS)


class WebGpuBackend(Backend):
    """Operators on a GPU by WebGPU, those that it lacks on the CPU; for programs that ask for it or for an accelerator.

    `create_context(backend="webgpu", backend_options={"preferredLayout": "NCHW"})`.
    """

    name: ClassVar[str] = "webgpu"
    device_type: DeviceType = "gpu"

    def __init__(self) -> None:
        self._allocator = WebGpuAllocator()

    @classmethod
    def unavailable(cls) -> str | None:
        """Why there is no such provider, or no adapter."""
        reason = missing()
        if reason is None:
            try:
                check_owner()
                webgpu_kernels(WEBGPU_OPSET)
            except NotSupportedError as error:
                return str(error)
        return reason

    @property
    def allocator(self) -> Allocator:
        """Memory of the device."""
        return self._allocator

    def support_limits(self) -> LimitsTable:
        """The specification's table, without what the device computes wrongly."""
        return webgpu_limits()

    def check_options(self, options: Mapping[str, str]) -> None:
        """Accept the options that onnxruntime would take; it ignores those that it does not know in silence."""
        for name, value in options.items():
            if name not in _OPTIONS:
                raise ValidationError(f"backend_options: the webgpu backend has {', '.join(_OPTIONS)}, and no {name!r}")
            if value not in _OPTIONS[name]:
                raise ValidationError(
                    f"backend_options: {name} must be one of {', '.join(_OPTIONS[name])}, got {value!r}"
                )

    def device(self, options: Mapping[str, str]) -> DeviceInfo:
        """The adapter that onnxruntime has chosen, of which it tells nothing."""
        return DeviceInfo("gpu", "WebGPU adapter", PROVIDER)

    def placements(self, graph: Graph, executable: Executable, options: CompileOptions) -> list[OperatorPlacement]:
        """What the device has taken: everything but the nodes that onnxruntime lists as those of its CPU provider."""
        assert isinstance(executable, WebGpuExecutable)
        assert executable.session is not None
        model = _lowered(graph, Cancellation())
        model.finish()
        left = {name.rpartition("#")[2] for name in executable.session.left_to_the_cpu}
        return placements(
            model,
            [(f"#{part.number}", CPU if str(part.number) in left else PROVIDER) for part in model.parts()],
        )

    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """Rewrite the graph for the device, lower it to ONNX and make a session."""
        own = dict(options.backend)
        if _has_narrow_groups(graph):
            own["preferredLayout"] = "NCHW"
        model = _lowered(graph, cancellation)
        proto = model.finish()
        weights = _declared(proto, model)
        casts = _casts_to_keep_off(proto, model)
        if casts:
            own["forceCpuNodeNames"] = "\n".join(casts)
        session = open_session(
            proto,
            list(model.input_names.values()),
            list(model.output_names.values()),
            options=own,
            weights=weights,
            cancellation=cancellation,
        )
        return WebGpuExecutable(
            inputs=list(graph.input_descriptors.items()),
            outputs=list(graph.output_descriptors.items()),
            byte_length=2 * graph.constant_bytes,
            session=session,
            allocator=self._allocator,
        )


def _lowered(graph: Graph, cancellation: Cancellation) -> Model:
    kernels = webgpu_kernels(NIBBLES_OPSET if needs_nibbles(graph) else WEBGPU_OPSET)
    return lowered(graph, kernels, cancellation)


def _has_narrow_groups(graph: Graph) -> bool:
    """Whether a group of a transposed convolution has one output channel, which is wrong in the layout NHWC."""
    return any(
        node.op == "conv_transpose2d"
        and node.attributes["groups"] > 1
        and node.output.shape[node.attributes["input_layout"].index("c")] == node.attributes["groups"]
        for node in graph.nodes
    )


def _declared(proto: ModelProto, model: Model) -> dict[str, np.ndarray[Any, Any]]:
    """The weights, which `proto` declares as lying in memory."""
    for tensor in proto.graph.initializer:
        if tensor.name in model.external:
            del tensor.external_data[:]
            tensor.external_data.add(key="location", value="memory")
    return {name: np.require(array, requirements=["C", "A"]) for name, array in model.external.items()}


def _casts_to_keep_off(proto: ModelProto, model: Model) -> list[str]:
    """The nodes that cast 64-bit integers as the device would do wrongly: it leaves the upper half out."""
    outputs = {name: model.graph.outputs[of].data_type for of, name in model.output_names.items()}

    def data_type(name: str) -> str:
        return outputs.get(name) or model.data_type(name)

    return [
        node.name
        for node in proto.graph.node
        if node.op_type == "Cast"
        and "int64" in (types := (data_type(node.input[0]), data_type(node.output[0])))
        and types not in _CASTS_ON_DEVICE
    ]
