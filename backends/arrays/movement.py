"""Data movement on arrays."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np

from webnn.backends.arrays.kernels import Array, Arrays, kernels
from webnn.graph.ir import Node


@kernels.lowers("concat")
def concat(xp: Any, node: Node, operands: Arrays) -> Array:
    """The inputs, joined."""
    return xp.concat(operands["inputs"], axis=node.attributes["axis"])


@kernels.lowers("expand")
def expand(xp: Any, node: Node, operands: Arrays) -> Array:
    """The input, broadcast."""
    return xp.broadcast_to(operands["input"], node.attributes["new_shape"])


@kernels.lowers("pad")
def pad(xp: Any, node: Node, operands: Arrays) -> Array:
    """The input, widened along one axis after the other."""
    x, mode = operands["input"], node.attributes["mode"]
    for axis, widths in enumerate(
        zip(node.attributes["beginning_padding"], node.attributes["ending_padding"], strict=True)
    ):
        if not any(widths):
            continue
        if mode == "constant":
            before, after = (
                xp.full((*x.shape[:axis], width, *x.shape[axis + 1 :]), node.attributes["value"], dtype=x.dtype)
                for width in widths
            )
            x = xp.concat([before, x, after], axis=axis)
            continue
        places = np.arange(-widths[0], x.shape[axis] + widths[1])
        last = x.shape[axis] - 1
        places = np.clip(places, 0, last) if mode == "edge" else last - np.abs(last - np.abs(places))
        x = xp.take(x, xp.asarray(places), axis=axis)
    return x


@kernels.lowers("reshape")
def reshape(xp: Any, node: Node, operands: Arrays) -> Array:
    """The input's values in another shape."""
    return xp.reshape(operands["input"], node.attributes["new_shape"])


@kernels.lowers("reverse")
def reverse(xp: Any, node: Node, operands: Arrays) -> Array:
    """The input, back to front."""
    return xp.flip(operands["input"], axis=node.attributes["axes"])


@kernels.lowers("slice")
def slice_(xp: Any, node: Node, operands: Arrays) -> Array:
    """The ranges of the input."""
    starts, sizes, strides = (node.attributes[name] for name in ("starts", "sizes", "strides"))
    ranges = zip(starts, sizes, strides, strict=True)
    return operands["input"][tuple(slice(start, start + size, stride) for start, size, stride in ranges)]


@kernels.lowers("split")
def split(xp: Any, node: Node, operands: Arrays) -> tuple[Array, ...]:
    """The parts of the input between the running sums of the sizes."""
    sizes, axis = node.attributes["splits"], node.attributes["axis"]
    before = (slice(None),) * axis
    return tuple(
        operands["input"][(*before, slice(end - size, end), ...)]
        for size, end in zip(sizes, accumulate(sizes), strict=True)
    )


@kernels.lowers("tile")
def tile(xp: Any, node: Node, operands: Arrays) -> Array:
    """The input, repeated."""
    return xp.tile(operands["input"], node.attributes["repetitions"])


@kernels.lowers("transpose")
def transpose(xp: Any, node: Node, operands: Arrays) -> Array:
    """The input with its axes permuted."""
    return xp.permute_dims(operands["input"], node.attributes["permutation"])


@kernels.lowers("triangular")
def triangular(xp: Any, node: Node, operands: Arrays) -> Array:
    """The upper or lower triangle of each matrix."""
    triangle = xp.triu if node.attributes["upper"] else xp.tril
    return triangle(operands["input"], k=node.attributes["diagonal"])
