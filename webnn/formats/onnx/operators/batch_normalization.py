"""Normalization by channel: BatchNormalization, InstanceNormalization and LRN."""

from __future__ import annotations

import math

from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.graph.composites.open_cases import computed_alone
from webnn.graph.operand import MLOperand

__all__: list[str] = []


@imports("BatchNormalization")
def batch_normalization(node: OnnxNode) -> Imported:
    """Normalization with a given mean and variance for each channel."""
    b = node.builder
    x = node.operand(0)
    if not node.get_int("spatial", 1):
        raise UnsupportedNodeError("it has statistics for each element (spatial=0)", "statistics for each channel")
    if x.rank < 2:
        raise DataError(f"{list(x.shape)} has no channels")
    scale, bias, mean, variance = (
        operand if operand.data_type == x.data_type else b.cast(operand, x.data_type)
        for operand in map(node.operand, range(1, 5))
    )
    running: list[MLOperand] = []
    if node.get_int("training_mode", 0):  # with the statistics of the batch, which also update the running ones
        axes = [axis for axis in range(x.rank) if axis != 1]
        found = b.reduce_mean(x, axes=axes, keep_dimensions=True)
        difference = b.sub(x, found)
        spread = b.reduce_mean(b.mul(difference, difference), axes=axes)
        found, kept = b.reshape(found, [x.shape[1]]), node.get_float("momentum", 0.9)
        running = [
            b.add(b.linear(before, alpha=kept), b.linear(now, alpha=1 - kept))
            for before, now in ((mean, found), (variance, spread))
        ]
        mean, variance = found, spread
    result = b.batch_normalization(
        x, mean, variance, scale=scale, bias=bias, axis=1, epsilon=node.get_float("epsilon", 1e-5)
    )
    if x.node is None:  # between operators, onnxruntime folds it into their weights, whatever else is done
        result = computed_alone(b, result)
    return [result, *running] if running else [result, None, None, None, None]


@imports("InstanceNormalization")
def instance_normalization(node: OnnxNode) -> Imported:
    """Normalization with the mean and variance of each channel of each image."""
    b = node.builder
    x = node.operand(0)
    if x.rank < 3:
        raise DataError(f"{list(x.shape)} has no spatial axes")
    flat = x if x.rank == 4 else b.reshape(x, [*x.shape[:2], 1, math.prod(x.shape[2:])])
    result = b.instance_normalization(
        flat, scale=node.operand(1), bias=node.operand(2), epsilon=node.get_float("epsilon", 1e-5)
    )
    result = computed_alone(b, result)
    return result if x.rank == 4 else b.reshape(result, x.shape)


@imports("LRN")
def local_response(node: OnnxNode) -> Imported:
    """Local response normalization: the sum of squares is an average pooling along the channels."""
    b = node.builder
    x = node.operand(0)
    if x.rank < 2:
        raise DataError(f"{list(x.shape)} has no channels")
    size = node.get_int("size")
    if size < 1:
        raise DataError(f"size must be at least 1, got {size}")
    squares = b.reshape(b.mul(x, x), [x.shape[0], 1, x.shape[1], math.prod(x.shape[2:])])
    before, after = (size - 1) // 2, size // 2
    padded = b.pad(squares, [0, 0, before, 0], [0, 0, after, 0]) if size > 1 else squares
    averages = b.average_pool2d(padded, window_dimensions=[size, 1])
    scaled = b.linear(averages, alpha=node.get_float("alpha", 1e-4), beta=node.get_float("bias", 1.0))
    divisor = b.pow(scaled, node.scalar(scaled, node.get_float("beta", 0.75)))
    return b.div(x, b.reshape(divisor, x.shape))
