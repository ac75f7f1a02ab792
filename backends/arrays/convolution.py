"""Convolution on arrays, in a wider type: one product for each position of the filter, added to the outputs it reaches.

Letters in shapes: n batches, g groups, i and o input and output channels of a group, h and w height and width.
"""

from __future__ import annotations

from typing import Any

from webnn.backends.arrays.kernels import Array, Arrays, kernels, updated
from webnn.backends.arrays.products import product
from webnn.errors import NotSupportedError
from webnn.graph.ir import Node
from webnn.graph.windows import permutation, sweeps


def _in_groups(xp: Any, x: Array, layout: str, groups: int) -> Array:
    """The input as [n, g, i, h, w]."""
    x = xp.permute_dims(x, permutation(layout, "nchw"))
    n, channels, h, w = x.shape
    if channels % groups:
        raise NotSupportedError(f"{channels} input channels do not make {groups} equal groups")
    # Row by row in memory, where products are fastest; `astype` would keep the order of the permuted input.
    wide = updated(xp.empty(x.shape, dtype=xp.float64), (...,), xp.astype(x, xp.float64, copy=False))
    return xp.reshape(wide, (n, groups, channels // groups, h, w))


def _product(xp: Any, weights: Array, x: Array) -> Array:
    """[g, o, i] times [n, g, i, h, w] summed over i: [n, g, o, h, w]."""
    n, g, i, h, w = x.shape
    if i == 1:  # depthwise
        return weights[..., None] * x
    return xp.reshape(product(weights, xp.reshape(x, (n, g, i, h * w))), (n, g, weights.shape[1], h, w))


def _finished(xp: Any, y: Array, node: Node, operands: Arrays) -> Array:
    """[n, g, o, h, w] plus the bias, in the layout and type of the output."""
    n, g, o, h, w = y.shape
    y = xp.reshape(y, (n, g * o, h, w))
    if "bias" in operands:
        y = y + xp.reshape(xp.astype(operands["bias"], y.dtype), (-1, 1, 1))
    y = xp.permute_dims(y, permutation("nchw", node.attributes["input_layout"]))
    return xp.astype(y, operands["input"].dtype)


@kernels.lowers("conv2d")
def conv2d(xp: Any, node: Node, operands: Arrays) -> Array:
    """Each output is the sum of filter values times the inputs under them."""
    options: Any = node.attributes
    x = _in_groups(xp, operands["input"], options["input_layout"], options["groups"])
    n, g, _, *inputs = x.shape
    filter = xp.permute_dims(xp.astype(operands["filter"], x.dtype), permutation(options["filter_layout"], "oihw"))
    weights = xp.reshape(filter, (g, -1, *filter.shape[1:]))
    window = filter.shape[2:]
    vertical, horizontal = sweeps(inputs, window, options["padding"], options["strides"], options["dilations"])
    y = xp.zeros((n, g, weights.shape[1], vertical.floor_size, horizontal.floor_size), dtype=x.dtype)
    for row, to_rows, from_rows in vertical.taps(y.shape[3], inputs[0]):
        for column, to_columns, from_columns in horizontal.taps(y.shape[4], inputs[1]):
            x_there = x[..., from_rows, from_columns]
            there = (..., to_rows, to_columns)
            y = updated(y, there, y[there] + _product(xp, weights[..., row, column], x_there))
    return _finished(xp, y, node, operands)


@kernels.lowers("conv_transpose2d")
def conv_transpose2d(xp: Any, node: Node, operands: Arrays) -> Array:
    """Each input times the filter is added to the outputs under it."""
    options: Any = node.attributes
    x = _in_groups(xp, operands["input"], options["input_layout"], options["groups"])
    n, g, i, *inputs = x.shape
    filter = xp.permute_dims(xp.astype(operands["filter"], x.dtype), permutation(options["filter_layout"], "iohw"))
    weights = xp.moveaxis(xp.reshape(filter, (g, i, *filter.shape[1:])), 2, 1)
    window = filter.shape[2:]
    vertical, horizontal = sweeps(inputs, window, options["padding"], options["strides"], options["dilations"])
    y = xp.zeros((n, g, weights.shape[1], *options["output_sizes"]), dtype=x.dtype)
    for row, from_rows, to_rows in vertical.taps(inputs[0], y.shape[3]):
        for column, from_columns, to_columns in horizontal.taps(inputs[1], y.shape[4]):
            x_there = x[..., from_rows, from_columns]
            there = (..., to_rows, to_columns)
            y = updated(y, there, y[there] + _product(xp, weights[..., row, column], x_there))
    return _finished(xp, y, node, operands)
