"""Convolutions in which each element of a filter reads at its own two-dimensional offset."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.composites.samples import Images, Tap, inside, linear_taps
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["deformably_convolved"]


def deformably_convolved(
    b: Builder,
    operands: Mapping[str, MLOperand],
    sizes: Sequence[int],
    *,
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int],
    groups: int,
    offset_groups: int,
) -> MLOperand:
    """The convolution of images, `[images, filters, *sizes]`.

    Args:
        b: takes the node.
        operands: `input`, `[images, channels, height, width]`; `filter`, `[filters, channels / groups, rows, columns]`;
            `offset`, `[images, offset groups * rows * columns * 2, *sizes]`, down and to the right in turn; and
            optionally `bias`, one for each filter, and `mask`, factors of what is read, of half as many channels as
            `offset`.
        sizes: the height and the width of the result.
        strides: from one window to the next.
        dilations: from one element of a window to the next.
        pads: zeros at the top, the left, the bottom and the right.
        groups: of channels and filters.
        offset_groups: groups of channels that share offsets.
    """
    x, filters = operands["input"], operands["filter"]
    output = MLOperandDescriptor(x.data_type, [x.shape[0], filters.shape[0], *sizes])
    options: dict[str, Any] = {"strides": tuple(strides), "dilations": tuple(dilations), "pads": tuple(pads)}
    options |= {"group": groups, "offset_group": offset_groups}
    return compose(b, "deform_conv", operands, [output], **options)[0]


@composite
def deform_conv(b: Builder, node: Node) -> Sequence[MLOperand]:
    """A product of the filters with all that their elements read."""
    x, filters, sizes = node["input"], node["filter"], node.output.shape[2:]
    groups, shifted = node.attributes["group"], node.attributes["offset_group"]
    n, c = x.shape[:2]
    kernel = filters.shape[2:]
    places, taps = math.prod(sizes), math.prod(kernel)
    by_axis = b.reshape(node["offset"], [n * shifted, taps, 2, places])
    axes = []
    for axis, size in enumerate(x.shape[2:]):
        shift = b.cast(b.slice(by_axis, [0, 0, axis, 0], [n * shifted, taps, 1, places]), "float32")
        place = b.add(b.reshape(shift, [n * shifted, taps, places]), b.constant(_base_places(node, axis)))
        place = b.clamp(place, min_value=-2, max_value=size + 1)
        axes.append(
            [
                Tap(b.clamp(number, min_value=0, max_value=size - 1), b.mul(weight, inside(b, number, size)))
                for number, weight in linear_taps(b, place)
            ]
        )
    images = b.constant(np.arange(n * shifted, dtype=np.int32).reshape(-1, 1, 1))
    values = reduce(b.add, Images(b, b.reshape(x, [n * shifted, c // shifted, *x.shape[2:]])).around(images, axes))
    if "mask" in node.operands:
        values = b.mul(values, b.reshape(node["mask"], [n * shifted, taps, places, 1]))
    columns = b.transpose(values, permutation=[0, 3, 1, 2])
    columns = b.reshape(columns, [n, groups, c // groups * taps, places])
    factors = b.reshape(filters, [1, groups, filters.shape[0] // groups, c // groups * taps])
    result = b.reshape(b.matmul(factors, columns), node.output.shape)
    if "bias" in node.operands:
        result = b.add(result, b.reshape(node["bias"], [1, filters.shape[0], 1, 1]))
    return [result]


def _base_places(node: Node, axis: int) -> np.ndarray[Any, Any]:
    """The coordinate of each element of the filter without its offset, `[taps, places]`."""
    kernel, sizes = node["filter"].shape[2:], node.output.shape[2:]
    strides, dilations, pads = (node.attributes[name][axis] for name in ("strides", "dilations", "pads"))
    inner = np.arange(kernel[axis]) * dilations
    outer = np.arange(sizes[axis]) * strides - pads
    shape = (-1, 1) if axis == 0 else (1, -1)
    taps = np.broadcast_to(inner.reshape(shape), kernel).reshape(-1, 1)
    return np.asarray(taps + np.broadcast_to(outer.reshape(shape), sizes).reshape(1, -1), np.float32)
