from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

from tests.direct import call, compute, direct_builder
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Backend
from webnn.backends.onnx.lower import lower
from webnn.backends.onnxruntime.kernels import cpu_kernels
from webnn.errors import ValidationError
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.dtypes import ALL, FLOATS, SIGNED, DataType, element_bits, numpy_dtype

BINARY: Final = ("add", "sub", "mul", "div", "max", "min", "pow")
FLOAT_UNARY: Final = ("ceil", "cos", "erf", "exp", "floor", "log", "reciprocal", "round_even", "sin", "sqrt", "tan")
INTEGERS: Final = tuple(data_type for data_type in ALL if data_type not in FLOATS)
EPSILON: Final = {"float32": 6e-7, "float16": 1e-3}


def wrapped(value: int, data_type: DataType) -> int:
    bits = element_bits(data_type)
    value %= 2**bits
    return value if data_type.startswith("u") or value < 2 ** (bits - 1) else value - 2**bits


def bounds(data_type: DataType) -> tuple[int, int]:
    info = np.iinfo(numpy_dtype(data_type))
    return int(info.min), int(info.max)


def edges(data_type: DataType) -> list[int]:
    low, high = bounds(data_type)
    near = {low, low + 1, low // 2, -3, -2, -1, 0, 1, 2, 3, 7, 10, 63, high // 2 + 1, high - 1, high}
    return sorted(value for value in near if low <= value <= high)


def truncated_quotient(a: int, b: int) -> int:
    if b == 0:
        return 0
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def truncated_power(a: int, b: int) -> int:
    if b >= 0:
        return pow(a, b, 2**64)
    return {1: 1, -1: -1 if b % 2 else 1}.get(a, 0)


EXACT: Final[dict[str, Callable[[int, int], int]]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": truncated_quotient,
    "max": max,
    "min": min,
    "pow": truncated_power,
}


@pytest.mark.parametrize("data_type", INTEGERS)
@pytest.mark.parametrize("op", BINARY)
def test_integers_are_exact_and_wrap_around(backend: Backend, op: str, data_type: DataType) -> None:
    values = edges(data_type)
    column = np.array(values, numpy_dtype(data_type))[:, None]
    expected = [[wrapped(EXACT[op](a, b), data_type) for b in values] for a in values]
    result = compute(backend, call(op), column, column[:, 0])
    assert result.tolist() == expected


@pytest.mark.parametrize("data_type", INTEGERS)
@pytest.mark.parametrize("op", ["div", "pow"])
def test_integers_are_exact_with_a_constant_operand(backend: Backend, op: str, data_type: DataType) -> None:
    values = edges(data_type)
    for constants in ([0], [1], [2], [5, 3], values):
        right = np.array(constants, numpy_dtype(data_type))
        left = np.array(values, numpy_dtype(data_type))[:, None]
        result = compute(backend, lambda b, x, right=right: getattr(b, op)(x, b.constant(right)), left)
        assert result.tolist() == [[wrapped(EXACT[op](a, b), data_type) for b in constants] for a in values]


@pytest.mark.parametrize("data_type", INTEGERS)
def test_powers_of_integers_are_exact_whether_float64_holds_them_or_not(backend: Backend, data_type: DataType) -> None:
    bits = element_bits(data_type) - (not data_type.startswith("u"))
    for base, highest in ((2, 50), (2, 51), (2, 53), (3, 32), (3, 33), (5, 21), (5, 22), (7, 18), (10, 15), (10, 18)):
        if base > 2**bits - 1:
            continue
        exponents = np.arange(highest + 1).astype(numpy_dtype(data_type))
        result = compute(backend, call("pow"), np.array(base, exponents.dtype), exponents)
        assert result.tolist() == [wrapped(base ** int(exponent), data_type) for exponent in exponents]
    if not data_type.startswith("u"):
        bases, exponents = np.array([[-3], [-1], [1], [2]], exponents.dtype), np.array([-2, -1, 0, 3], exponents.dtype)
        wanted = [[wrapped(truncated_power(int(a), int(b)), data_type) for b in exponents] for a in bases.flat]
        assert compute(backend, call("pow"), bases, exponents).tolist() == wanted


@pytest.mark.parametrize(("exponent", "products"), [(0, 0), (1, 0), (2, 1), (3, 2), (8, 3), (11, 5)])
def test_powers_of_a_known_exponent_are_products(exponent: int, products: int) -> None:
    builder = direct_builder()
    x = builder.input("x", [4], "int32")
    nodes = lower(builder.build({"y": builder.pow(x, builder.constant("int32", exponent))}), cpu_kernels()).finish()
    assert [node.op_type for node in nodes.graph.node if node.op_type not in ("Expand", "Identity")] == [
        "Mul"
    ] * products


@pytest.mark.parametrize("data_type", FLOATS)
@pytest.mark.parametrize("op", BINARY)
def test_floats_are_those_of_ieee_754(backend: Backend, op: str, data_type: DataType) -> None:
    numpy_names = {"sub": "subtract", "mul": "multiply", "div": "divide", "max": "maximum", "min": "minimum"}
    values = np.array([math.nan, math.inf, -math.inf, 0.0, 1.0, -1.0, 2.0, -2.5, 0.1, 3.0], numpy_dtype(data_type))
    with np.errstate(all="ignore"):
        wide = getattr(np, numpy_names.get(op, op))(values[:, None].astype(np.float64), values.astype(np.float64))
    result = compute(backend, call(op), values[:, None], values)
    np.testing.assert_allclose(result, wide.astype(result.dtype), rtol=EPSILON[data_type])


@pytest.mark.parametrize("data_type", ALL)
@pytest.mark.parametrize("op", BINARY)
def test_operands_are_broadcast_at_every_rank(backend: Backend, op: str, data_type: DataType) -> None:
    a = np.arange(1, 5, dtype=numpy_dtype(data_type)).reshape(2, 1, 1, 1, 1, 1, 2, 1)
    b = np.arange(1, 4, dtype=numpy_dtype(data_type)).reshape(3, 1, 1)
    scalar = np.array(3, a.dtype)
    for left, right in ((a, b), (b, a), (scalar, a), (scalar, scalar)):
        result = compute(backend, call(op), left, right)
        assert result.shape == np.broadcast_shapes(left.shape, right.shape)
        if op not in ("div", "pow"):
            expected = [EXACT[op](int(x), int(y)) for x, y in np.broadcast(left, right)]
            assert result.ravel().tolist() == [wrapped(e, data_type) if data_type in INTEGERS else e for e in expected]


def reference(op: str, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    functions: dict[str, Any] = {"erf": np.vectorize(math.erf), "round_even": np.round, "neg": np.negative}
    with np.errstate(all="ignore"):
        return np.asarray((functions.get(op) or getattr(np, op))(x))


@pytest.mark.parametrize("data_type", FLOATS)
@pytest.mark.parametrize("op", [*FLOAT_UNARY, "abs", "neg", "identity"])
def test_functions_agree_with_float64(backend: Backend, op: str, data_type: DataType) -> None:
    special = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -3.5, 4.0, 1e-3, 7.9, -7.9]
    random = np.random.default_rng(0).normal(size=(8, 2))
    x = np.concatenate([np.reshape(special, (8, 2)), random]).astype(numpy_dtype(data_type))
    wide = x.astype(np.float64) if op == "identity" else reference(op, x.astype(np.float64))
    result = compute(backend, call(op), x)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(result, wide.astype(x.dtype), rtol=EPSILON[data_type], atol=EPSILON[data_type] / 50)


@pytest.mark.parametrize("op", [*FLOAT_UNARY, "abs", "neg", "sign", "identity"])
def test_functions_keep_every_rank(backend: Backend, op: str) -> None:
    for shape in ((), (1,), (2, 1, 1, 1, 1, 1, 1, 2)):
        for data_type in FLOATS:
            result = compute(backend, call(op), np.ones(shape, data_type))
            assert (result.shape, result.dtype) == (shape, numpy_dtype(data_type))


def test_halves_are_rounded_to_the_even_neighbour(backend: Backend) -> None:
    x = np.array([0.1, 0.9, 1.1, 1.9, -3.5, -2.5, -1.5, 1.5, 2.5, 3.5], np.float32)
    expected = [0.0, 1.0, 1.0, 2.0, -4.0, -2.0, -2.0, 2.0, 2.0, 4.0]
    assert compute(backend, call("round_even"), x).tolist() == expected


@pytest.mark.parametrize("data_type", ["int32", "int64", "int8"])
def test_the_lowest_integer_has_no_positive(backend: Backend, data_type: DataType) -> None:
    values = edges(data_type)
    x = np.array(values, numpy_dtype(data_type))
    assert compute(backend, call("abs"), x).tolist() == [wrapped(abs(v), data_type) for v in values]
    assert compute(backend, call("neg"), x).tolist() == [wrapped(-v, data_type) for v in values]
    assert compute(backend, call("sign"), x).tolist() == [(v > 0) - (v < 0) for v in values]


@pytest.mark.parametrize("data_type", FLOATS)
def test_the_sign_of_zero_and_nan_is_zero(backend: Backend, data_type: DataType) -> None:
    x = np.array([math.nan, 0.0, -0.0, math.inf, -math.inf, 1e-7, -1e-7], numpy_dtype(data_type))
    assert compute(backend, call("sign"), x).tolist() == [0, 0, 0, 1, -1, 1, -1]


@pytest.mark.parametrize("data_type", ALL)
def test_identity_makes_an_output_of_an_input_and_of_a_constant(backend: Backend, data_type: DataType) -> None:
    x = np.array([[1, 0, 3]], numpy_dtype(data_type))
    assert compute(backend, call("identity"), x).tolist() == [[1, 0, 3]]
    assert compute(backend, lambda b, _: b.identity(b.constant(x)), x).tolist() == [[1, 0, 3]]


def cast_exactly(value: float, source: DataType, target: DataType) -> float:
    if target in FLOATS:
        with np.errstate(over="ignore"):
            return float(numpy_dtype(target).type(value))
    if source not in FLOATS:
        return wrapped(int(value), target)
    low, high = bounds(target)
    return (
        0 if math.isnan(value) else min(max(low, value), high) if math.isinf(value) else min(max(low, int(value)), high)
    )


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize("source", ALL)
def test_a_cast_keeps_what_the_type_can_hold(backend: Backend, source: DataType, target: DataType) -> None:
    if source in FLOATS:
        powers = [2.0**n + d for n in (7, 8, 15, 31, 32, 63, 64) for d in (-1, 0, 1)]
        values = [math.nan, math.inf, 0.0, 0.9, 1.9, 300.7, 1e10, 3e38, *powers]
        with np.errstate(over="ignore"):
            x = np.array([*values, *(-v for v in values)], numpy_dtype(source))
    else:
        x = np.array(edges(source), numpy_dtype(source))
    result = compute(backend, call("cast", data_type=target), x)
    assert result.dtype == numpy_dtype(target)
    np.testing.assert_array_equal(result, [cast_exactly(v, source, target) for v in x.tolist()])


def test_a_cast_there_and_back_is_both_casts(backend: Backend) -> None:
    x = np.array([1 / 3, 70000, -300.5], np.float32)
    result = compute(backend, lambda b, x: b.cast(b.cast(x, "float16"), "float32"), x)
    np.testing.assert_array_equal(result, [np.float32(np.float16(1 / 3)), math.inf, -300.5])
    x = np.array([200, 3], np.uint8)
    assert compute(backend, lambda b, x: b.cast(b.cast(x, "int8"), "uint8"), x).tolist() == [200, 3]
    assert compute(backend, lambda b, x: b.cast(b.cast(x, "int8"), "int32"), x).tolist() == [-56, 3]


def test_only_onnxruntime_keeps_float32_between_operators_of_float16(backend: Backend) -> None:
    x = np.array([300, 2.5], np.float16)
    np.testing.assert_array_equal(compute(backend, lambda b, x: x * x, x), [math.inf, 6.25])
    rounded = isinstance(backend, ArraysBackend)
    root = compute(backend, lambda b, x: b.sqrt(x * x), x)
    np.testing.assert_array_equal(root, [math.inf if rounded else 300, 2.5])
    widened = compute(backend, lambda b, x: b.cast(x * x, "float32"), x)
    np.testing.assert_array_equal(widened, [math.inf if rounded else 90000, 6.25])


def test_erf_is_right_to_the_last_bit_of_a_float32() -> None:
    x = np.concatenate([np.linspace(-6, 6, 20001), np.geomspace(1e-38, 1, 2001)]).astype(np.float32)
    result = compute(ArraysBackend(), call("erf"), x)
    expected = reference("erf", x.astype(np.float64))
    assert np.max(np.abs(result - expected) / np.spacing(np.abs(expected).astype(np.float32))) < 0.6


def test_an_identity_costs_no_node_and_a_safe_divisor_one() -> None:
    builder = direct_builder()
    x = builder.input("x", [2], "int32")
    graph = builder.build({"y": builder.div(builder.identity(x), builder.constant(np.array([2, 3], np.int32)))})
    assert [node.op_type for node in lower(graph).finish().graph.node] == ["Div"]


@pytest.mark.parametrize("op", BINARY)
def test_two_operands_must_match(op: str) -> None:
    builder = direct_builder()
    a, b = builder.input("a", [2, 3], "float32"), builder.input("b", [4], "float32")
    with pytest.raises(ValidationError, match=rf"^\[it\] {op}: a \[2, 3\] and b \[4\] cannot be broadcast together$"):
        getattr(builder, op)(a, b, label="it")
    c = builder.input("c", [2, 3], "int8")
    message = rf"^{op}: b is int8, but must have the data type of a, float32; convert it: builder.cast\(b, 'float32'\)$"
    with pytest.raises(ValidationError, match=message):
        getattr(builder, op)(a, c)


def test_a_result_must_not_be_too_large() -> None:
    builder = direct_builder()
    a, b = builder.input("a", [2**16, 1], "float32"), builder.input("b", [2**15], "float32")
    with pytest.raises(ValidationError, match=r"add: shape \[65536, 32768\] has 2147483648 elements"):
        builder.add(a, b)


@pytest.mark.parametrize("op", [*FLOAT_UNARY, "abs", "neg", "sign"])
def test_functions_refuse_other_data_types(op: str) -> None:
    builder = direct_builder()
    allowed = FLOATS if op in FLOAT_UNARY else SIGNED
    for data_type in ALL:
        x = builder.input(data_type, [2], data_type)
        if data_type in allowed:
            assert getattr(builder, op)(x).descriptor == x.descriptor
        else:
            with pytest.raises(ValidationError, match=f"^{op}: input is {data_type}, but must be float32 or float16"):
                getattr(builder, op)(x)


@pytest.mark.parametrize("data_type", ["int4", "float64", "", None, 3, ["float32"]])
def test_a_cast_is_to_one_of_the_eight_types(data_type: Any) -> None:
    builder: MLGraphBuilder[Any] = direct_builder()
    x = builder.input("x", [2], "float32")
    with pytest.raises(ValidationError, match=r"cast: data_type must be one of 'float32', 'float16', .* got "):
        builder.cast(x, data_type)
