from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
from onnx import TensorProto

from tests.direct import call, compute, direct_builder, run_graph
from webnn.backends.base import Backend
from webnn.backends.onnx.lower import lower
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.kernels import cpu_kernels
from webnn.errors import ValidationError
from webnn.graph.dtypes import ALL, FLOATS, DataType, numpy_dtype

COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "greater": operator.gt,
    "greater_or_equal": operator.ge,
    "lesser": operator.lt,
    "lesser_or_equal": operator.le,
}
LOGIC: Final[dict[str, Callable[[bool, bool], bool]]] = {
    "logical_and": operator.and_,
    "logical_or": operator.or_,
    "logical_xor": operator.xor,
}
BINARY: Final = (*COMPARISONS, *LOGIC)


def extremes(data_type: DataType) -> list[float]:
    if data_type in FLOATS:
        return [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, 6e-8, -1.5, 65504.0]
    info = np.iinfo(numpy_dtype(data_type))
    return [int(info.min), 0, 1, int(info.max) - 1, int(info.max)]


@pytest.mark.parametrize("data_type", ALL)
@pytest.mark.parametrize("op", COMPARISONS)
def test_comparisons_are_exact_and_false_for_nan(backend: Backend, op: str, data_type: DataType) -> None:
    x = np.array(extremes(data_type), numpy_dtype(data_type))
    result = compute(backend, call(op), x[:, None], x)
    assert result.dtype == np.uint8
    assert result.tolist() == [[int(COMPARISONS[op](a, b)) for b in x.tolist()] for a in x.tolist()]


@pytest.mark.parametrize("op", LOGIC)
def test_any_value_but_zero_is_true(backend: Backend, op: str) -> None:
    x = np.array([0, 1, 2, 128, 255], np.uint8)
    result = compute(backend, call(op), x[:, None], x)
    assert result.tolist() == [[int(LOGIC[op](bool(a), bool(b))) for b in x] for a in x]
    assert compute(backend, call("logical_not"), x).tolist() == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("data_type", FLOATS)
def test_nan_and_infinity_are_told_apart(backend: Backend, data_type: DataType) -> None:
    x = np.array([[math.nan, math.inf, -math.inf], [0, 65504, -1]], numpy_dtype(data_type))
    assert compute(backend, call("is_nan"), x).tolist() == [[1, 0, 0], [0, 0, 0]]
    assert compute(backend, call("is_infinite"), x).tolist() == [[0, 1, 1], [0, 0, 0]]


@pytest.mark.parametrize("op", BINARY)
def test_operands_are_broadcast_at_every_rank(backend: Backend, op: str) -> None:
    a = np.ones((2, 1, 1, 1, 1, 1, 2, 1), np.uint8)
    for b in (np.ones((3, 1, 1), np.uint8), np.array(1, np.uint8)):
        assert compute(backend, call(op), a, b).shape == np.broadcast_shapes(a.shape, b.shape)
    assert compute(backend, call(op), b, b).shape == ()


@pytest.mark.parametrize("op", ["is_nan", "is_infinite", "logical_not"])
def test_unary_operators_keep_every_rank(backend: Backend, op: str) -> None:
    for shape in ((), (1,), (2, 1, 1, 1, 1, 1, 1, 2)):
        x = np.ones(shape, np.uint8 if op == "logical_not" else np.float16)
        result = compute(backend, call(op), x)
        assert result.dtype == np.uint8
        assert result.tolist() == np.zeros(shape, np.uint8).tolist()


@pytest.mark.parametrize("data_type", ALL)
def test_where_selects_without_a_change_to_any_bit(backend: Backend, data_type: DataType) -> None:
    values = np.array(extremes(data_type), numpy_dtype(data_type))
    condition = np.array([[0], [1], [255]], np.uint8)
    other = np.array(7, values.dtype)
    expected = np.stack([np.full_like(values, 7), values, values])
    np.testing.assert_array_equal(compute(backend, call("where"), condition, values, other), expected)


def test_where_broadcasts_all_three_operands(backend: Backend) -> None:
    condition = np.array([1, 0], np.uint8).reshape(2, 1, 1, 1, 1, 1, 1, 1)
    result = compute(backend, call("where"), condition, np.ones((3, 1), np.int8), np.zeros((1, 2), np.int8))
    assert result.shape == (2, 1, 1, 1, 1, 1, 3, 2)
    assert result.reshape(2, 6).tolist() == [[1] * 6, [0] * 6]
    scalar = compute(backend, call("where"), np.array(2, np.uint8), np.array(3.0, "f"), np.array(4.0, "f"))
    assert scalar.tolist() == 3.0


def test_truth_values_stay_bool_between_operators() -> None:
    builder = direct_builder()
    x, y = (builder.input(name, [2], "float32") for name in "xy")
    both = builder.logical_and(builder.greater(x, y), builder.lesser(x, y))
    model = lower(builder.build({"z": builder.where(both, x, y)}), cpu_kernels())
    operators = [node.op_type for node in model.finish().graph.node]
    assert operators == ["Greater", "Less", "And", "Where"]


def test_truth_values_stay_bool_where_they_are_moved_and_as_outputs() -> None:
    builder = direct_builder()
    x, mask = builder.input("x", [4, 6], "float32"), builder.input("mask", [6, 4], "uint8")
    above = builder.greater(x, builder.constant("float32", 0))
    turned = builder.reshape(builder.transpose(above), [6, 4])
    both = builder.logical_and(builder.concat([turned, turned], 0), builder.concat([mask, mask], 0))
    first, second = builder.split(both, 2, axis=0)
    outputs = {
        "above": above,
        "first": first,
        "number": builder.cast(second, "float32"),
        "twice": builder.add(mask, mask),
    }
    graph = builder.build(outputs)
    numbers = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    feeds = {"x": numbers, "mask": np.full((6, 4), 3, np.uint8)}
    model = lower(graph, cpu_kernels()).finish()
    casts = [node.attribute[0].i for node in model.graph.node if node.op_type == "Cast"]
    assert casts == [TensorProto.BOOL, TensorProto.FLOAT]
    kinds = {output.name: output.type.tensor_type.elem_type for output in model.graph.output}
    assert kinds["above"] == kinds["first"] == TensorProto.BOOL
    assert kinds["twice"] == TensorProto.UINT8
    found = run_graph(graph, feeds, OnnxRuntimeBackend())
    wanted = np.greater(numbers, 0).T
    assert found["above"].dtype == np.uint8
    np.testing.assert_array_equal(found["above"], wanted.T)
    np.testing.assert_array_equal(found["first"], wanted)
    np.testing.assert_array_equal(found["number"], wanted)
    np.testing.assert_array_equal(found["twice"], 6)
    exported = lower(graph).finish().graph.output
    assert all(output.type.tensor_type.elem_type != TensorProto.BOOL for output in exported)


@pytest.mark.parametrize("op", BINARY)
def test_two_operands_must_match(op: str) -> None:
    builder = direct_builder()
    a, b = builder.input("a", [2, 3], "uint8"), builder.input("b", [4], "uint8")
    with pytest.raises(ValidationError, match=rf"^\[it\] {op}: a \[2, 3\] and b \[4\] cannot be broadcast together$"):
        getattr(builder, op)(a, b, label="it")
    c = builder.input("c", [2, 3], "int8")
    with pytest.raises(ValidationError, match=f"^{op}: b is int8, but must (be|have)"):
        getattr(builder, op)(a, c)


@pytest.mark.parametrize("op", [*LOGIC, "logical_not"])
def test_logical_operators_require_uint8(op: str) -> None:
    builder = direct_builder()
    x = builder.input("x", [2], "float32")
    with pytest.raises(
        ValidationError, match=rf"^{op}: a is float32, but must be uint8; convert it: builder.cast\(a, 'uint8'\)$"
    ):
        getattr(builder, op)(*[x] * (1 if op == "logical_not" else 2))


@pytest.mark.parametrize("op", ["is_nan", "is_infinite"])
def test_only_floats_can_be_nan_or_infinite(op: str) -> None:
    builder = direct_builder()
    for data_type in ALL[2:]:
        x = builder.input(data_type, [2], data_type)
        with pytest.raises(ValidationError, match=f"^{op}: a is {data_type}, but must be float32 or float16$"):
            getattr(builder, op)(x)


def test_where_names_operands_that_do_not_match() -> None:
    builder = direct_builder()
    condition = builder.input("condition", [2, 1], "uint8")
    a, b = builder.input("a", [3], "float32"), builder.input("b", [4], "float32")
    with pytest.raises(
        ValidationError,
        match=r"where: condition \[2, 1\] and true_value \[3\] and false_value \[4\] cannot be broadcast together",
    ):
        builder.where(condition, a, b)
    with pytest.raises(ValidationError, match="where: condition is float32, but must be uint8"):
        builder.where(a, a, a)
    with pytest.raises(ValidationError, match="false_value is uint8, but must have the data type of true_value"):
        builder.where(condition, a, condition)


@pytest.mark.parametrize("data_type", ["float32", "float16", "int32", "uint8", "int64"])
def test_what_differs_from_0_is_a_cast(backend: Backend, data_type: DataType) -> None:
    x = np.array([0, 1, 2, 100, -0.0, np.nan, np.inf, -3, 1e-7, 6e-8], np.float64)
    x = x.astype(data_type) if data_type.startswith("float") else np.abs(x[:4]).astype(data_type)
    builder = direct_builder()
    given = builder.input("x", x.shape, data_type)
    zeros = builder.constant(np.zeros([2, 1], x.dtype))
    made = {"y": builder.not_equal(given, builder.constant(data_type, 0)), "wider": builder.not_equal(given, zeros)}
    found = run_graph(builder.build(made), {"x": x}, backend)
    np.testing.assert_array_equal(found["y"], x != 0)
    np.testing.assert_array_equal(found["wider"], np.broadcast_to(x != 0, (2, len(x))))
    builder = direct_builder()
    given = builder.input("x", x.shape, data_type)
    graph = builder.build({"y": builder.not_equal(given, builder.constant(data_type, 0))})
    assert [node.op_type for node in lower(graph).finish().graph.node] == ["Cast", "Cast"]
