"""Shapes that are known without onnx's shape inference are those that it infers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, shape_inference

from tests.emitted import emitted_operators
from webnn.backends.onnxruntime.known_shapes import KNOWN, known_results, known_tensor

FLOATS, ROW, INTEGERS, BOOLS = (
    np.ones((3, 1, 4), np.float32), np.ones((5, 1), np.float32), np.ones((2, 3), np.int64), np.ones((3, 1, 4), np.bool_)
)  # fmt: skip

NODES: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Add", [FLOATS, ROW], {}),
    ("Sub", [INTEGERS, INTEGERS], {}),
    ("Cast", [INTEGERS], {"to": TensorProto.FLOAT16}),
    ("Clip", [FLOATS, np.float32(0), np.float32(1)], {}),
    ("Less", [FLOATS, ROW], {}),
    ("Mod", [INTEGERS, INTEGERS], {}),
    ("Xor", [BOOLS, BOOLS], {}),
    ("IsNaN", [FLOATS], {}),
    ("Where", [BOOLS, FLOATS, ROW], {}),
    ("DequantizeLinear", [np.ones((3, 4), np.int8), np.ones(4, np.float32), np.zeros(4, np.int8)], {"axis": 1}),
    ("Transpose", [FLOATS], {}),
    ("Transpose", [FLOATS], {"perm": [1, 2, 0]}),
    ("Gemm", [np.ones((4, 2), np.float32), np.ones((5, 4), np.float32)], {"transA": 1, "transB": 1}),
    ("Gemm", [np.ones((2, 4), np.float32), np.ones((4, 5), np.float32), np.ones(5, np.float32)], {}),
    ("Gather", [FLOATS, INTEGERS], {"axis": -1}),
    ("Gather", [FLOATS, np.array(1)], {}),
    ("Expand", [FLOATS, np.array([2, 1, 7, 4])], {}),
    ("Reshape", [FLOATS, np.array([2, 6])], {}),
    ("ArgMax", [FLOATS], {"axis": -1}),
    ("ArgMin", [FLOATS], {"axis": 1, "keepdims": 0}),
    ("BatchNormalization", [np.ones((2, 3, 4), np.float32), *[np.ones(3, np.float32)] * 4], {}),
    ("BitShift", [np.ones((3, 1), np.uint8), np.ones(4, np.uint8)], {"direction": "LEFT"}),
    ("BitwiseAnd", [INTEGERS, np.ones((4, 1, 3), np.int64)], {}),
    ("BitwiseOr", [INTEGERS, INTEGERS], {}),
    ("BitwiseXor", [INTEGERS, INTEGERS], {}),
    ("Det", [np.ones((5, 3, 3), np.float32)], {}),
    ("DepthToSpace", [np.ones((2, 12, 3, 5), np.float32)], {"blocksize": 2}),
    ("SpaceToDepth", [np.ones((2, 3, 6, 8), np.float32)], {"blocksize": 2}),
    ("Col2Im", [np.ones((2, 12, 6), np.float32), np.array([4, 3]), np.array([2, 2])], {}),
    ("Concat", [FLOATS, np.ones((3, 5, 4), np.float32)], {"axis": -2}),
    ("CumSum", [FLOATS, np.array(1)], {}),
    ("GatherElements", [FLOATS, np.zeros((2, 1, 3), np.int64)], {"axis": 1}),
    ("GatherND", [FLOATS, np.zeros((6, 2), np.int64)], {}),
    ("GatherND", [FLOATS, np.zeros((3, 5, 1), np.int64)], {"batch_dims": 1}),
    ("GridSample", [np.ones((2, 3, 4, 5), np.float32), np.ones((2, 6, 7, 2), np.float32)], {}),
    ("GlobalAveragePool", [np.ones((2, 3, 4, 5), np.float32)], {}),
    ("GlobalLpPool", [np.ones((2, 3, 4), np.float32)], {}),
    ("InstanceNormalization", [np.ones((2, 3, 4), np.float32), *[np.ones(3, np.float32)] * 2], {}),
    ("LayerNormalization", [FLOATS, np.ones(4, np.float32)], {}),
    ("MatMul", [np.ones((2, 1, 3, 4), np.float32), np.ones((5, 4, 6), np.float32)], {}),
    ("MatMulInteger", [np.ones((3, 4), np.uint8), np.ones((4, 2), np.int8)], {}),
    ("Min", [FLOATS, ROW, ROW], {}),
    ("PRelu", [FLOATS, np.ones(4, np.float32)], {}),
    ("Pad", [FLOATS, np.array([1, 0, 2, 0, 3, 4])], {}),
    ("QuantizeLinear", [FLOATS, np.float32(1), np.int8(0)], {}),
    ("QuantizeLinear", [FLOATS, np.float32(1)], {}),
    ("ReduceMax", [FLOATS], {}),
    ("ReduceMean", [FLOATS, np.array([0, -1])], {"keepdims": 0}),
    ("ReduceSum", [FLOATS, np.array([2])], {}),
    ("ReverseSequence", [FLOATS, np.ones(1, np.int64)], {"time_axis": 0, "batch_axis": 1}),
    (
        "RoiAlign",
        [np.ones((2, 3, 4, 5), np.float32), np.ones((6, 4), np.float32), np.zeros(6, np.int64)],
        {"output_height": 2, "output_width": 3},
    ),
    ("ScatterElements", [FLOATS, np.zeros((1, 1, 2), np.int64), np.ones((1, 1, 2), np.float32)], {}),
    ("ScatterND", [FLOATS, np.zeros((2, 1), np.int64), np.ones((2, 1, 4), np.float32)], {}),
    ("Slice", [FLOATS, np.array([1]), np.array([2])], {}),
    ("Slice", [FLOATS, np.array([3, -1]), np.array([0, -100]), np.array([-1, 0]), np.array([-2, -1])], {}),
    ("Split", [FLOATS], {"axis": -1, "num_outputs": 3}),
    ("Split", [FLOATS, np.array([1, 3])], {"axis": 2}),
    ("Tile", [FLOATS, np.array([2, 3, 1])], {}),
    ("TopK", [FLOATS, np.array([2])], {}),
    ("Transpose", [FLOATS], {"perm": [0, 2, 1]}),
    ("Trilu", [FLOATS], {}),
    ("Unsqueeze", [FLOATS, np.array([0, -1])], {}),
]
NODES += [(op_type, [FLOATS], {}) for op_type in (
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Celu", "Cos", "Cosh", "Elu", "Erf", "Exp",
    "Floor", "Gelu", "HardSigmoid", "HardSwish", "Hardmax", "Identity", "IsInf", "LeakyRelu", "Log", "LogSoftmax",
    "Neg", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMin", "ReduceProd",
    "ReduceSumSquare", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softmax", "Softplus",
    "Softsign", "Sqrt", "Tan", "Tanh", "ThresholdedRelu",
)]  # fmt: skip
NODES += [(op_type, [FLOATS, ROW], {}) for op_type in (
    "Div", "Equal", "Greater", "GreaterOrEqual", "LessOrEqual", "Max", "Mul", "Pow",
)]  # fmt: skip
NODES += [("And", [BOOLS, BOOLS], {}), ("Not", [BOOLS], {}), ("Or", [BOOLS, BOOLS[:, :, :1]], {})]

OUTPUTS = {"Split": 2, "TopK": 2}
"""The number of outputs of operators that have several, where the attributes do not say."""
INFERRED = {
    "AveragePool", "Conv", "ConvInteger", "ConvTranspose", "DFT", "DeformConv", "DynamicQuantizeLinear", "GRU", "If",
    "LSTM", "LpPool", "MaxPool", "MaxUnpool", "RNN", "Range", "Resize", "STFT", "Scan",
}  # fmt: skip
"""Emitted operators that are left to the inference: it is rare that they depend on constants alone."""


@pytest.mark.parametrize(
    ("op_type", "values", "attributes"), NODES, ids=[f"{i} {row[0]}" for i, row in enumerate(NODES)]
)
def test_a_known_shape_is_the_inferred_one(op_type: str, values: list[Any], attributes: dict[str, Any]) -> None:
    tensors = [numpy_helper.from_array(np.asarray(value), f"i{i}") for i, value in enumerate(values)]
    outputs = [f"y{i}" for i in range(attributes.get("num_outputs", OUTPUTS.get(op_type, 1)))]
    node = helper.make_node(op_type, [tensor.name for tensor in tensors], outputs, **attributes)
    named = {tensor.name: tensor for tensor in tensors}
    found = known_results(node, {name: known_tensor(tensor) for name, tensor in named.items()}, named)
    graph = helper.make_graph([node], "g", [], [], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    inferred = {value.name: value.type.tensor_type for value in shape_inference.infer_shapes(model).graph.value_info}
    kinds = [inferred[name] for name in outputs]
    assert found == [(kind.elem_type, tuple(dim.dim_value for dim in kind.shape.dim)) for kind in kinds]


def test_every_operator_that_a_lowering_emits_is_known_or_said_to_be_left_to_the_inference() -> None:
    assert emitted_operators() - KNOWN == INFERRED
    assert {op_type for op_type, _, _ in NODES} >= KNOWN & emitted_operators()


@pytest.mark.parametrize("values", [[FLOATS, np.array([0, -1])], [FLOATS, np.array([3, -1])]])
def test_a_list_of_sizes_that_has_to_be_worked_out_is_left_to_the_inference(values: list[Any]) -> None:
    tensors = {name: numpy_helper.from_array(value, name) for name, value in zip("ab", values, strict=True)}
    known = {name: known_tensor(tensor) for name, tensor in tensors.items()}
    assert known_results(helper.make_node("Reshape", ["a", "b"], ["y"]), known, tensors) is None
    assert known_results(helper.make_node("Resize", ["a", "", "b"], ["y"]), known, tensors) is None


@pytest.mark.parametrize("op_type", ["Expand", "Pad", "ReduceSum", "Reshape", "Slice", "Split", "Tile", "TopK"])
def test_sizes_that_are_computed_are_left_to_the_inference(op_type: str) -> None:
    node = helper.make_node(op_type, ["a", "b", "b"], ["y"])
    assert known_results(node, {"a": (TensorProto.FLOAT, (3, 1, 4)), "b": (TensorProto.INT64, (3,))}, {}) is None
