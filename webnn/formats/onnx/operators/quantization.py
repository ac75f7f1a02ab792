"""Quantizing and dequantizing, by tensor, by axis and by block.

WebNN's scales and zero points have the rank of what they hold for, so ONNX's are reshaped. 16-bit integers, which it
lacks, are computed as floats, which hold them exactly, and held by int32 where another operator reads them.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.importing.operator_table import MICROSOFT, Imported, imports
from webnn.formats.onnx.importing.values import OnnxNode, UnsupportedNodeError, Value, data_type_for
from webnn.formats.onnx.patterns.folded_movement import expanded, reshaped
from webnn.graph.dtypes import numpy_dtype
from webnn.graph.operand import MLOperand

__all__ = ["dequantized", "dynamically_quantized", "quantized", "triple"]

_UINT8: Final = np.dtype(np.uint8)


def _aligned(node: OnnxNode, parameter: MLOperand, shape: tuple[int, ...], axis: int, block: int) -> MLOperand:
    """A scale or zero point in the rank of what it holds for: one for all, one for each index of `axis`, or blocks."""
    rank = len(shape)
    if parameter.shape == () or math.prod(parameter.shape) == 1:
        return reshaped(node, parameter, [1] * rank)
    axis = node.axis(axis, rank)
    if block:
        blocks = -(-shape[axis] // block)
        wanted = tuple(blocks if i == axis else size for i, size in enumerate(shape))
        if parameter.shape != wanted:
            raise DataError(f"scales {list(parameter.shape)} for blocks of {block} in {list(shape)}: {list(wanted)}")
        return parameter if blocks * block == shape[axis] else _spread(node, parameter, shape, axis, block)
    if parameter.rank == 1 and parameter.shape[0] == shape[axis]:
        return reshaped(node, parameter, [shape[axis] if i == axis else 1 for i in range(rank)])
    raise DataError(f"a scale or zero point {list(parameter.shape)} does not fit axis {axis} of {list(shape)}")


def _spread(node: OnnxNode, x: MLOperand, shape: tuple[int, ...], axis: int, block: int) -> MLOperand:
    """One value for each element, for blocks of which the last is not whole."""
    block = min(block, shape[axis])
    if x.constant is not None:
        where = (*(slice(None) for _ in range(axis)), slice(shape[axis]))
        return node.builder.constant(np.ascontiguousarray(np.repeat(x.constant, block, axis)[where]))
    b = node.builder
    inside = [*x.shape[: axis + 1], block, *x.shape[axis + 1 :]]
    apart = b.expand(b.reshape(x, [*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]]), inside)
    whole = b.reshape(apart, [size * block if i == axis else size for i, size in enumerate(x.shape)])
    return b.slice(whole, [0] * len(shape), shape)


def _broadcasting(node: OnnxNode, parameter: MLOperand, shape: tuple[int, ...], axis: int, block: int) -> MLOperand:
    """A scale or zero point for arithmetic, which knows no blocks."""
    aligned = _aligned(node, parameter, shape, axis, block)
    if not block or math.prod(aligned.shape) == 1:
        return aligned
    axis = node.axis(axis, len(shape))
    return aligned if aligned.shape[axis] == shape[axis] else _spread(node, aligned, shape, axis, block)


def dequantized(
    node: OnnxNode,
    x: MLOperand,
    scale: MLOperand,
    zero_point: MLOperand | None = None,
    *,
    axis: int = 0,
    block: int = 0,
) -> MLOperand:
    """The floats that `x` stands for. `axis` is that of the scales, if there are several."""
    scale = _aligned(node, scale, x.shape, axis, block)
    if zero_point is None:
        zero_point = node.builder.constant(np.zeros(scale.shape, x.descriptor.dtype))
        return node.builder.dequantize_linear(x, scale, zero_point)
    scale, zero_point = _same_shape(node, scale, _aligned(node, zero_point, x.shape, axis, block))
    return node.builder.dequantize_linear(x, scale, zero_point)


def _same_shape(node: OnnxNode, a: MLOperand, b: MLOperand) -> tuple[MLOperand, MLOperand]:
    """A scale for each column may come with one zero point for all."""
    if a.shape == b.shape:
        return a, b
    shape = np.broadcast_shapes(a.shape, b.shape)
    return expanded(node, a, shape), expanded(node, b, shape)


def quantized(
    node: OnnxNode, x: MLOperand, scale: MLOperand, zero_point: MLOperand | None, *, axis: int = 0, block: int = 0
) -> MLOperand:
    """`x` as integers of the type of `zero_point`; uint8 if there is none."""
    scale = _aligned(node, scale, x.shape, axis, block)
    if zero_point is None:
        zero_point = node.builder.constant(np.zeros(scale.shape, _UINT8))
    else:
        zero_point = _aligned(node, zero_point, x.shape, axis, block)
    scale, zero_point = _same_shape(node, scale, zero_point)
    return node.builder.quantize_linear(x, scale, zero_point)


def triple(node: OnnxNode, index: int, *, axis: int = 0) -> MLOperand:
    """The floats that input `index` stands for, with the two next inputs as its scale and zero point."""
    return dequantized(node, node.operand(index), node.operand(index + 1), node.optional(index + 2), axis=axis)


@imports("DequantizeLinear")
@imports("DequantizeLinear", domain=MICROSOFT)
def dequantize_linear(node: OnnxNode) -> Imported:
    """One operator; without a zero point, with zeros."""
    x, scale, zero_point = node.operand(0), node.operand(1), node.optional(2)
    axis, block, floats = node.get_int("axis", 1), node.get_int("block_size", 0), node.value(0).floats
    if floats is not None and scale.data_type == floats.data_type:
        zero = _zero(node, floats, zero_point, axis, block)
        y = floats if zero is None else node.builder.sub(floats, zero)
        y = node.builder.mul(y, _broadcasting(node, scale, x.shape, axis, block))
    else:
        y = dequantized(node, x, scale, zero_point, axis=axis, block=block)
    wanted = node.get_int("output_dtype", 0)
    return node.builder.cast(y, data_type_for(wanted)) if wanted and data_type_for(wanted) != y.data_type else y


@imports("QuantizeLinear")
@imports("QuantizeLinear", domain=MICROSOFT)
def quantize_linear(node: OnnxNode) -> Imported:
    """One operator, but for 16-bit integers."""
    b, x, scale = node.builder, node.operand(0), node.operand(1)
    if x.data_type != scale.data_type:
        x, scale = (v if v.data_type == "float32" else b.cast(v, "float32") for v in (x, scale))
    axis, block = node.get_int("axis", 1), node.get_int("block_size", 0)
    dtype = _quantized_dtype(node)
    zero_point = node.optional(2)
    if zero_point is None:
        zero_point = node.constant(np.zeros(scale.shape, dtype))
    if dtype.itemsize == 2:
        bounds = np.iinfo(dtype)
        levels = b.round_even(b.div(x, _broadcasting(node, scale, x.shape, axis, block)))
        zero = _zero(node, levels, zero_point, axis, block)
        levels = levels if zero is None else b.add(levels, zero)
        levels = b.clamp(levels, min_value=float(bounds.min), max_value=float(bounds.max))
        return [Value(operand=b.cast(levels, "int32"), floats=levels)]
    return quantized(node, x, scale, zero_point, axis=axis, block=block)


def _zero(node: OnnxNode, x: MLOperand, zero_point: MLOperand | None, axis: int, block: int) -> MLOperand | None:
    """The zero point of `x`, floats, in its type; None if it changes nothing."""
    if zero_point is None or (zero_point.constant is not None and not zero_point.constant.any()):
        return None
    zero = _broadcasting(node, zero_point, x.shape, axis, block)
    if zero.constant is None:
        return node.builder.cast(zero, x.data_type)
    return node.builder.constant(zero.constant.astype(x.descriptor.dtype))


def _quantized_dtype(node: OnnxNode) -> np.dtype[Any]:
    """The type of the model, not that which holds it."""
    known = node.known(2)
    if known is not None:
        dtype: np.dtype[Any] = known.dtype
        return dtype
    if node.get_int("output_dtype", 0):
        return node.element_dtype(node.get_int("output_dtype"))
    if not node.has(2):
        return _UINT8
    if node.data_type(2) == "int32":
        raise UnsupportedNodeError(
            "the zero point is computed when the model runs, and whether its 16 bits are signed is not known",
            "a zero point that is an initializer, or the attribute output_dtype",
        )
    return numpy_dtype(node.data_type(2))


def dynamically_quantized(node: OnnxNode, x: MLOperand) -> tuple[MLOperand, MLOperand, MLOperand]:
    """`x` as uint8 over its whole range, which always includes 0; with its scale and zero point, scalars."""
    b = node.builder
    largest = b.clamp(b.reduce_max(x), min_value=0.0)
    smallest = b.clamp(b.reduce_min(x), max_value=0.0)
    span = b.sub(largest, smallest)
    scale = b.div(span, node.scalar(x, 255.0))
    scale = b.where(b.equal(span, node.scalar(x, 0.0)), node.scalar(x, 1.0), scale)
    zero = b.round_even(b.clamp(b.neg(b.div(smallest, scale)), min_value=0.0, max_value=255.0))
    zero_point = b.cast(zero, "uint8")
    return quantized(node, x, scale, zero_point), scale, zero_point


@imports("DynamicQuantizeLinear")
def dynamic_quantize_linear(node: OnnxNode) -> Imported:
    """The largest and smallest value give scale and zero point."""
    return list(dynamically_quantized(node, node.operand(0)))
