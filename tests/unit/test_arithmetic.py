"""Python's operators and indices on operands: what they compute, and what they refuse."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.errors import InvalidStateError, ValidationError
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

Builder = MLGraphBuilder[Graph]
Array = np.ndarray[Any, Any]

X = np.array([[1, 2, 3], [4, 5, 6]], np.float32)


@pytest.fixture
def builder() -> Builder:
    return direct_builder()


def value(builder: Builder, operand: MLOperand, **inputs: Array) -> Array:
    """What `operand` computes."""
    return run_graph(builder.build({"y": builder.identity(operand)}), inputs, ArraysBackend())["y"]


@pytest.mark.parametrize(
    "expression",
    [
        lambda x: x + 2,
        lambda x: 2 + x,
        lambda x: x - 2,
        lambda x: 2 - x,
        lambda x: x * 2.5,
        lambda x: 2.5 * x,
        lambda x: x / 4,
        lambda x: 4 / x,
        lambda x: x**2,
        lambda x: 2**x,
        lambda x: -x,
        lambda x: abs(-x),
        lambda x: x * x + x,
        lambda x: x + np.array([10, 20, 30], np.float32),
        lambda x: np.array([[10], [20]], np.float32) - x,
        lambda x: x * np.float64(0.5) + np.int64(3),
        lambda x: x @ np.ones((3, 2), np.float32),
        lambda x: np.ones((4, 2), np.float32) @ x,
    ],
)
def test_an_expression_of_operands_computes_what_it_computes_of_arrays(
    builder: Builder, expression: Callable[[Any], Any]
) -> None:
    x = builder.input("x", X.shape, "float32")
    np.testing.assert_allclose(value(builder, expression(x), x=X), expression(X), rtol=1e-6)


def test_a_number_takes_the_data_type_of_the_operand(builder: Builder) -> None:
    x = builder.input("x", [2], "uint8")
    assert (x + 1).data_type == "uint8"
    assert (300.0 - builder.cast(x, "int64")).data_type == "int64"


def test_an_assignment_with_an_operator_binds_the_name_anew(builder: Builder) -> None:
    x = builder.input("x", X.shape, "float32")
    y = x
    y += 1
    y *= 2
    assert y is not x
    np.testing.assert_array_equal(value(builder, y, x=X), (X + 1) * 2)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_indices_select_what_they_select_of_arrays(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3), label="shape"))
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    key = data.draw(basic_indices(shape, allow_newaxis=True, allow_ellipsis=True, max_dims=6), label="key")
    expected = array[key]
    builder = direct_builder()
    x = builder.input("x", shape, "float32")
    if expected.size == 0:
        with pytest.raises(ValidationError, match="selects nothing along axis"):
            x[key]
    else:
        np.testing.assert_array_equal(value(builder, x[key], x=array), expected)


def test_an_index_of_everything_is_the_operand_itself(builder: Builder) -> None:
    x = builder.input("x", X.shape, "float32")
    assert x[:] is x[...] is x[:, 0:3] is x


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (lambda x: x[2], r"x\[2\]: 2 is out of range for axis 0 of shape \[2, 3\]"),
        (lambda x: x[:, -4], r"x\[:, -4\]: -4 is out of range for axis 1"),
        (lambda x: x[1:1], r"x\[1:1\]: 1:1 selects nothing along axis 0 .* cannot be 0"),
        (lambda x: x[0, 0, 0], r"x\[0, 0, 0\]: 3 indices for .* of rank 2; give at most 2"),
        (lambda x: x[..., ...], r"x\[..., ...\]: only one \.\.\. is possible"),
        (lambda x: x[True], "an index must be an integer, a slice of integers, ... or None, got True"),
        (lambda x: x[x], "got <MLOperand input 'x': .*; for computed indices, use builder.gather"),
        (lambda x: x[[0, 1]], r"got \[0, 1\]; for computed indices, use builder.gather"),
        (lambda x: x[0.5:], "got slice"),
        (lambda x: x[::0], "slice step cannot be zero"),
    ],
)
def test_other_indices_are_refused(builder: Builder, expression: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        expression(builder.input("x", X.shape, "float32"))


@pytest.mark.parametrize(
    ("data_type", "number", "message"),
    [
        ("int32", 0.5, "mul: 0.5 is not an integer from -2147483648 to 2147483647, the range of int32; .* cast"),
        ("uint8", 256, "mul: 256 is not an integer from 0 to 255, the range of uint8"),
        ("uint8", -1, "mul: -1 is not an integer from 0 to 255"),
        ("int64", float("nan"), "mul: nan is not an integer"),
        ("float32", np.ones(3), r"mul: constant: dtype 'float64' is not a WebNN data type; convert it: array.astype"),
        ("float32", np.ones(3, np.int32), "mul: b is int32, but must have the data type of a, float32"),
        ("float32", np.ones(4, np.float32), r"mul: a \[2, 3\] and b \[4\] cannot be broadcast together"),
    ],
)
def test_a_number_or_an_array_that_does_not_fit_is_refused(
    builder: Builder, data_type: Any, number: Any, message: str
) -> None:
    x = builder.input("x", X.shape, data_type)
    with pytest.raises(ValidationError, match=message):
        x * number


@pytest.mark.parametrize("other", ["1", None, True, np.True_, [1, 2, 3], {}])
def test_python_refuses_operators_with_anything_else(builder: Builder, other: Any) -> None:
    x = builder.input("x", X.shape, "float32")
    for function in (operator.add, operator.matmul):
        with pytest.raises(
            TypeError, match=r"unsupported operand type\(s\)|operand type\(s\) all returned NotImplemented"
        ):
            function(x, other)


@pytest.mark.parametrize(
    ("compare", "method"),
    [
        (operator.lt, "lesser"),
        (operator.le, "lesser_or_equal"),
        (operator.gt, "greater"),
        (operator.ge, "greater_or_equal"),
    ],
)
def test_a_comparison_names_the_method(builder: Builder, compare: Callable[[Any, Any], Any], method: str) -> None:
    x = builder.input("x", [1], "float32")
    with pytest.raises(TypeError, match=rf"use builder\.{method}\(a, b\)"):
        compare(x, 1)
    assert callable(getattr(builder, method))


def test_operands_are_not_iterated_over(builder: Builder) -> None:
    x = builder.input("x", [2], "float32")
    with pytest.raises(TypeError, match=r"cannot be iterated over: use builder\.split"):
        list(x)


def test_operators_are_refused_when_the_builder_has_built_or_is_gone() -> None:
    builder = direct_builder()
    x = builder.input("x", [2], "float32")
    builder.build({"y": x + 1})
    with pytest.raises(InvalidStateError, match="this builder has built its graph"):
        x + 1
    del builder
    with pytest.raises(InvalidStateError, match=r"the builder of <MLOperand input 'x'.* is gone: keep it"):
        x + 1
