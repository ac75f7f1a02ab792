"""Interpolation of images at computed coordinates, by WebNN's operators.

Images become a table with one row of channels per pixel, so that one `gather` reads all channels of many pixels. Each
sample is a weighted sum of its neighbours. Coordinates are float32, whatever the type of the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from itertools import product
from typing import Final

from webnn.graph.composites.composite import Builder
from webnn.graph.operand import MLOperand
from webnn.graph.quick_dataclass import dataclass

__all__ = ["Images", "Tap", "cubic_taps", "inside", "linear_taps"]

_CUBIC: Final = -0.75
"""The coefficient of the cubic convolution kernel."""


@dataclass(frozen=True, slots=True)
class Tap:
    """One neighbour of each sample along one axis, and its weight."""

    number: MLOperand
    """Its index along the axis, as a float."""
    weight: MLOperand | None
    """None for 1."""


class Images:
    """Images `[images, channels, ...]` as a table of pixels."""

    def __init__(self, b: Builder, x: MLOperand) -> None:
        self._b = b
        self._sizes = x.shape[2:]
        last = b.transpose(x, permutation=[0, *range(2, x.rank), 1])
        self._rows = b.reshape(last, [x.shape[0] * math.prod(self._sizes), x.shape[1]])

    def around(self, images: MLOperand, axes: Sequence[Sequence[Tap]]) -> list[MLOperand]:
        """The weighted pixels of each combination of taps of the axes, with the channels in a new last axis.

        `images` are the indices of the images; they broadcast with the taps.
        """
        b = self._b
        stride = math.prod(self._sizes)
        first = self._times(images, stride)
        rows: list[list[tuple[MLOperand, MLOperand | None]]] = []
        for taps, size in zip(axes, self._sizes, strict=True):
            stride //= size
            rows.append([(self._times(tap.number, stride), tap.weight) for tap in taps])
        values = []
        for combination in product(*rows):
            row = reduce(b.add, [offset for offset, _ in combination], first)
            weights = [weight for _, weight in combination if weight is not None]
            value = b.gather(self._rows, row)
            if weights:
                weight = b.cast(reduce(b.mul, weights), value.data_type)
                value = b.mul(value, b.reshape(weight, [*weight.shape, 1]))
            values.append(value)
        return values

    def _times(self, number: MLOperand, stride: int) -> MLOperand:
        whole = self._b.cast(number, "int32")
        return self._b.mul(whole, self._b.constant("int32", stride)) if stride > 1 else whole


def _number(b: Builder, value: float) -> MLOperand:
    return b.constant("float32", value)


def linear_taps(b: Builder, place: MLOperand) -> list[tuple[MLOperand, MLOperand]]:
    """The two neighbours of each coordinate, with their weights."""
    first = b.floor(place)
    part = b.sub(place, first)
    return [(first, b.linear(part, alpha=-1, beta=1)), (b.linear(first, beta=1), part)]


def cubic_taps(b: Builder, place: MLOperand) -> list[tuple[MLOperand, MLOperand]]:
    """The four neighbours of each coordinate, with their weights."""
    first = b.floor(place)
    part = b.sub(place, first)

    def near(t: MLOperand) -> MLOperand:
        inner = b.mul(b.linear(t, alpha=_CUBIC + 2, beta=-_CUBIC - 3), b.mul(t, t))
        return b.linear(inner, beta=1)

    def far(t: MLOperand) -> MLOperand:
        inner = b.mul(b.linear(b.mul(b.linear(t, beta=-5), t), beta=8), t)
        return b.linear(inner, alpha=_CUBIC, beta=-4 * _CUBIC)

    rest = b.linear(part, alpha=-1, beta=1)
    weights = [far(b.linear(part, beta=1)), near(part), near(rest), far(b.linear(rest, beta=1))]
    return [(b.linear(first, beta=i - 1), weight) for i, weight in enumerate(weights)]


def inside(b: Builder, number: MLOperand, size: int) -> MLOperand:
    """1 where the index `number` is inside the axis, else 0."""
    above = b.greater_or_equal(number, _number(b, 0))
    return b.cast(b.logical_and(above, b.lesser_or_equal(number, _number(b, size - 1))), "float32")
