"""Resampling on arrays, one axis after the other."""

from __future__ import annotations

from typing import Any

from webnn.backends.arrays.kernels import Array, Arrays, kernels
from webnn.backends.sampling import coordinates, nearest
from webnn.graph.ir import Node


@kernels.lowers("resample2d")
def resample2d(xp: Any, node: Node, operands: Arrays) -> Array:
    """The nearest values, or the mean of the two neighbours along each axis, weighted by their distance."""
    options: Any = node.attributes
    x = operands["input"]
    data_type = x.dtype
    axes = zip(options["axes"], options["sizes"], strict=True)
    if options["mode"] == "nearest-neighbor":
        for axis, size in axes:
            x = xp.take(x, xp.asarray(nearest(x.shape[axis], size)), axis=axis)
        return x
    x = xp.astype(x, xp.float64)
    for axis, size in axes:
        x = _interpolated(xp, x, axis, size)
    return xp.astype(x if xp.isdtype(data_type, "real floating") else xp.round(x), data_type)


def _interpolated(xp: Any, x: Array, axis: int, size: int) -> Array:
    places = xp.asarray(coordinates(x.shape[axis], size))
    below = xp.floor(places)
    low = xp.take(x, xp.astype(below, xp.int64), axis=axis)
    high = xp.take(x, xp.astype(xp.ceil(places), xp.int64), axis=axis)
    weight = xp.reshape(places - below, (-1,) + (1,) * (x.ndim - 1 - axis))
    # An output that lies on a value is that value, even an infinite one.
    return xp.where(weight == 0, low, low * (1 - weight) + high * weight)
