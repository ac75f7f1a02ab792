"""Reshaping, slicing and joining that fold constants, so that backends can fuse them and no run moves them again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from webnn.formats.onnx.importing.node import OnnxNode
from webnn.graph.operand import MLOperand

__all__ = ["expanded", "extended_by", "reshaped", "sliced"]


def reshaped(node: OnnxNode, x: MLOperand, shape: Sequence[int]) -> MLOperand:
    """`x` in another shape; a constant is not copied."""
    if x.shape == tuple(shape):
        return x
    if x.constant is not None:
        return node.builder.constant(x.constant.reshape(shape))
    return node.builder.reshape(x, shape)


def expanded(node: OnnxNode, x: MLOperand, shape: tuple[int, ...]) -> MLOperand:
    """`x` broadcast to `shape`."""
    if x.shape == shape:
        return x
    if x.constant is not None:
        return node.builder.constant(np.ascontiguousarray(np.broadcast_to(x.constant, shape)))
    return node.builder.expand(x, shape)


def sliced(node: OnnxNode, x: MLOperand, axis: int, start: int, size: int) -> MLOperand:
    """`size` elements of `x` along `axis`, from `start` on."""
    if x.shape[axis] == size:
        return x
    if x.constant is not None:
        where = (*(slice(None) for _ in range(axis)), slice(start, start + size))
        return node.builder.constant(np.ascontiguousarray(x.constant[where]))
    starts, sizes = [0] * x.rank, list(x.shape)
    starts[axis], sizes[axis] = start, size
    return node.builder.slice(x, starts, sizes)


def extended_by(
    node: OnnxNode, x: MLOperand, array: np.ndarray[Any, Any], axis: int, *, before: bool = False
) -> MLOperand:
    """`x` with `array` behind it along `axis`, or before it."""
    if x.constant is not None:
        parts = [array, x.constant] if before else [x.constant, array]
        return node.builder.constant(np.concatenate(parts, axis))
    more = node.constant(array)
    return node.builder.concat([more, x] if before else [x, more], axis)
