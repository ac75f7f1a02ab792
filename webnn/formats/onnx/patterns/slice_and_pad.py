"""Slices with steps of either sign, and padding that may be negative."""

from __future__ import annotations

from typing import Final

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.operand import MLOperand

__all__ = ["pad_or_crop", "strided_slice"]

_PLACES: Final = 1 << 24
"""The most elements that a padding repeats."""


def strided_slice(b: MLGraphBuilder[object], x: MLOperand, ranges: dict[int, range]) -> MLOperand:
    """The elements in `ranges` along each axis, also backwards; all elements along other axes."""
    backwards = [axis for axis, places in ranges.items() if places.step < 0 and len(places) > 1]
    if backwards:
        x = b.reverse(x, axes=backwards)
    starts, sizes, strides = [0] * x.rank, list(x.shape), [1] * x.rank
    for axis, places in ranges.items():
        size = x.shape[axis]
        ahead = range(size - 1 - places[0], size, -places.step)[: len(places)] if axis in backwards else places
        starts[axis], strides[axis] = ahead[0], ahead.step if len(ahead) > 1 else 1
        sizes[axis] = ahead[-1] - ahead[0] + 1
    if sizes == list(x.shape) and set(strides) <= {1}:
        return x if backwards else b.identity(x)
    return b.slice(x, starts, sizes, strides=strides)


def pad_or_crop(
    b: MLGraphBuilder[object],
    x: MLOperand,
    before: list[int],
    after: list[int],
    *,
    mode: str = "constant",
    value: float = 0,
) -> MLOperand:
    """`x` with `before` and `after` more elements along each axis, or fewer where they are negative."""
    if any(size < 0 for size in [*before, *after]):
        ranges = {
            axis: range(max(-first, 0), size - max(-last, 0))
            for axis, (first, last, size) in enumerate(zip(before, after, x.shape, strict=True))
        }
        if any(len(places) == 0 for places in ranges.values()):
            raise UnsupportedNodeError(f"padding of {before} and {after} leaves nothing of {list(x.shape)}")
        x = strided_slice(b, x, ranges)
        before, after = [max(size, 0) for size in before], [max(size, 0) for size in after]
    if not any(before) and not any(after):
        return b.identity(x)
    if mode == "wrap":
        for axis, (first, last) in enumerate(zip(before, after, strict=True)):
            if first or last:
                x = _wrapped(b, x, axis, first, last)
        return x
    if mode == "constant":
        return b.pad(x, before, after, value=value)
    if mode == "reflect":
        return b.pad(x, before, after, mode="reflection")
    if mode == "edge":
        return b.pad(x, before, after, mode="edge")
    raise DataError(f"mode must be constant, reflect, edge or wrap, got {mode!r}")


def _wrapped(b: MLGraphBuilder[object], x: MLOperand, axis: int, before: int, after: int) -> MLOperand:
    """`x` repeated along an axis, as often as it takes for so many more elements at both ends."""
    size = x.shape[axis]
    if before + after > _PLACES:
        raise UnsupportedNodeError(f"its padding of {before} and {after} elements takes too many indices")
    if max(before, after) > size:
        return b.gather(x, b.constant(np.arange(-before, size + after) % size), axis=axis)
    parts = [range(size - before, size), range(size), range(after)]
    return b.concat([strided_slice(b, x, {axis: part}) for part in parts if len(part)], axis)
