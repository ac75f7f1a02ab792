"""Pooling on arrays: along the height, then along the width, for each tap of the window all outputs at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from webnn.backends.arrays.kernels import Array, Arrays, kernels, updated
from webnn.graph.ir import Node
from webnn.graph.windows import sweeps


def _pooled(xp: Any, node: Node, x: Array, start: float, combine: Callable[[Array, Array], Array]) -> Array:
    """`combine` over each window of `x`, beginning with `start`; padding is left out."""
    options: Any = node.attributes
    axes = [options["layout"].index(letter) for letter in "hw"]
    inputs = [x.shape[axis] for axis in axes]
    both = sweeps(inputs, options["window_dimensions"], options["padding"], options["strides"], options["dilations"])
    for axis, sweep, size in zip(axes, both, options["output_sizes"], strict=True):
        all_before = (slice(None),) * axis
        y = xp.full((*x.shape[:axis], size, *x.shape[axis + 1 :]), start, dtype=x.dtype)
        for _, to, read in sweep.taps(size, x.shape[axis]):
            there = (*all_before, to, ...)
            y = updated(y, there, combine(y[there], x[(*all_before, read, ...)]))
        x = y
    return x


def _sum(xp: Any, node: Node, x: Array) -> Array:
    return _pooled(xp, node, xp.astype(x, xp.float64), 0.0, xp.add)


@kernels.lowers("average_pool2d")
def average_pool2d(xp: Any, node: Node, operands: Arrays) -> Array:
    """The sum of each window, divided by the number of input values in it."""
    x = operands["input"]
    layout: Any = node.attributes["layout"]
    ones = xp.ones([size if axis in "hw" else 1 for axis, size in zip(layout, x.shape, strict=True)])
    counts = _sum(xp, node, ones)
    return xp.astype(_sum(xp, node, x) / xp.maximum(counts, xp.ones_like(counts)), x.dtype)


@kernels.lowers("l2_pool2d")
def l2_pool2d(xp: Any, node: Node, operands: Arrays) -> Array:
    """The square root of the sum of the squares of each window."""
    x = operands["input"]
    wide = xp.astype(x, xp.float64)
    return xp.astype(xp.sqrt(_sum(xp, node, wide * wide)), x.dtype)


@kernels.lowers("max_pool2d")
def max_pool2d(xp: Any, node: Node, operands: Arrays) -> Array:
    """The largest value of each window."""
    x = operands["input"]
    lowest = -xp.inf if xp.isdtype(x.dtype, "real floating") else xp.iinfo(x.dtype).min
    return _pooled(xp, node, x, lowest, xp.maximum)
