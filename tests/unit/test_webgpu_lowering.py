"""What the WebGPU backend writes with other operators means the same: computed by onnxruntime's CPU provider.

Here the device has no kernel of any operator that can be composed, but for products of floats. tests/devices/ shows
what a real one does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import numpy_helper

from tests.devices.operators import EXAMPLES, Draft
from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Cancellation
from webnn.backends.onnx.messages import ModelProto, TensorProto
from webnn.backends.webgpu.backend import WebGpuBackend, lowered
from webnn.backends.webgpu.compositions import COMPOSITIONS
from webnn.backends.webgpu.device import Session, check_owner
from webnn.backends.webgpu.kernels import KEPT_AS, NIBBLES_OPSET, WEBGPU_OPSET, WebGpuKernels
from webnn.backends.webgpu.memory import WebGpuAllocator
from webnn.errors import DeviceLostError, NotSupportedError, OperationError, ValidationError
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Graph
from webnn.graph.limits import SPEC_LIMITS

Array = np.ndarray[Any, Any]


def computed(graph: Graph, feeds: Mapping[str, Array], opset: int) -> tuple[ModelProto, dict[str, Array]]:
    """The model for a device without kernels, and what it computes on the CPU."""
    model = lowered(graph, WebGpuKernels(opset, {"MatMul": frozenset({"float32"})}), Cancellation())
    proto = model.finish()
    for tensor in proto.graph.initializer:
        if tensor.name in model.external:
            tensor.ParseFromString(
                numpy_helper.from_array(model.external[tensor.name], tensor.name).SerializeToString()
            )
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    given = {
        model.input_names[name]: array.astype(KEPT_AS.get(array.dtype.name, array.dtype))
        for name, array in feeds.items()
    }
    results = session.run(list(model.output_names.values()), given)
    return proto, {
        name: result.astype(operand.descriptor.dtype)
        for (name, operand), result in zip(graph.outputs.items(), results, strict=True)
    }


@pytest.mark.parametrize("opset", [WEBGPU_OPSET, NIBBLES_OPSET])
@pytest.mark.parametrize("op", EXAMPLES)
def test_an_operator_means_the_same_without_the_kernels(op: str, opset: int) -> None:
    draft = Draft(direct_builder())
    made = EXAMPLES[op](draft)
    outputs = made if isinstance(made, list) else [made]
    graph = draft.builder.build({f"output {i}": output for i, output in enumerate(outputs)})
    proto, found = computed(graph, draft.feeds, opset)
    for name, expected in run_graph(graph, draft.feeds, ArraysBackend()).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-5)
    used = {node.op_type for node in proto.graph.node}
    assert used.isdisjoint(COMPOSITIONS.keys() - {"MatMul"}), used
    assert used.isdisjoint({"GRU", "LpPool", "QuantizeLinear", "Trilu", "ReduceLogSumExp"})


def test_there_is_an_example_of_each_operator() -> None:
    assert EXAMPLES.keys() == SPEC_LIMITS.keys()


def test_integers_of_8_bits_are_kept_in_32() -> None:
    builder = direct_builder()
    x = builder.input("x", [4], "uint8")
    graph = builder.build({"y": builder.cast(builder.max(x, builder.constant(np.array([9], np.uint8))), "int8")})
    proto, found = computed(graph, {"x": np.array([0, 127, 128, 255], np.uint8)}, WEBGPU_OPSET)
    kinds = [info.type.tensor_type.elem_type for info in (*proto.graph.input, *proto.graph.output)]
    assert kinds == [TensorProto.INT32, TensorProto.INT32]
    assert found["y"].tolist() == [9, 127, -128, -1]


def test_the_last_of_several_updates_stays() -> None:
    builder = direct_builder()
    x, at, updates = (
        builder.input(*each) for each in (("x", [5], "int32"), ("at", [6, 1], "int32"), ("u", [6], "int32"))
    )
    graph = builder.build({"y": builder.scatter_nd(x, at, updates)})
    feeds = {
        "x": np.zeros(5, np.int32),
        "at": np.array([[1], [3], [1], [-2], [4], [1]], np.int32),
        "u": np.arange(6, dtype=np.int32),
    }
    proto, found = computed(graph, feeds, WEBGPU_OPSET)
    assert found["y"].tolist() == [0, 5, 0, 3, 4]
    settled = next(node for node in proto.graph.node if node.op_type == "ScatterND")
    assert [attribute.s for attribute in settled.attribute] == [b"max"], "the order of the updates decides"


def test_what_is_written_stays_in_host_memory_until_a_run_reads_it() -> None:
    allocator = WebGpuAllocator()
    view = allocator.view(MLOperandDescriptor("uint8", [3]))
    data = np.array([1, 2, 3], np.uint8)
    allocator.write(view, data)
    data[0] = 9
    assert allocator.host_array(view).tolist() == [1, 2, 3]
    allocator.clear(view)
    assert allocator.host_array(view).tolist() == [0, 0, 0]
    assert allocator.copied() == (0, 0)


@pytest.mark.parametrize(
    ("message", "kind"),
    [("Error in execution: Device is lost", DeviceLostError), ("Error in execution: out of memory", OperationError)],
)
def test_a_lost_device_is_told_from_other_errors(message: str, kind: type[Exception]) -> None:
    class Failing:
        def get_provider_graph_assignment_info(self) -> list[Any]:
            return []

        def io_binding(self) -> Any:
            return None

        def run_with_iobinding(self, binding: Any) -> None:
            raise RuntimeError(message)

    with pytest.raises(kind, match=message):
        Session(Failing(), [], []).run([])


def test_an_option_that_onnxruntime_would_ignore_is_refused() -> None:
    with pytest.raises(ValidationError, match="the webgpu backend has preferredLayout, and no 'powerPreference'"):
        WebGpuBackend().check_options({"powerPreference": "low-power"})


def test_a_process_that_was_forked_from_one_with_an_open_device_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    check_owner()
    monkeypatch.setattr("webnn.backends.webgpu.device._owner", [os.getpid() + 1])
    with pytest.raises(
        NotSupportedError, match=f"the process {os.getpid() + 1} opened the device before this one was forked"
    ):
        check_owner()
