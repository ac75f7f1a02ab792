from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

from tests.direct import call, compute, direct_builder
from webnn.backends.base import Backend
from webnn.errors import ValidationError
from webnn.graph.dtypes import ALL, FLOATS, SIGNED, DataType, numpy_dtype

FUNCTIONS: Final[dict[str, tuple[dict[str, float], Callable[..., float]]]] = {
    "elu": ({"alpha": 1.5}, lambda x, alpha: x if x > 0 else alpha * math.expm1(x)),
    "gelu": ({}, lambda x: 0.5 * x * math.erfc(-x / math.sqrt(2))),
    "hard_sigmoid": ({"alpha": 0.25, "beta": 0.375}, lambda x, alpha, beta: max(0.0, min(1.0, alpha * x + beta))),
    "hard_swish": ({}, lambda x: x * max(0, min(6, x + 3)) / 6),
    "leaky_relu": ({"alpha": 0.125}, lambda x, alpha: max(0, x) + alpha * min(0, x)),
    "linear": ({"alpha": -2.5, "beta": 0.75}, lambda x, alpha, beta: alpha * x + beta),
    "relu": ({}, lambda x: max(0, x)),
    "sigmoid": ({}, lambda x: 1 / (1 + math.exp(-x))),
    "softplus": ({}, lambda x: math.log1p(math.exp(-abs(x))) + max(x, 0)),
    "softsign": ({}, lambda x: x / (1 + abs(x))),
    "tanh": ({}, math.tanh),
}
DEFAULTS: Final = {
    "elu": {"alpha": 1.0},
    "hard_sigmoid": {"alpha": 0.2, "beta": 0.5},
    "leaky_relu": {"alpha": 0.01},
    "linear": {"alpha": 1.0, "beta": 0.0},
}
TOLERANCE: Final = {"float32": 2e-6, "float16": 2e-3}


@pytest.mark.parametrize("data_type", FLOATS)
@pytest.mark.parametrize("op", FUNCTIONS)
def test_functions_agree_with_their_formula(backend: Backend, op: str, data_type: DataType) -> None:
    options, formula = FUNCTIONS[op]
    x = np.linspace(-12, 12, 98).reshape(2, 7, 7).astype(numpy_dtype(data_type))
    x[0, 0, 0] = 0
    for given, used in ((options, options), ({}, DEFAULTS.get(op, {}))):
        expected = np.vectorize(lambda v, used=used: float(formula(v, **used)))(x.astype(np.float64))
        result = compute(backend, call(op, **given), x)
        np.testing.assert_allclose(result, expected, rtol=TOLERANCE[data_type], atol=TOLERANCE[data_type])


@pytest.mark.parametrize("op", [*FUNCTIONS, "clamp"])
def test_functions_keep_every_rank_and_nan(backend: Backend, op: str) -> None:
    options = {"max_value": 1} if op == "clamp" else {}
    for shape in ((), (1,), (2, 1, 1, 1, 1, 1, 1, 9)):
        for data_type in FLOATS:
            result = compute(backend, call(op, **options), np.full(shape, math.nan, data_type))
            assert (result.shape, result.dtype) == (shape, numpy_dtype(data_type))
            assert np.isnan(result).all()


@pytest.mark.parametrize(
    ("op", "below", "above"),
    [
        ("elu", -1, math.inf),
        ("hard_sigmoid", 0, 1),
        ("leaky_relu", -math.inf, math.inf),
        ("linear", -math.inf, math.inf),
        ("relu", 0, math.inf),
        ("sigmoid", 0, 1),
        ("softplus", 0, math.inf),
        ("tanh", -1, 1),
    ],
)
def test_functions_reach_their_limits(backend: Backend, op: str, below: float, above: float) -> None:
    x = np.array([-math.inf, math.inf], np.float32)
    assert compute(backend, call(op), x).tolist() == [below, above]


def test_a_sigmoid_keeps_its_digits_near_zero(backend: Backend) -> None:
    x = np.linspace(-80, 0, 50, dtype=np.float32)
    np.testing.assert_allclose(compute(backend, call("sigmoid"), x), 1 / (1 + np.exp(-x.astype("d"))), rtol=1e-6)


@pytest.mark.parametrize("data_type", ["int32", "int64", "int8"])
def test_integers_rectify_exactly(backend: Backend, data_type: DataType) -> None:
    info = np.iinfo(numpy_dtype(data_type))
    x = np.array([info.min, -3, 0, 5, info.max], numpy_dtype(data_type))
    assert compute(backend, call("relu"), x).tolist() == [0, 0, 0, 5, info.max]
    slope = np.array([[2], [-1]], x.dtype)
    with np.errstate(over="ignore"):
        expected = np.where(x < 0, x * slope, x)
    assert compute(backend, call("prelu"), x, slope).tolist() == expected.tolist()


@pytest.mark.parametrize("data_type", SIGNED)
def test_a_clamp_may_follow_a_relu(backend: Backend, data_type: DataType) -> None:
    """onnxruntime fuses the two, and fails to do so for small integers."""
    x = np.array([-1, 2, 8], numpy_dtype(data_type))
    result = compute(backend, lambda b, x: b.clamp(b.relu(x), min_value=0, max_value=6), x)
    assert result.tolist() == [0, 2, 6]


@pytest.mark.parametrize("data_type", SIGNED)
@pytest.mark.parametrize(
    ("shape", "slope_shape"),
    [((2, 3), (3,)), ((3,), (2, 3)), ((2, 1), (1, 3)), ((), ()), ((), (2,)), ((2, 1, 1, 1, 1, 1, 2, 1), (3, 1, 1))],
)
def test_prelu_broadcasts_both_operands(
    backend: Backend, data_type: DataType, shape: tuple[int, ...], slope_shape: tuple[int, ...]
) -> None:
    x = np.arange(math.prod(shape)).reshape(shape).astype(numpy_dtype(data_type)) - x_middle(shape)
    slope = np.arange(math.prod(slope_shape)).reshape(slope_shape).astype(x.dtype) + x.dtype.type(2)
    result = compute(backend, call("prelu"), x, slope)
    np.testing.assert_array_equal(result, np.where(x < 0, x * slope, np.broadcast_arrays(x, slope)[0]))


def x_middle(shape: tuple[int, ...]) -> Any:
    return np.int8(math.prod(shape) // 2 + 1)


@pytest.mark.parametrize("data_type", FLOATS)
def test_softmax_adds_up_along_its_axis(backend: Backend, data_type: DataType) -> None:
    x = np.random.default_rng(0).normal(0, 300, (2, 3, 4)).astype(numpy_dtype(data_type))
    for axis in range(3):
        wide = np.exp(x.astype(np.float64) - x.max(axis=axis, keepdims=True))
        expected = wide / wide.sum(axis=axis, keepdims=True)
        np.testing.assert_allclose(
            compute(backend, call("softmax", axis=axis), x),
            expected,
            rtol=TOLERANCE[data_type],
            atol=TOLERANCE[data_type],
        )


def test_softmax_works_up_to_the_largest_rank(backend: Backend) -> None:
    for rank in (1, 8):
        x = np.zeros((4,) + (1,) * (rank - 1), np.float32)
        assert compute(backend, call("softmax", axis=0), x).ravel().tolist() == [0.25] * 4


@pytest.mark.parametrize("data_type", ALL)
def test_clamp_limits_values_to_its_bounds(backend: Backend, data_type: DataType) -> None:
    x = np.array([[0, 1, 2, 3, 100]], numpy_dtype(data_type))
    assert compute(backend, call("clamp", min_value=1, max_value=2), x).tolist() == [[1, 1, 2, 2, 2]]
    assert compute(backend, call("clamp", min_value=2), x).tolist() == [[2, 2, 2, 3, 100]]
    assert compute(backend, call("clamp", max_value=2.4), x)[0, -1] == (
        2 if data_type not in FLOATS else x.dtype.type(2.4)
    )
    assert compute(backend, call("clamp"), x).tolist() == x.tolist()
    assert compute(backend, call("clamp", min_value=2, max_value=2), x).tolist() == [[2] * 5]
    assert compute(backend, call("clamp", max_value=1), x.reshape(5)[4].reshape(())).tolist() == 1


@pytest.mark.parametrize("data_type", ["int64", "uint64"])
def test_clamp_keeps_all_digits_of_its_bounds(backend: Backend, data_type: DataType) -> None:
    x = np.array([2**53 - 5, 2**53 + 1, 2**53 + 3, 2**62 + 7], numpy_dtype(data_type))
    result = compute(backend, call("clamp", min_value=2**53 + 1, max_value=2**62 + 5), x)
    assert result.tolist() == [2**53 + 1, 2**53 + 1, 2**53 + 3, 2**62 + 5]
    assert compute(backend, call("clamp", max_value=2**70), x).tolist() == x.tolist()
    assert compute(backend, call("clamp", min_value=-math.inf, max_value=math.inf), x).tolist() == x.tolist()


@pytest.mark.parametrize("data_type", FLOATS)
def test_clamp_leaves_infinity_where_it_has_no_bound(backend: Backend, data_type: DataType) -> None:
    x = np.array([-math.inf, math.nan, 2, math.inf] * 3, numpy_dtype(data_type))
    for options, expected in (
        ({}, [-math.inf, math.nan, 2, math.inf]),
        ({"min_value": 0}, [0, math.nan, 2, math.inf]),
        ({"max_value": 1}, [-math.inf, math.nan, 1, 1]),
        ({"min_value": math.inf}, [math.inf, math.nan, math.inf, math.inf]),
        ({"min_value": math.nan}, [math.nan] * 4),
        ({"min_value": 0, "max_value": math.nan}, [math.nan] * 4),
    ):
        np.testing.assert_array_equal(compute(backend, call("clamp", **options), x), expected * 3)


def test_options_are_rounded_to_the_data_type() -> None:
    builder = direct_builder()
    x = builder.input("x", [2], "float16")
    linear = builder.linear(x, alpha=0.1, beta=1e6)
    assert linear.node is not None
    assert dict(linear.node.attributes) == {"alpha": float(np.float16(0.1)), "beta": math.inf}
    n = builder.input("n", [2], "uint8")
    clamp = builder.clamp(n, min_value=-3.7, max_value=300.2)
    assert clamp.node is not None
    assert dict(clamp.node.attributes) == {"min_value": 0, "max_value": 255}


@pytest.mark.parametrize(
    ("data_type", "low", "high", "match"),
    [
        ("float32", 2, 1, r"min_value 2.0 is greater than max_value 1.0 \(both cast to float32\)"),
        ("float32", math.inf, -math.inf, "min_value inf is greater than max_value -inf"),
        (
            "int64",
            2**53 + 1,
            2**53,
            r"min_value 9007199254740993 is greater than max_value 9007199254740992 \(both cast to int64\)",
        ),
        ("uint64", 2**64, 2**64 - 2, "min_value 18446744073709551615 is greater than max_value 18446744073709551614"),
        ("int8", "1", None, "min_value must be a number, got '1'"),
        ("int8", None, [1], r"max_value must be a number, got \[1\]"),
        ("int8", True, None, "min_value must be a number, got True"),
    ],
)
def test_bounds_that_cross_are_refused(data_type: DataType, low: Any, high: Any, match: str) -> None:
    builder = direct_builder()
    x = builder.input("x", [2], data_type)
    with pytest.raises(ValidationError, match=rf"^\[it\] clamp: {match}"):
        builder.clamp(x, min_value=low, max_value=high, label="it")


def test_bounds_that_meet_as_values_of_the_type_are_taken() -> None:
    builder = direct_builder()
    builder.clamp(builder.input("x", [2], "int8"), min_value=300, max_value=200)
    builder.clamp(builder.input("y", [2], "float16"), min_value=1.00001, max_value=1)


@pytest.mark.parametrize(("op", "option"), [(op, option) for op, options in DEFAULTS.items() for option in options])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "1", None, [0.5], True, 10**400])
def test_options_are_finite_numbers(op: str, option: str, value: Any) -> None:
    builder = direct_builder()
    x = builder.input("x", [2], "float32")
    with pytest.raises(ValidationError, match=f"^{op}: {option} must be (finite|a number), got "):
        getattr(builder, op)(x, **{option: value})


@pytest.mark.parametrize("op", [*FUNCTIONS, "softmax"])
def test_functions_refuse_other_data_types(op: str) -> None:
    builder = direct_builder()
    options = {"axis": 0} if op == "softmax" else {}
    for data_type in ALL:
        x = builder.input(data_type, [2], data_type)
        if data_type in (SIGNED if op == "relu" else FLOATS):
            assert getattr(builder, op)(x, **options).descriptor == x.descriptor
        else:
            with pytest.raises(ValidationError, match=f"^{op}: input is {data_type}, but must be float32 or float16"):
                getattr(builder, op)(x, **options)


def test_prelu_names_operands_that_do_not_match() -> None:
    builder = direct_builder()
    x = builder.input("x", [2, 3], "float32")
    with pytest.raises(ValidationError, match=r"input \[2, 3\] and slope \[2\] cannot be broadcast together"):
        builder.prelu(x, builder.input("a", [2], "float32"))
    with pytest.raises(ValidationError, match="slope is float16, but must have the data type of input, float32"):
        builder.prelu(x, builder.input("b", [3], "float16"))
    with pytest.raises(ValidationError, match="input is uint8, but must be float32 or float16 or int32"):
        builder.prelu(builder.input("c", [2], "uint8"), x)


@pytest.mark.parametrize(
    ("axis", "match"),
    [
        (2, r"axis 2 is out of range for shape \[2, 3\] of rank 2 \(valid axes: 0, 1\)"),
        (2**32, r"axis 4294967296 is out of range for shape \[2, 3\] of rank 2"),
        (-1, r"axis -1 is out of range for shape \[2, 3\] of rank 2 \(valid axes: 0, 1\)"),
        (0.5, "axis must be an integer, got 0.5"),
        (True, "axis must be an integer, got True"),
        (None, "axis must be an integer, got None"),
        ("0", "axis must be an integer, got '0'"),
    ],
)
def test_softmax_requires_an_axis_in_range(axis: Any, match: str) -> None:
    builder = direct_builder()
    with pytest.raises(ValidationError, match=f"^softmax: {match}"):
        builder.softmax(builder.input("x", [2, 3], "float32"), axis)


def test_softmax_requires_an_axis() -> None:
    builder = direct_builder()
    with pytest.raises(ValidationError, match=r"softmax: input \[\] has rank 0, but must have rank 1 to 8"):
        builder.softmax(builder.input("x", [], "float32"), 0)
