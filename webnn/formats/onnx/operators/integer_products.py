"""Exact integer products: MatMulInteger, ConvInteger and others.

A product or a convolution is a composite where the backend multiplies integers exactly. Otherwise, and in groups, it is
computed with floats, whose sums a cast back to floats takes as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import MICROSOFT, Imported, imports
from webnn.formats.onnx.importing.values import Value
from webnn.formats.onnx.patterns.folded_movement import reshaped
from webnn.formats.onnx.patterns.linear_quantization import dequantized
from webnn.formats.onnx.patterns.onnx_operator import onnx_operator
from webnn.formats.onnx.patterns.sliding_windows import Windows, pair
from webnn.graph.composites.composite import Builder
from webnn.graph.composites.integer_products import (
    Factor,
    exact_product,
    factor,
    has_integer_products,
    integer_convolution,
    integer_product,
)
from webnn.graph.composites.quantization import dynamically_quantized
from webnn.graph.operand import MLOperand

__all__: list[str] = []


def _exact(
    node: OnnxNode,
    left: Factor,
    right: Factor,
    product: Callable[[MLOperand], MLOperand],
    *,
    terms: int,
    summed: tuple[int, ...],
) -> Value:
    integers, floats = exact_product(node.builder, left, right, product, terms=terms, summed=summed, where=node.op_type)
    return Value(operand=integers, floats=floats)


@imports("MatMulInteger")
def matmul_integer(node: OnnxNode) -> Imported:
    """The exact product, in int32."""
    x, y, x_zero, y_zero = node.operand(0), node.operand(1), node.optional(2), node.optional(3)
    if _is_one_product(node.builder, x, y, x_zero):
        return integer_product(node.builder, x, y, x_zero, y_zero)
    left = factor(node.builder, x, x_zero, max(x.rank - 2, 0))
    right = factor(node.builder, y, y_zero, max(y.rank - 1, 0))
    summed = (max(y.rank - 2, 0),)
    return [
        _exact(
            node,
            left,
            right,
            lambda digit: onnx_operator(node, "MatMul", [left.operand, digit]),
            terms=x.shape[-1],
            summed=summed,
        )
    ]


@imports("ConvInteger")
def conv_integer(node: OnnxNode) -> Imported:
    """The exact convolution, in int32. Padding stands for 0, as the zero point does."""
    if has_integer_products(node.builder) and (result := _one_convolution(node)) is not None:
        return result
    left = factor(node.builder, node.operand(0), node.optional(2), 1)
    right = factor(node.builder, node.operand(1), node.optional(3), 0)
    return [
        _exact(
            node,
            left,
            right,
            lambda digit: onnx_operator(node, "Conv", [left.operand, digit], node.attributes),
            terms=math.prod(node.shape(1)[1:]),
            summed=tuple(range(1, node.rank(1))),
        )
    ]


def _one_convolution(node: OnnxNode) -> MLOperand | None:
    """The convolution as a composite; None in groups, whose few channels each take longer in integers."""
    b, x, filters, zeros = node.builder, node.operand(0), node.operand(1), (node.optional(2), node.optional(3))
    if (
        node.get_int("group", 1) != 1
        or x.data_type != "uint8"
        or filters.constant is None
        or not 3 <= x.rank == filters.rank <= 4
        or x.shape[1] != filters.shape[1]
        or any(zero is not None and math.prod(zero.shape) != 1 for zero in zeros)
        or node.get_ints("kernel_shape", filters.shape[2:]) != list(filters.shape[2:])
    ):
        return None
    windows = Windows.of(node, x.shape, filters.shape[2:])
    windows.pad_automatically(node.get_string("auto_pad", "NOTSET"))
    if min(*windows.before, *windows.after) < 0:
        return None
    counts = windows.counts(ceil=False)
    images, kernels = (reshaped(node, each, [*each.shape[:2], *pair(list(each.shape[2:]), 1)]) for each in (x, filters))
    result = integer_convolution(b, images, kernels, *zeros, **windows.of_images)
    return reshaped(node, result, [*result.shape[:2], *counts])


@imports("MatMulIntegerToFloat", domain=MICROSOFT)
def matmul_integer_to_float(node: OnnxNode) -> Imported:
    """The product of two dequantized matrices."""
    operands = node.operand(0), node.operand(1), node.operand(2), node.operand(3), node.optional(4), node.optional(5)
    return _biased(node, _dequantized_product(node, *operands), 6)


@imports("DynamicQuantizeMatMul", domain=MICROSOFT)
def dynamic_quantize_matmul(node: OnnxNode) -> Imported:
    """The first matrix is quantized and dequantized first, for the same rounding as in ONNX Runtime."""
    x, x_scale, x_zero = dynamically_quantized(node.builder, node.operand(0))
    y, y_scale, y_zero = node.operand(1), node.operand(2), node.optional(3)
    return _biased(node, _dequantized_product(node, x, y, x_scale, y_scale, x_zero, y_zero), 4)


def _dequantized_product(  # noqa: PLR0917 (two quantized matrices)
    node: OnnxNode,
    x: MLOperand,
    y: MLOperand,
    x_scale: MLOperand,
    y_scale: MLOperand,
    x_zero: MLOperand | None,
    y_zero: MLOperand | None,
) -> MLOperand:
    b = node.builder
    if _is_one_product(b, x, y, x_scale, x_zero):
        product = b.cast(integer_product(b, x, y, x_zero, y_zero), "float32")
        return b.mul(product, b.mul(b.reshape(x_scale, []), y_scale))
    left = dequantized(node, x, x_scale, x_zero, axis=max(x.rank - 2, 0))
    return onnx_operator(node, "MatMul", [left, dequantized(node, y, y_scale, y_zero, axis=max(y.rank - 1, 0))])


def _is_one_product(b: Builder, x: MLOperand, y: MLOperand, *of_x: MLOperand | None) -> bool:
    """Whether the backend multiplies the integers of two matrices, of which the first has one scale and zero point."""
    return (
        has_integer_products(b) and min(x.rank, y.rank) > 1 and all(p is None or math.prod(p.shape) == 1 for p in of_x)
    )


def _biased(node: OnnxNode, y: MLOperand, index: int) -> MLOperand:
    bias = node.optional(index)
    return y if bias is None else node.builder.add(y, bias)
