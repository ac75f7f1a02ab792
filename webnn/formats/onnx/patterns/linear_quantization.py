"""Linear quantization by a scale and a zero point: by tensor, by axis and by block.

WebNN's scales and zero points have the rank of the tensor, so ONNX's are reshaped.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.patterns.folded_movement import expanded, reshaped
from webnn.graph.operand import MLOperand

__all__ = ["UINT8", "broadcastable", "dequantized", "dequantized_input", "quantized"]

UINT8: Final = np.dtype(np.uint8)


def _aligned(node: OnnxNode, parameter: MLOperand, shape: tuple[int, ...], axis: int, block: int) -> MLOperand:
    """A scale or zero point in the rank of the tensor: for all of it, for each index of `axis`, or for blocks."""
    rank = len(shape)
    if parameter.shape == () or math.prod(parameter.shape) == 1:
        return reshaped(node, parameter, [1] * rank)
    axis = node.axis(axis, rank)
    if block:
        blocks = -(-shape[axis] // block)
        wanted = tuple(blocks if i == axis else size for i, size in enumerate(shape))
        if parameter.shape != wanted:
            raise DataError(
                f"scales {list(parameter.shape)} do not fit blocks of {block} in {list(shape)}: {list(wanted)}"
            )
        return parameter if blocks * block == shape[axis] else _repeated_by_block(node, parameter, shape, axis, block)
    if parameter.rank == 1 and parameter.shape[0] == shape[axis]:
        return reshaped(node, parameter, [shape[axis] if i == axis else 1 for i in range(rank)])
    raise DataError(f"a scale or zero point {list(parameter.shape)} does not fit axis {axis} of {list(shape)}")


def _repeated_by_block(node: OnnxNode, x: MLOperand, shape: tuple[int, ...], axis: int, block: int) -> MLOperand:
    """One value for each element, for blocks of which the last is incomplete."""
    block = min(block, shape[axis])
    if x.constant is not None:
        where = (*(slice(None) for _ in range(axis)), slice(shape[axis]))
        return node.builder.constant(np.ascontiguousarray(np.repeat(x.constant, block, axis)[where]))
    b = node.builder
    inside = [*x.shape[: axis + 1], block, *x.shape[axis + 1 :]]
    apart = b.expand(b.reshape(x, [*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]]), inside)
    whole = b.reshape(apart, [size * block if i == axis else size for i, size in enumerate(x.shape)])
    return b.slice(whole, [0] * len(shape), shape)


def broadcastable(node: OnnxNode, parameter: MLOperand, shape: tuple[int, ...], axis: int, block: int) -> MLOperand:
    """A scale or zero point that broadcasts in arithmetic, where blocks are repeated."""
    aligned = _aligned(node, parameter, shape, axis, block)
    if not block or math.prod(aligned.shape) == 1:
        return aligned
    axis = node.axis(axis, len(shape))
    return aligned if aligned.shape[axis] == shape[axis] else _repeated_by_block(node, aligned, shape, axis, block)


def dequantized(
    node: OnnxNode,
    x: MLOperand,
    scale: MLOperand,
    zero_point: MLOperand | None = None,
    *,
    axis: int = 0,
    block: int = 0,
) -> MLOperand:
    """`x` dequantized to floats. `axis` is that of the scales, if there are several."""
    scale = _aligned(node, scale, x.shape, axis, block)
    if zero_point is None:
        zero_point = node.builder.constant(np.zeros(scale.shape, x.descriptor.dtype))
        return node.builder.dequantize_linear(x, scale, zero_point)
    scale, zero_point = _same_shape(node, scale, _aligned(node, zero_point, x.shape, axis, block))
    return node.builder.dequantize_linear(x, scale, zero_point)


def _same_shape(node: OnnxNode, a: MLOperand, b: MLOperand) -> tuple[MLOperand, MLOperand]:
    """Both in one shape: a scale for each column may come with a single zero point."""
    if a.shape == b.shape:
        return a, b
    shape = np.broadcast_shapes(a.shape, b.shape)
    return expanded(node, a, shape), expanded(node, b, shape)


def quantized(
    node: OnnxNode, x: MLOperand, scale: MLOperand, zero_point: MLOperand | None, *, axis: int = 0, block: int = 0
) -> MLOperand:
    """`x` quantized to the type of `zero_point`, or to uint8 without one."""
    scale = _aligned(node, scale, x.shape, axis, block)
    if zero_point is None:
        zero_point = node.builder.constant(np.zeros(scale.shape, UINT8))
    else:
        zero_point = _aligned(node, zero_point, x.shape, axis, block)
    scale, zero_point = _same_shape(node, scale, zero_point)
    return node.builder.quantize_linear(x, scale, zero_point)


def dequantized_input(node: OnnxNode, index: int, *, axis: int = 0) -> MLOperand:
    """Input `index` dequantized, with the next two inputs as its scale and zero point."""
    return dequantized(node, node.operand(index), node.operand(index + 1), node.optional(index + 2), axis=axis)
