"""Normalization on arrays, computed in a wider type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from webnn.backends.arrays.kernels import Array, Arrays, dtype_of, kernels
from webnn.graph.ir import Node


@kernels.lowers("batch_normalization")
def batch_normalization(xp: Any, node: Node, operands: Arrays) -> Array:
    """With the mean and variance that are given."""
    axes = [node.attributes["axis"]]
    mean, variance = (_along(xp, operands[name], axes, node) for name in ("mean", "variance"))
    return _normalized(xp, node, operands, (mean, variance), axes)


@kernels.lowers("instance_normalization")
def instance_normalization(xp: Any, node: Node, operands: Arrays) -> Array:
    """With the mean and variance of height and width."""
    channels, height, width = (1, 2, 3) if node.attributes["layout"] == "nchw" else (3, 1, 2)
    return _normalized(xp, node, operands, _statistics(xp, operands["input"], (height, width)), [channels])


@kernels.lowers("layer_normalization")
def layer_normalization(xp: Any, node: Node, operands: Arrays) -> Array:
    """With the mean and variance over the axes."""
    axes = node.attributes["axes"]
    return _normalized(xp, node, operands, _statistics(xp, operands["input"], axes), axes)


def _normalized(xp: Any, node: Node, operands: Arrays, statistics: tuple[Array, Array], axes: Sequence[int]) -> Array:
    """`scale * (input - mean) / sqrt(variance + epsilon) + bias`; scale and bias lie along `axes`."""
    mean, variance = statistics
    output = (xp.astype(operands["input"], xp.float64) - mean) / xp.sqrt(variance + node.attributes["epsilon"])
    if "scale" in operands:
        output = _along(xp, operands["scale"], axes, node) * output
    if "bias" in operands:
        output = output + _along(xp, operands["bias"], axes, node)
    return xp.astype(output, dtype_of(xp, node.output))


def _statistics(xp: Any, input: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    wide = xp.astype(input, xp.float64)
    return xp.mean(wide, axis=axes, keepdims=True), xp.var(wide, axis=axes, keepdims=True)


def _along(xp: Any, array: Array, axes: Sequence[int], node: Node) -> Array:
    """`array`, whose dimensions are those of the input along `axes`, so that it broadcasts with the input."""
    shape = tuple(size if i in axes else 1 for i, size in enumerate(node["input"].shape))
    ascending = tuple(sorted(range(len(axes)), key=axes.__getitem__))
    return xp.astype(xp.reshape(xp.permute_dims(array, ascending), shape), xp.float64)
