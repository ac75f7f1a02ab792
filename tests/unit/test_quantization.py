"""Quantization: which shapes and types go together, and the same exact numbers from every backend."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.base import Backend
from webnn.backends.onnx.lower import lower
from webnn.backends.onnxruntime.kernels import cpu_kernels
from webnn.errors import ValidationError
from webnn.graph.dtypes import DataType, cast_number, numpy_dtype

Array = np.ndarray[Any, Any]

ALL_INTEGERS: tuple[DataType, ...] = ("uint8", "int8", "uint32", "int32", "uint4", "int4")
SHAPES = [
    ((), ()),
    ((3,), (1,)),
    ((4,), (4,)),
    ((6,), (2,)),
    ((2, 3, 4), (1, 1, 1)),
    ((2, 3, 4), (1, 3, 1)),
    ((2, 3, 4), (2, 3, 4)),
    ((2, 4, 3), (2, 2, 3)),
    ((2, 3, 4), (2, 1, 4)),
    ((2, 3, 4), (1, 1, 2)),
    ((4, 5, 6), (2, 1, 3)),
    ((3, 4, 4), (1, 2, 4)),
    ((4, 4, 4, 4), (2, 2, 2, 2)),
    ((1, 2, 1, 2, 2, 1, 2, 4), (1, 2, 1, 1, 2, 1, 1, 2)),
    ((2, 2, 2, 2, 2, 2, 2, 2), (1, 2, 1, 2, 1, 2, 1, 2)),
]


def bounds(data_type: DataType) -> tuple[int, int]:
    return int(cast_number(-math.inf, data_type)), int(cast_number(math.inf, data_type))


def integers(data_type: DataType, shape: tuple[int, ...]) -> Array:
    low, high = bounds(data_type)
    values = np.random.default_rng(1).integers(low, high, shape, endpoint=True)
    return np.asarray(values).astype(numpy_dtype(data_type))


def floats(data_type: str, shape: tuple[int, ...], low: float, high: float) -> Array:
    return np.asarray(np.random.default_rng(2).uniform(low, high, shape)).astype(data_type)


def expanded(array: Array, shape: tuple[int, ...]) -> Array:
    array = array.astype(np.float64)
    for axis, size in enumerate(shape):
        array = np.repeat(array, size // array.shape[axis], axis)
    return array


def run(backend: Backend, op: str, input: Array, scale: Array, zero_point: Array, *, constant: bool = True) -> Array:
    """The operator on constants, or on inputs as far as their types allow. 4-bit results come back dequantized."""
    builder = direct_builder(backend)
    feeds: dict[str, Array] = {}
    operands = []
    for name, array in (("input", input), ("scale", scale), ("zero_point", zero_point)):
        if constant or array.dtype in (ml_dtypes.int4, ml_dtypes.uint4):
            operands.append(builder.constant(array))
        else:
            feeds[name] = array
            operands.append(builder.input(name, array.shape, array.dtype.name))
    output = getattr(builder, op)(*operands)
    if output.data_type in ("int4", "uint4"):
        one, zero = np.ones(scale.shape, np.float32), np.zeros(scale.shape, np.int8).astype(zero_point.dtype)
        output = builder.dequantize_linear(output, builder.constant(one), builder.constant(zero))
    return run_graph(builder.build({"output": output}), feeds, backend)["output"]


@pytest.mark.parametrize("constant", [True, False], ids=["constants", "inputs"])
@pytest.mark.parametrize(("shape", "blocks"), SHAPES, ids=str)
@pytest.mark.parametrize("data_type", ALL_INTEGERS)
def test_dequantizing_multiplies_the_difference_block_by_block(
    backend: Backend, data_type: DataType, shape: tuple[int, ...], blocks: tuple[int, ...], constant: bool
) -> None:
    float_type = "float16" if constant and "32" not in data_type else "float32"
    input, zero_point = integers(data_type, shape), integers(data_type, blocks)
    scale = floats(float_type, blocks, 0.1, 1)
    expected = (input.astype(np.float64) - expanded(zero_point, shape)) * expanded(scale, shape)
    output = run(backend, "dequantize_linear", input, scale, zero_point, constant=constant)
    np.testing.assert_array_max_ulp(output, expected.astype(float_type), 1)


@pytest.mark.parametrize("constant", [True, False], ids=["constants", "inputs"])
@pytest.mark.parametrize(("shape", "blocks"), SHAPES, ids=str)
@pytest.mark.parametrize("data_type", ALL_INTEGERS)
def test_quantizing_rounds_and_clamps_block_by_block(
    backend: Backend, data_type: DataType, shape: tuple[int, ...], blocks: tuple[int, ...], constant: bool
) -> None:
    float_type = "float16" if constant and "32" not in data_type else "float32"
    low, high = bounds(data_type)
    input = floats(float_type, shape, 1.5 * low - high / 4, 1.5 * high)
    scale, zero_point = floats(float_type, blocks, 0.5, 2), integers(data_type, blocks)
    quotient = np.round(input.astype(np.float32) / expanded(scale, shape).astype(np.float32)).astype(np.float64)
    output = run(backend, "quantize_linear", input, scale, zero_point, constant=constant)
    np.testing.assert_array_equal(output.astype(np.float64), np.clip(quotient + expanded(zero_point, shape), low, high))


@pytest.mark.parametrize("data_type", ALL_INTEGERS)
@pytest.mark.parametrize("float_type", ["float32", "float16"])
def test_ties_go_to_even_and_values_out_of_range_to_the_limits(
    backend: Backend, data_type: DataType, float_type: str
) -> None:
    low, high = bounds(data_type)
    ties = np.array([0.5, 1.5, 2.5, 3.5, math.inf, -math.inf, math.nan] * 5, float_type)
    scale, zero_point = np.array([1], float_type), np.array([2], np.int8).astype(numpy_dtype(data_type))
    output = run(backend, "quantize_linear", ties, scale, zero_point).astype(np.float64)
    np.testing.assert_array_equal(output, [2, 4, 4, 6, high, low, low] * 5)


@pytest.mark.parametrize("data_type", ["int32", "uint32"])
def test_32_bit_integers_keep_every_digit_until_the_result_is_rounded(backend: Backend, data_type: DataType) -> None:
    low, high = bounds(data_type)
    input = np.array([low, high, 2**30 + 1, 2**30 + 3], data_type)
    zero_point = np.array([high, low, 2**30, 2**30], data_type)
    one = np.ones(4, np.float32)
    difference = run(backend, "dequantize_linear", input, one, zero_point)
    np.testing.assert_array_equal(difference, np.array([low - high, high - low, 1, 3], np.float32))
    sums = run(backend, "quantize_linear", np.array([1, -1, 3, 1e10], np.float32), one, zero_point)
    np.testing.assert_array_equal(sums, np.array([high, low, 2**30 + 3, high], data_type))


def test_scales_that_are_not_positive_are_allowed(backend: Backend) -> None:
    input, scale, zero_point = np.array([-3, 0, 5], np.float32), np.array([-1], np.float32), np.array([3], np.int8)
    assert run(backend, "quantize_linear", input, scale, zero_point).tolist() == [6, 3, -2]
    quantized = np.array([6, 3, -2], np.int8)
    assert run(backend, "dequantize_linear", quantized, scale, zero_point).tolist() == [-3, 0, 5]


def test_a_4_bit_zero_point_may_be_computed_in_the_graph(backend: Backend) -> None:
    builder = direct_builder(backend)
    x = builder.input("x", [4, 6], "float32")
    one, zero = builder.constant(np.ones((1, 1), np.float32)), builder.constant(np.zeros((1, 1), ml_dtypes.int4))
    scale = builder.input("scale", [2, 3], "float32")
    zero_point = builder.quantize_linear(scale, one, zero)
    quantized = builder.quantize_linear(x, scale, zero_point)
    graph = builder.build({"output": builder.dequantize_linear(quantized, scale, zero_point)})
    scales = np.array([[1, 2, 3], [3, 2, 1]], np.float32)
    values = np.arange(-12, 12, dtype=np.float32).reshape(4, 6)
    whole, zeros = expanded(scales, (4, 6)), expanded(np.round(scales), (4, 6))
    expected = (np.clip(np.round(values / whole) + zeros, -8, 7) - zeros) * whole
    output = run_graph(graph, {"x": values, "scale": scales}, backend)["output"]
    np.testing.assert_array_equal(output, expected.astype(np.float32))


@pytest.mark.parametrize(
    ("data_type", "shape", "blocks", "nodes"),
    [
        ("int8", (2, 3, 4), (1, 1, 1), ["DequantizeLinear"]),
        ("uint8", (2, 3, 4), (1, 3, 1), ["DequantizeLinear"]),
        ("int4", (2, 4, 4), (2, 2, 4), ["DequantizeLinear"]),
        ("int8", (2, 3, 4), (1, 1, 2), ["Reshape", "DequantizeLinear", "Reshape"]),
        ("int8", (4, 6), (2, 3), ["Reshape", "DequantizeLinear", "Reshape"]),
        ("int32", (2, 3, 4), (1, 3, 1), ["DequantizeLinear"]),
    ],
)
def test_onnx_has_one_node_and_at_most_reshapes_around_it(
    data_type: DataType, shape: tuple[int, ...], blocks: tuple[int, ...], nodes: list[str]
) -> None:
    builder = direct_builder()
    dtype = numpy_dtype(data_type)
    if data_type == "int4":
        input = builder.constant(integers(data_type, shape))
    else:
        input = builder.input("input", shape, data_type)
    scale, zero_point = builder.constant(np.ones(blocks, np.float32)), builder.constant(np.zeros(blocks, dtype))
    graph = builder.build({"output": builder.dequantize_linear(input, scale, zero_point)})
    written = [node.op_type for node in lower(graph, cpu_kernels()).finish().graph.node]
    assert written == nodes


@pytest.mark.parametrize(
    ("op", "types", "shapes", "message"),
    [
        (
            "dequantize_linear",
            ("float32", "float32", "float32"),
            ([2], [2], [2]),
            "input is float32, but must be uint8",
        ),
        ("dequantize_linear", ("int64", "float32", "int64"), ([2], [2], [2]), "input is int64, but must be uint8"),
        ("dequantize_linear", ("int8", "int8", "int8"), ([2], [2], [2]), "scale is int8, but must be float32"),
        ("dequantize_linear", ("int8", "float32", "uint8"), ([2], [2], [2]), "zero_point is uint8, .* of input, int8"),
        ("quantize_linear", ("int8", "float32", "int8"), ([2], [2], [2]), "input is int8, but must be float32"),
        ("quantize_linear", ("float16", "float32", "int8"), ([2], [2], [2]), "scale is float32, .* of input, float16"),
        ("quantize_linear", ("float16", "float16", "int64"), ([2], [2], [2]), "zero_point is int64, but must be uint8"),
    ],
)
def test_data_types_that_do_not_go_together_are_named(
    op: str, types: tuple[DataType, ...], shapes: tuple[list[int], ...], message: str
) -> None:
    builder = direct_builder()
    names = ("x", "scale", "zero")
    operands = [builder.input(name, shape, t) for name, shape, t in zip(names, shapes, types, strict=True)]
    with pytest.raises(ValidationError, match=rf"\[here\] {op}: {message}"):
        getattr(builder, op)(*operands, label="here")


@pytest.mark.parametrize("op", ["dequantize_linear", "quantize_linear"])
@pytest.mark.parametrize(
    ("input", "scale", "zero_point", "message"),
    [
        ([3, 2], [2], [2], r"scale \[2\] must have the rank of input \[3, 2\], 2"),
        ([3, 2], [3, 2], [], r"zero_point \[\] must have the rank of input \[3, 2\], 2"),
        ([3, 2], [3, 1], [1, 2], r"scale \[3, 1\] and zero_point \[1, 2\] must have the same shape"),
        ([3, 4], [2, 4], [2, 4], r"\[2, 4\] must divide that of input \[3, 4\]"),
        ([3, 4], [3, 8], [3, 8], r"\[3, 8\] must divide that of input \[3, 4\]"),
    ],
)
def test_shapes_that_do_not_go_together_are_named(
    op: str, input: list[int], scale: list[int], zero_point: list[int], message: str
) -> None:
    builder = direct_builder()
    x = builder.input("x", input, "int8" if op == "dequantize_linear" else "float32")
    s, z = builder.input("s", scale, "float32"), builder.input("z", zero_point, "int8")
    with pytest.raises(ValidationError, match=rf"\[here\] {op}: .*{message}"):
        getattr(builder, op)(x, s, z, label="here")
