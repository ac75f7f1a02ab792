"""Normalization over features, groups of channels, and vectors."""

from __future__ import annotations

import math

from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import MICROSOFT, Imported, imports
from webnn.formats.onnx.patterns.channel_layout import channels_first, channels_last
from webnn.formats.onnx.patterns.layer_normalization import (
    layer_normalized,
    root_mean_square_normalized,
    scaled_and_shifted,
)
from webnn.formats.onnx.patterns.precision import cast_like, in_float32
from webnn.graph.operand import MLOperand

__all__: list[str] = []

_FLOAT = 1
"""The `stash_type` that asks for statistics in float32."""


def _statistics(node: OnnxNode, x: MLOperand, axis: int, epsilon: float, first: int) -> list[MLOperand | None]:
    """Mean and inverse standard deviation, as far as outputs `first` and `first + 1` are read."""
    b, axes = node.builder, list(range(axis, x.rank))
    mean = inverse = None
    if node.reads(first) or node.reads(first + 1):
        x = in_float32(node, x)
        mean = b.reduce_mean(x, axes=axes, keep_dimensions=True)
    if mean is not None and node.reads(first + 1):
        centered = b.sub(x, mean)
        variance = b.reduce_mean(b.mul(centered, centered), axes=axes, keep_dimensions=True)
        inverse = b.reciprocal(b.sqrt(b.add(variance, node.scalar(x, epsilon))))
    return [mean, inverse]


@imports("LayerNormalization")
def layer_normalization(node: OnnxNode) -> Imported:
    """One operator if scale and bias have the shape of the normalized dimensions."""
    x, axis = node.operand(0), node.axis(node.get_int("axis", -1), node.rank(0))
    epsilon = node.get_float("epsilon", 1e-5)
    y = layer_normalized(node, x, node.optional(1), node.optional(2), axis=axis, epsilon=epsilon)
    return [y, *_statistics(node, x, axis, epsilon, 1)]


@imports("RMSNormalization")
@imports("SimplifiedLayerNormalization")
@imports("SimplifiedLayerNormalization", domain=MICROSOFT)
def root_mean_square_normalization(node: OnnxNode) -> Imported:
    """The input divided by its root mean square, whose reciprocal ONNX Runtime's operator gives too."""
    x, axis = node.operand(0), node.axis(node.get_int("axis", -1), node.rank(0))
    y, root = root_mean_square_normalized(
        node,
        x,
        node.optional(1),
        axis,
        node.get_float("epsilon", 1e-5),
        stashed=node.get_int("stash_type", 1) == _FLOAT,
    )
    return [y, node.builder.reciprocal(root) if node.reads(1) else None]


@imports("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", domain=MICROSOFT)
def skip_layer_normalization(node: OnnxNode) -> Imported:
    """The normalized sum of input, skip connection and bias; and the sum."""
    b = node.builder
    simplified = node.op_type == "SkipSimplifiedLayerNormalization"
    bias = node.optional(3 if simplified else 4)
    total = b.add(node.operand(0), node.operand(1))
    if bias is not None:
        total = b.add(total, bias)
    axis, epsilon = total.rank - 1, node.get_float("epsilon", 1e-12)
    if simplified:
        y, root = root_mean_square_normalized(node, total, node.operand(2), axis, epsilon)
        return [y, None, b.reciprocal(root) if node.reads(2) else None, total]
    y = layer_normalized(node, total, node.operand(2), node.optional(3), axis=axis, epsilon=epsilon)
    return [y, *_statistics(node, total, axis, epsilon, 1), total]


def _group_normalized(node: OnnxNode, x: MLOperand, groups: int, epsilon: float) -> MLOperand:
    """`x`, `[batch, channels, ...]`, as `[batch, groups, rest]`, each group normalized."""
    if groups < 1 or x.rank < 2 or x.shape[1] % groups:
        raise DataError(f"the channels of {list(x.shape)} cannot be divided into {groups} equal groups")
    b = node.builder
    grouped = b.reshape(x, [x.shape[0], groups, math.prod(x.shape[1:]) // groups])
    return b.layer_normalization(grouped, axes=[2], epsilon=epsilon)


def _along_channels(node: OnnxNode, vector: MLOperand, x: MLOperand) -> MLOperand:
    return node.builder.reshape(cast_like(node, vector, x), [vector.shape[0], *(1 for _ in x.shape[2:])])


@imports("GroupNormalization", since=18)
def group_normalization_by_group(node: OnnxNode) -> Imported:
    """Before opset 21, with a scale and bias for each group."""
    x, b = node.operand(0), node.builder
    y = _group_normalized(node, x, node.get_int("num_groups"), node.get_float("epsilon", 1e-5))
    scale, bias = (b.reshape(node.operand(i), [*node.shape(i), 1]) for i in (1, 2))
    return b.reshape(scaled_and_shifted(node, y, scale, bias), x.shape)


@imports("GroupNormalization", since=21)
def group_normalization(node: OnnxNode) -> Imported:
    """From opset 21 on, with a scale and bias for each channel."""
    x = node.operand(0)
    y = _group_normalized(node, x, node.get_int("num_groups"), node.get_float("epsilon", 1e-5))
    scale, bias = (_along_channels(node, node.operand(i), x) for i in (1, 2))
    return scaled_and_shifted(node, node.builder.reshape(y, x.shape), scale, bias)


@imports("GroupNorm", "SkipGroupNorm", domain=MICROSOFT)
def group_norm(node: OnnxNode) -> Imported:
    """Group normalization with its channels last, followed by a SiLU if `activation` is 1."""
    b, total = node.builder, node.operand(0)
    for i in (3, 4) if node.op_type == "SkipGroupNorm" else ():
        if node.has(i):
            added = cast_like(node, node.operand(i), total)
            if i == 3 and added.rank == 2:  # one value for each sample and channel
                last = node.get_int("channels_last", 1)
                added = b.reshape(added, [*added.shape[:1], 1, 1, *added.shape[1:]] if last else [*added.shape, 1, 1])
            total = b.add(total, added)
    last = node.get_int("channels_last", 1)
    x = channels_first(b, total) if last else total
    y = _group_normalized(node, x, node.get_int("groups"), node.get_float("epsilon", 1e-5))
    gamma, beta = (_along_channels(node, node.operand(i), x) for i in (1, 2))
    y = scaled_and_shifted(node, b.reshape(y, x.shape), gamma, beta)
    if node.get_int("activation"):
        y = b.mul(y, b.sigmoid(y))
    return [channels_last(b, y) if last else y, total]


@imports("MeanVarianceNormalization")
def mean_variance_normalization(node: OnnxNode) -> Imported:
    """A layer normalization; the standard adds an epsilon of 1e-9 to the deviation, so 1e-18 to the variance."""
    x = node.operand(0)
    axes = node.axes(node.get_ints("axes", [0, 2, 3]), x.rank)
    y = node.builder.layer_normalization(in_float32(node, x), axes=axes, epsilon=1e-18)
    return cast_like(node, y, x)


@imports("LpNormalization")
def lp_normalization(node: OnnxNode) -> Imported:
    """Vectors divided by their norm; zero vectors stay."""
    b, x = node.builder, node.operand(0)
    axes, p = [node.axis(node.get_int("axis", -1), x.rank)], node.get_int("p", 2)
    if p not in {1, 2}:
        raise DataError(f"p must be 1 or 2, got {p}")
    smallest = 1.1754944e-38 if x.data_type == "float32" else 6e-8
    if p == 1:
        norm = b.reduce_l1(x, axes=axes, keep_dimensions=True)
    elif x.data_type == "float32":  # as in onnxruntime: `reduce_l2` keeps squares in range, which takes twice the time
        norm = b.sqrt(b.reduce_sum(b.mul(x, x), axes=axes, keep_dimensions=True))
        smallest = 3e-23  # below the root of any square but 0
    else:
        norm = b.reduce_l2(x, axes=axes, keep_dimensions=True)
    return b.div(x, b.clamp(norm, min_value=smallest))
