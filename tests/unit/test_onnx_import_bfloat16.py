"""bfloat16 tensors of ONNX models: float32 that holds bfloat16 values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper

from tests.direct import direct_builder
from tests.onnx_nodes import Array, by_onnxruntime, by_reference, computed, random
from webnn.backends.base import Backend
from webnn.formats.onnx import import_onnx

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def model_of(
    nodes: Sequence[NodeProto], inputs: Mapping[str, Array], outputs: Mapping[str, int], **constants: Array
) -> ModelProto:
    """A model of `nodes`; `outputs` says the element type of each."""
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in inputs.items()
    ]
    results = [helper.make_tensor_value_info(name, element_type, None) for name, element_type in outputs.items()]
    weights = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "graph", infos, results, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def rounded(array: Array) -> Array:
    with np.errstate(all="ignore"):
        return array.astype(BFLOAT16).astype(np.float32)


def every_kind_of_number() -> Array:
    """Each number of bfloat16, with the lower bits of float32 at which roundings differ."""
    upper = np.arange(1 << 16, dtype=np.uint32)[:, None] << 16
    lower = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    return np.asarray((upper | lower).reshape(-1).view(np.float32))


def test_a_cast_rounds_every_number_to_nearest_even(backend: Backend) -> None:
    x = every_kind_of_number()
    nodes = [
        helper.make_node("Cast", ["x"], ["narrow"], to=TensorProto.BFLOAT16),
        helper.make_node("Cast", ["narrow"], ["y"], to=TensorProto.FLOAT),
    ]
    model = model_of(nodes, {"x": x}, {"y": TensorProto.FLOAT})
    (y,) = computed(model, {"x": x}, backend)
    np.testing.assert_array_equal(y, rounded(x))  # NaN equals NaN here
    np.testing.assert_array_equal(y, by_onnxruntime(model, {"x": x})[0])


def test_a_cast_that_does_not_round_would_be_seen() -> None:
    x = every_kind_of_number()
    assert not np.array_equal(x, rounded(x), equal_nan=True)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32", "int64", "uint8", "int8", "uint16", "bool"])
def test_a_cast_from_any_type_rounds(backend: Backend, dtype: Any) -> None:
    x = (
        (random(0, 4, 50) * 1000).astype(np.int16).astype(dtype)
        if dtype != "float16"
        else random(0, 4, 50, dtype=dtype)
    )
    nodes = [
        helper.make_node("Cast", ["x"], ["narrow"], to=TensorProto.BFLOAT16),
        helper.make_node("Cast", ["narrow"], ["y"], to=TensorProto.FLOAT),
    ]
    model = model_of(nodes, {"x": x}, {"y": TensorProto.FLOAT})
    held = x.astype({"float64": "float32", "uint16": "int32", "bool": "uint8"}.get(dtype, dtype))
    (y,) = computed(model, {"x": held}, backend)
    np.testing.assert_array_equal(y, by_reference(model, {"x": x})[0])


def test_a_cast_of_integers_that_were_computed_as_floats_rounds(backend: Backend) -> None:
    a, b = random(0, 4, 100, dtype=np.uint8), random(1, 100, 5, dtype=np.uint8)
    nodes = [
        helper.make_node("MatMulInteger", ["a", "b"], ["product"]),
        helper.make_node("Cast", ["product"], ["y"], to=TensorProto.BFLOAT16),
    ]
    inputs = {"a": a, "b": b}
    (y,) = computed(model_of(nodes, inputs, {"y": TensorProto.BFLOAT16}), inputs, backend)
    np.testing.assert_array_equal(y, rounded(a.astype(np.int32) @ b.astype(np.int32)))


def test_a_result_of_an_operator_without_a_schema_has_the_type_of_its_first_input(backend: Backend) -> None:
    x, w = random(0, 4, 8).astype(BFLOAT16), random(1, 8, 5).astype(BFLOAT16)
    nodes = [helper.make_node("FusedMatMul", ["x", "w"], ["y"], domain="com.microsoft", alpha=0.3)]
    model = model_of(nodes, {"x": x}, {"y": TensorProto.BFLOAT16}, w=w)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    (y,) = computed(model, {"x": x.astype(np.float32)}, backend)
    np.testing.assert_array_equal(y, rounded(y))
    np.testing.assert_allclose(y, 0.3 * x.astype(np.float32) @ w.astype(np.float32), rtol=2**-8, atol=1e-6)


@pytest.mark.parametrize("to", ["FLOAT16", "DOUBLE", "INT32", "BFLOAT16"])
def test_a_chain_of_casts_rounds_where_it_passes_bfloat16(backend: Backend, to: str) -> None:
    x = random(1, 3, 40) * 100
    nodes = [
        helper.make_node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["half"], ["narrow"], to=TensorProto.BFLOAT16),
        helper.make_node("Cast", ["narrow"], ["other"], to=TensorProto.DataType.Value(to)),
        helper.make_node("Cast", ["other"], ["y"], to=TensorProto.FLOAT),
    ]
    model = model_of(nodes, {"x": x}, {"y": TensorProto.FLOAT})
    (y,) = computed(model, {"x": x}, backend)
    np.testing.assert_array_equal(y, by_reference(model, {"x": x})[0])


@pytest.mark.parametrize("known", [True, False])
def test_cast_like_takes_the_type_of_a_bfloat16_tensor(backend: Backend, known: bool) -> None:
    x, like = random(2, 3, 40), np.ones(2, BFLOAT16)
    nodes = [
        helper.make_node("Cast", ["like"], ["wanted"], to=TensorProto.BFLOAT16),
        helper.make_node("Relu", ["wanted"], ["positive"]),
        helper.make_node("CastLike", ["x", "positive"], ["y"]),
    ]
    if known:
        model = model_of(nodes, {"x": x}, {"y": TensorProto.BFLOAT16}, like=like)
        (y,) = computed(model, {"x": x}, backend)
    else:
        inputs = {"x": x, "like": like.astype(np.float32)}
        model = model_of(nodes, inputs, {"y": TensorProto.BFLOAT16})
        (y,) = computed(model, inputs, backend)
    np.testing.assert_array_equal(y, rounded(x))


def test_numbers_that_are_rounded_already_are_cast_without_an_operator(backend: Backend) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["a"], to=TensorProto.BFLOAT16),
        helper.make_node("Transpose", ["a"], ["b"]),
        helper.make_node("Cast", ["b"], ["c"], to=TensorProto.BFLOAT16),
        helper.make_node("Neg", ["c"], ["y"]),
    ]
    model = model_of(nodes, {"x": random(3, 4, 5)}, {"y": TensorProto.BFLOAT16})
    builder = direct_builder(backend)
    graph = builder.build(import_onnx(model, builder))
    operators = [node.op for node in graph.nodes]
    assert operators.count("is_infinite") == 1
    assert operators[-2:] == ["transpose", "neg"]


def test_a_model_in_bfloat16_is_rounded_after_each_node(backend: Backend) -> None:
    x, w, bias = (random(i, *shape).astype(BFLOAT16) for i, shape in enumerate([(4, 8), (8, 6), (6,)]))
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["gate"]),
        helper.make_node("Mul", ["gate", "sum"], ["product2"]),
        helper.make_node("Split", ["product2"], ["left", "right"], axis=1, num_outputs=2),
        helper.make_node("Sub", ["left", "right"], ["y"]),
        helper.make_node("Greater", ["left", "right"], ["z"]),
    ]
    outputs = {"y": TensorProto.BFLOAT16, "product": TensorProto.BFLOAT16, "z": TensorProto.BOOL}
    model = model_of(nodes, {"x": x}, outputs, w=w, bias=bias)
    y, product, z = computed(model, {"x": x.astype(np.float32)}, backend)
    exact = x.astype(np.float32) @ w.astype(np.float32)
    np.testing.assert_allclose(product, exact, rtol=2**-8, atol=1e-6)
    total = rounded(rounded(product) + bias.astype(np.float32))
    gated = rounded(rounded(1 / (1 + np.exp(-total))) * total)
    np.testing.assert_allclose(y, rounded(gated[:, :3] - gated[:, 3:]), rtol=2**-7, atol=2**-9)
    np.testing.assert_array_equal(z, gated[:, :3] > gated[:, 3:])
    for result in (y, product):
        np.testing.assert_array_equal(result, rounded(result))


def test_an_input_in_bfloat16_is_rounded_as_it_comes_in(backend: Backend) -> None:
    x = random(5, 4, 8)
    model = model_of([helper.make_node("Identity", ["x"], ["y"])], {"x": x.astype(BFLOAT16)}, {"y": 16})
    (y,) = computed(model, {"x": x}, backend)
    np.testing.assert_array_equal(y, rounded(x))


@pytest.mark.parametrize(
    "op_type", ["Add", "Sub", "Mul", "Div", "Max", "Exp", "Sqrt", "ReduceMean", "ReduceSum", "Softmax"]
)
def test_constants_in_bfloat16_are_folded_as_the_reference_computes_them(backend: Backend, op_type: str) -> None:
    binary = op_type in {"Add", "Sub", "Mul", "Div", "Max"}
    a, b = (np.abs(random(i, 3, 64)).astype(BFLOAT16) for i in (6, 7))
    nodes = [
        helper.make_node(op_type, ["a", "b"] if binary else ["a"], ["known"]),
        helper.make_node("Cast", ["known"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["wide", "x"], ["y"]),
    ]
    x = np.zeros(1, np.float32)
    model = model_of(nodes, {"x": x}, {"y": TensorProto.FLOAT}, a=a, **({"b": b} if binary else {}))
    (y,) = computed(model, {"x": x}, backend)
    np.testing.assert_array_equal(y, rounded(y))
    wide = {name: array.astype(np.float32) for name, array in [("a", a), ("b", b)][: 1 + binary]}
    exact = by_reference(model_of([helper.make_node(op_type, list(wide), ["y"])], wide, {"y": TensorProto.FLOAT}), wide)
    np.testing.assert_allclose(y, exact[0], rtol=2**-8)


def test_loops_and_branches_pass_bfloat16_on(backend: Backend) -> None:
    x, condition = random(8, 3, 4), np.array(True)
    branch = {
        name: helper.make_graph(
            [helper.make_node(op, ["narrow"], [f"{op}_out"])],
            name,
            [],
            [helper.make_tensor_value_info(f"{op}_out", 16, None)],
        )
        for name, op in (("then_branch", "Neg"), ("else_branch", "Abs"))
    }
    body = helper.make_graph(
        [helper.make_node("Identity", ["keep"], ["again"]), helper.make_node("Mul", ["state", "state"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("keep", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.BFLOAT16, None),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.BFLOAT16, None),
        ],
    )
    nodes = [
        helper.make_node("Cast", ["x"], ["narrow"], to=TensorProto.BFLOAT16),
        helper.make_node("If", ["condition"], ["chosen"], **branch),
        helper.make_node("Loop", ["trips", "", "chosen"], ["y"], body=body),
    ]
    model = model_of(nodes, {"x": x, "condition": condition}, {"y": TensorProto.BFLOAT16}, trips=np.array(2, np.int64))
    (y,) = computed(model, {"x": x, "condition": condition.astype(np.uint8)}, backend)
    squared = rounded(rounded(x) ** 2)
    np.testing.assert_array_equal(y, rounded(squared**2))
