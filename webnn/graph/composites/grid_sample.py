"""Samples of images at the coordinates of a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import numpy as np

from webnn.graph.composites.composite import Builder, compose, composite, spelled_out
from webnn.graph.composites.samples import Images, Tap, cubic_taps, inside, linear_taps
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["sampled_at"]


def sampled_at(b: Builder, x: MLOperand, grid: MLOperand, *, mode: str, padding: str, aligned: bool) -> MLOperand:
    """Samples of images `[images, channels, ...]` at the coordinates in the last axis of `grid`.

    Args:
        b: takes the node.
        x: over one, two or three spatial axes.
        grid: `[images, ..., axes]`, with coordinates from -1 to 1, and the last axis of an image first.
        mode: "linear", "nearest" or "cubic".
        padding: what is outside: "zeros", the "border", or the image by "reflection".
        aligned: whether -1 and 1 are the centers of the outermost pixels, or their outer edges.
    """
    output = MLOperandDescriptor(x.data_type, [*x.shape[:2], *grid.shape[1:-1]])
    operands = {"input": x, "grid": grid}
    options: dict[str, str | int] = {"mode": mode, "padding_mode": padding, "align_corners": int(aligned)}
    has_kernel = x.rank == 4 or (x.rank == 5 and mode != "cubic")
    return (compose if has_kernel else spelled_out)(b, "grid_sample", operands, [output], **options)[0]


@composite
def grid_sample(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Weighted sums of the pixels around each coordinate."""
    x, grid = node["input"], node["grid"]
    mode, padding, aligned = (node.attributes[name] for name in ("mode", "padding_mode", "align_corners"))
    count = x.rank - 2
    places = math.prod(grid.shape[1:-1])
    flat = b.reshape(b.cast(grid, "float32"), [grid.shape[0], places, count])
    axes = []
    for i, size in enumerate(x.shape[2:]):
        coordinate = b.reshape(b.slice(flat, [0, 0, count - 1 - i], [*flat.shape[:2], 1]), list(flat.shape[:2]))
        half = (size - 1 if aligned else size) / 2
        place = b.linear(coordinate, alpha=half, beta=(size - 1) / 2)
        axes.append(_taps(b, place, size, mode, padding, aligned))
    images = b.constant(np.arange(x.shape[0], dtype=np.int32).reshape(-1, 1))
    values = reduce(b.add, Images(b, x).around(images, axes))
    last = b.transpose(values, permutation=[0, 2, 1])
    return [b.reshape(last, [*x.shape[:2], *grid.shape[1:-1]])]


def _taps(  # noqa: PLR0917 (the options of the operator)
    b: Builder, place: MLOperand, size: int, mode: str, padding: str, aligned: bool
) -> list[Tap]:
    low, high = (0.0, size - 1.0) if aligned else (-0.5, size - 0.5)
    if mode == "nearest":
        place = b.round_even(place)
    if padding == "reflection":
        place = _reflected(b, place, low, high)
    else:  # coordinates far outside give the same sample, and must not overflow an integer
        place = b.clamp(place, min_value=-3, max_value=size + 2)
    if mode == "nearest":
        neighbours: list[tuple[MLOperand, MLOperand | None]] = [(place, None)]
    else:
        neighbours = list(linear_taps(b, place) if mode == "linear" else cubic_taps(b, place))
    return [_tap(b, number, weight, size, padding, low, high) for number, weight in neighbours]


def _tap(  # noqa: PLR0917 (the options of the operator)
    b: Builder, number: MLOperand, weight: MLOperand | None, size: int, padding: str, low: float, high: float
) -> Tap:
    if padding == "zeros":
        is_inside = inside(b, number, size)
        weight = is_inside if weight is None else b.mul(weight, is_inside)
    elif padding == "reflection":
        number = _reflected(b, number, low, high)
    return Tap(b.clamp(number, min_value=0, max_value=size - 1), weight)


def _reflected(b: Builder, place: MLOperand, low: float, high: float) -> MLOperand:
    """The coordinate, reflected at two bounds as often as needed."""
    span = high - low
    if span == 0:
        return b.clamp(place, min_value=low, max_value=low)
    turns = b.floor(b.linear(place, alpha=1 / (2 * span), beta=-low / (2 * span)))
    along = b.sub(b.linear(place, beta=-low), b.linear(turns, alpha=2 * span))
    return b.linear(b.abs(b.linear(along, beta=-span)), alpha=-1, beta=low + span)
