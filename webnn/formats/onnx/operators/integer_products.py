"""Exact integer products (MatMulInteger, ConvInteger and others) by WebNN's products of floats.

A float32 holds integers up to 2**24. If a sum of products can be larger, one factor is split into digits of so few bits
that no sum exceeds the limit; the sums of the digits are then added as integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import MICROSOFT, Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.importing.values import Value
from webnn.formats.onnx.patterns.folded_movement import reshaped
from webnn.formats.onnx.patterns.linear_quantization import dequantized, dynamically_quantized
from webnn.formats.onnx.patterns.onnx_operator import onnx_operator
from webnn.graph.operand import MLOperand

__all__: list[str] = []

_EXACT: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class _Factor:
    """An input minus its zero point, as floats."""

    operand: MLOperand
    largest: int
    """The largest possible absolute value."""
    known: np.ndarray[Any, Any] | None = None


def _factor(node: OnnxNode, index: int, zero_point_index: int, axis: int) -> _Factor:
    """The factor by cast and sub: ONNX Runtime would fuse dequantize_linear into a product that saturates."""
    x, known = node.operand(index), _integers(node, index)
    bounds = np.iinfo(x.descriptor.dtype)
    low, high = int(bounds.min), int(bounds.max)
    if not node.has(zero_point_index):
        return _Factor(node.builder.cast(x, "float32"), max(high, -low), known)
    zero_point, zeros = node.operand(zero_point_index), _integers(node, zero_point_index)
    if zero_point.rank == 1 and zero_point.shape[0] > 1:
        zero_point = reshaped(node, zero_point, [zero_point.shape[0] if i == axis else 1 for i in range(x.rank)])
    operand = node.builder.sub(node.builder.cast(x, "float32"), node.builder.cast(zero_point, "float32"))
    if zeros is None:
        return _Factor(operand, high - low)
    largest = max(high - int(zeros.min()), int(zeros.max()) - low)
    return _Factor(operand, largest, None if known is None else known - zeros.reshape(zero_point.shape))


def _integers(node: OnnxNode, index: int) -> np.ndarray[Any, Any] | None:
    known = node.known(index)
    return None if known is None else known.astype(np.int32)


def _exact(
    node: OnnxNode,
    a: _Factor,
    b: _Factor,
    product: Callable[[MLOperand], MLOperand],
    *,
    terms: int,
    summed: tuple[int, ...],
) -> Value:
    """The product of `a`, to which `product` is bound, and `b`, as int32. It sums over the axes `summed` of `b`."""
    builder = node.builder

    def is_exact(largest: int, known: np.ndarray[Any, Any] | None) -> bool:
        if a.largest * terms * largest <= _EXACT:
            return True  # whatever the elements are, so that large weights need not be read
        return known is not None and a.largest * int(np.abs(known).sum(summed, np.int64).max(initial=0)) <= _EXACT

    if is_exact(b.largest, b.known):
        floats = product(b.operand)
        return Value(operand=builder.cast(floats, "int32"), floats=floats)
    bits = (_EXACT // max(a.largest * terms, 1)).bit_length() - 1
    if bits < 1:
        raise UnsupportedNodeError(f"its sums of {terms} products of integers are too large to be computed exactly")
    base = 1 << bits
    rest, rest_known, largest, weight, total = b.operand, b.known, b.largest, 1, None
    while True:
        last = is_exact(largest, rest_known)
        if last:
            digit, digit_known = rest, rest_known
        elif rest_known is not None:
            digit, digit_known = rest, rest_known & (base - 1)
            rest_known = rest_known >> bits
        else:
            higher = builder.floor(builder.linear(rest, alpha=1 / base))
            digit, digit_known, rest = builder.sub(rest, builder.linear(higher, alpha=base)), None, higher
        if digit_known is not None:
            digit = builder.cast(builder.constant(_narrow(digit_known)), "float32")
        part = builder.cast(product(digit), "int32")
        part = part if weight == 1 else builder.mul(part, node.scalar(part, weight))
        total = part if total is None else builder.add(total, part)
        if last:
            return Value(operand=total)
        largest, weight = -(-largest // base), weight * base


def _narrow(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The integers as int8 or uint8 if they fit."""
    for dtype in (np.int8, np.uint8):
        bounds = np.iinfo(dtype)
        if bounds.min <= array.min(initial=0) and array.max(initial=0) <= bounds.max:
            return array.astype(dtype)
    return array


@imports("MatMulInteger")
def matmul_integer(node: OnnxNode) -> Imported:
    """The exact product, in int32."""
    a = _factor(node, 0, 2, axis=max(node.rank(0) - 2, 0))
    b = _factor(node, 1, 3, axis=max(node.rank(1) - 1, 0))
    summed = (max(node.rank(1) - 2, 0),)
    return [
        _exact(
            node,
            a,
            b,
            lambda digit: onnx_operator(node, "MatMul", [a.operand, digit]),
            terms=node.shape(0)[-1],
            summed=summed,
        )
    ]


@imports("ConvInteger")
def conv_integer(node: OnnxNode) -> Imported:
    """The exact convolution, in int32. Padding stands for 0, as the zero point does."""
    x, w = _factor(node, 0, 2, axis=1), _factor(node, 1, 3, axis=0)
    return [
        _exact(
            node,
            x,
            w,
            lambda digit: onnx_operator(node, "Conv", [x.operand, digit], node.attributes),
            terms=math.prod(node.shape(1)[1:]),
            summed=tuple(range(1, node.rank(1))),
        )
    ]


@imports("MatMulIntegerToFloat", domain=MICROSOFT)
def matmul_integer_to_float(node: OnnxNode) -> Imported:
    """The product of two dequantized matrices."""
    rows, columns = max(node.rank(0) - 2, 0), max(node.rank(1) - 1, 0)
    a = dequantized(node, node.operand(0), node.operand(2), node.optional(4), axis=rows)
    b = dequantized(node, node.operand(1), node.operand(3), node.optional(5), axis=columns)
    return _biased(node, onnx_operator(node, "MatMul", [a, b]), 6)


@imports("DynamicQuantizeMatMul", domain=MICROSOFT)
def dynamic_quantize_matmul(node: OnnxNode) -> Imported:
    """The first matrix is quantized and dequantized first, for the same rounding as in ONNX Runtime."""
    values, scale, zero_point = dynamically_quantized(node, node.operand(0))
    a = dequantized(node, values, scale, zero_point)
    columns = max(node.rank(1) - 1, 0)
    b = dequantized(node, node.operand(1), node.operand(2), node.optional(3), axis=columns)
    return _biased(node, onnx_operator(node, "MatMul", [a, b]), 4)


def _biased(node: OnnxNode, y: MLOperand, index: int) -> MLOperand:
    bias = node.optional(index)
    return y if bias is None else node.builder.add(y, bias)
