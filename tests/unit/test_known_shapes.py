"""Shapes that are known without onnx's shape inference are those that it infers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, shape_inference

from webnn.backends.onnxruntime.known_shapes import known_result, known_tensor

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
]
NODES += [(op_type, [FLOATS], {}) for op_type in (
    "Abs", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "IsInf",
    "LeakyRelu", "Log", "Neg", "Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Sin", "Softmax", "Softplus",
    "Softsign", "Sqrt", "Tan", "Tanh",
)]  # fmt: skip


@pytest.mark.parametrize(
    ("op_type", "values", "attributes"), NODES, ids=[f"{i} {row[0]}" for i, row in enumerate(NODES)]
)
def test_a_known_shape_is_the_inferred_one(op_type: str, values: list[Any], attributes: dict[str, Any]) -> None:
    tensors = [numpy_helper.from_array(np.asarray(value), f"i{i}") for i, value in enumerate(values)]
    node = helper.make_node(op_type, [tensor.name for tensor in tensors], ["y"], **attributes)
    named = {tensor.name: tensor for tensor in tensors}
    found = known_result(node, {name: known_tensor(tensor) for name, tensor in named.items()}, named)
    graph = helper.make_graph([node], "g", [], [], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    (value,) = shape_inference.infer_shapes(model).graph.value_info
    kind = value.type.tensor_type
    assert found == (kind.elem_type, tuple(dim.dim_value for dim in kind.shape.dim))


@pytest.mark.parametrize("values", [[FLOATS, np.array([0, -1])], [FLOATS, np.array([3, -1])]])
def test_a_list_of_sizes_that_has_to_be_worked_out_is_left_to_the_inference(values: list[Any]) -> None:
    tensors = {name: numpy_helper.from_array(value, name) for name, value in zip("ab", values, strict=True)}
    known = {name: known_tensor(tensor) for name, tensor in tensors.items()}
    assert known_result(helper.make_node("Reshape", ["a", "b"], ["y"]), known, tensors) is None
    assert known_result(helper.make_node("TopK", ["a"], ["y"]), known, tensors) is None
