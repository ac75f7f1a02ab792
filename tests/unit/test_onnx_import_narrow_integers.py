"""int16 and uint16 are held by int32, and wrap where they do in ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.direct import direct_builder, ops
from tests.onnx_nodes import Array, Fixed, Given, by_onnxruntime, by_reference, check_node, computed, random
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Backend
from webnn.formats.onnx import import_onnx

NARROW = [np.int16, np.uint16]


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("given", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_casts_wrap(backend: Backend, dtype: Any, given: str) -> None:
    to = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    x = random(1, 3, 50, dtype=given)
    check_node(backend, "Cast", [x], to=to, tolerance=0)
    check_node(backend, "CastLike", [x, np.zeros(1, dtype)], tolerance=0)


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize(("op_type", "count"), [("Add", 2), ("Sub", 2), ("Mul", 2), ("BitwiseNot", 1)])
@pytest.mark.parametrize("known", [False, True])
def test_results_wrap(backend: Backend, dtype: Any, op_type: str, count: int, known: bool) -> None:
    inputs: list[Given] = [random(i, 3, 40, dtype=dtype) for i in range(count)]
    if known and count == 2:
        inputs[1] = Fixed(np.asarray(inputs[1]))
    # onnxruntime has no kernel for the sum of int16.
    check_node(backend, op_type, inputs, tolerance=0, expected=by_reference if op_type == "Add" else by_onnxruntime)


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("given", [np.float32, np.float64])
def test_floats_become_numbers_of_the_range(backend: Backend, dtype: Any, given: Any) -> None:
    x = (random(1, 3, 50) * 50000).astype(given)
    check_node(backend, "Cast", [x], to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), tolerance=0)


def test_bits_that_are_shifted_out_are_lost(backend: Backend) -> None:
    x, by = random(1, 3, 40, dtype=np.uint16), np.arange(120, dtype=np.uint16).reshape(3, 40) % 16
    check_node(backend, "BitShift", [x, by], direction="LEFT", tolerance=0)
    check_node(backend, "BitShift", [x, Fixed(by)], direction="RIGHT", tolerance=0)


def chain(dtype: Any) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """A sum of values that were moved, chosen and joined on the way, and then widened."""
    element_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"]),
        helper.make_node("Where", ["c", "t", "w"], ["chosen"]),
        helper.make_node("Concat", ["w", "chosen"], ["joined"], axis=0),
        helper.make_node("Add", ["joined", "joined"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    x, w = random(1, 5, 4, dtype=dtype), random(2, 4, 5, dtype=dtype)
    infos = [
        helper.make_tensor_value_info("x", element_type, x.shape),
        helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, [4, 5]),
    ]
    outputs = [onnx.ValueInfoProto(name="y")]
    graph = helper.make_graph(nodes, "chain", infos, outputs, [numpy_helper.from_array(w, "w")])
    feeds = {"x": x, "c": np.arange(20).reshape(4, 5) % 3 == 0}
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), feeds


@pytest.mark.parametrize("dtype", NARROW)
def test_values_keep_their_type_on_the_way(backend: Backend, dtype: Any) -> None:
    model, feeds = chain(dtype)
    np.testing.assert_array_equal(computed(model, feeds, backend)[0], by_reference(model, feeds)[0])


def test_what_cannot_leave_the_range_is_not_wrapped() -> None:
    for op_type, inputs in {"Max": 2, "Reshape": 1, "Identity": 1}.items():
        given = [helper.make_tensor_value_info(f"x{i}", onnx.TensorProto.INT16, [3]) for i in range(inputs)]
        names = [info.name for info in given] + (["shape"] if op_type == "Reshape" else [])
        shape = [numpy_helper.from_array(np.array([3, 1]), "shape")]
        nodes = [helper.make_node(op_type, names, ["y"])]
        graph = helper.make_graph(nodes, "one", given, [onnx.ValueInfoProto(name="y")], shape)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        builder = direct_builder(ArraysBackend())
        assert ops(builder.build(import_onnx(model, builder))) == [op_type.lower()]
