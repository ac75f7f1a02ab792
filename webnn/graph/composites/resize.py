"""Resizing along any axes, with all modes of ONNX.

`resample2d` is used where it computes the same. Otherwise a kernel of the backend, where that is faster, or the
expansion: each axis is resized by itself, with weights that depend on sizes only: by `gather` for the nearest element,
else by a product with a constant matrix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from webnn.graph.composites.composite import Builder, compose, composite, spelled_out
from webnn.graph.composites.resampling import Axis, Resampling
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import FLOATS
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["resized"]

_LONG: Final = {2: 48, 3: 96}
"""By the number of spatial axes, the size of one from which on products take longer than a kernel of `Resize`."""
_ROUNDED: Final = 1 + 2**-20
"""Makes a sum of shares of equal integers, which may be less than the integer by some ULPs, that integer."""
_PLAN: Final = ("axes", "inputs", "targets", "scales", "starts", "ends")
_OPTIONS: Final = ("mode", "coordinates", "nearest", "cubic", "exclude_outside", "antialias", "extrapolation")


def resized(b: Builder, x: MLOperand, plan: Sequence[Axis], resampling: Resampling, *, by: str) -> MLOperand:
    """`x`, resized along some axes.

    Args:
        b: takes the node.
        x: of any rank. Integers are interpolated as floats and rounded toward zero, or to the nearest if `resampling`
            is antialiased or cubic.
        plan: how each axis is resized.
        resampling: the options that all axes share.
        by: what the plan was made of, which decides about the last bits of coordinates: "scales", "sizes", or "" for
            something else.
    """
    is_float = x.data_type in FLOATS
    if x.rank == 3 and is_float and all(axis.axis == 2 for axis in plan):  # as images of one row, which is faster
        flat = b.reshape(x, [*x.shape[:2], 1, x.shape[2]])
        rows = [Axis(3, axis.size, axis.target, axis.scale, axis.start, axis.end) for axis in plan]
        image = resized(b, flat, rows, resampling, by=by)
        return b.reshape(image, [*x.shape[:2], image.shape[3]])
    is_crop = resampling.coordinates == "tf_crop_and_resize"
    has_type = is_float or (resampling.mode == "nearest" and x.data_type in {"int8", "uint8"})
    if x.rank == 4 and has_type and len(plan) <= 2 and not is_crop and all(map(resampling.matches_resample2d, plan)):
        spare = [i for i in (2, 3, 1, 0) if i not in [axis.axis for axis in plan]]
        both = sorted([*(axis.axis for axis in plan), *spare][:2])
        targets = {axis.axis: axis.target for axis in plan}
        sizes = [targets.get(axis, x.shape[axis]) for axis in both]
        return b.resample2d(
            x, mode="linear" if resampling.mode == "linear" else "nearest-neighbor", sizes=sizes, axes=both
        )
    output = list(x.shape)
    for axis in plan:
        output[axis.axis] = axis.target
    columns = zip(*((a.axis, a.size, a.target, a.scale, a.start, a.end) for a in plan), strict=True)
    make = compose if by and _has_fast_kernel(x, plan, resampling) else spelled_out
    return make(
        b,
        "resize",
        {"input": x},
        [MLOperandDescriptor(x.data_type, output)],
        by=by,
        **dict(zip(_PLAN, columns, strict=True)),
        **{name: getattr(resampling, name) for name in _OPTIONS},
    )[0]


def _has_fast_kernel(x: MLOperand, plan: Sequence[Axis], resampling: Resampling) -> bool:
    """Whether ONNX's `Resize` computes this, and as fast as products. Its cubic kernel takes up to 70 times as long."""
    if resampling.mode == "nearest":
        return x.data_type in {"float32", "float16", "int32", "int8", "uint8"}
    changed = {axis.axis for axis in plan}
    images = x.rank in (3, 4, 5) and changed <= set(range(2, x.rank))
    rows = x.rank == 4 and changed <= {1, 2} and not resampling.antialias
    if resampling.mode == "cubic" or not (images or rows):
        return False
    if x.data_type not in FLOATS:  # onnxruntime 1.32 loses negative numbers if they are antialiased
        return x.data_type == "uint8" or (x.data_type in {"int8", "int32"} and not resampling.antialias)
    return max(axis.size for axis in plan) > _LONG[x.rank - 2]


@composite
def resize(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Each axis by itself."""
    x = node["input"]
    plan = [Axis(*row) for row in zip(*(node.attributes[name] for name in _PLAN), strict=True)]
    resampling = Resampling(*(node.attributes[name] for name in _OPTIONS))
    data_type = x.data_type
    if resampling.mode != "nearest" and data_type not in FLOATS:
        x = b.cast(x, "float32")
    for axis in plan:
        x = _along(b, x, resampling, axis)
    if resampling.coordinates == "tf_crop_and_resize":
        x = _with_extrapolation(b, x, resampling, plan)
    if x.data_type == data_type:
        return [x]
    to_nearest = resampling.antialias or resampling.mode == "cubic"
    return [b.cast(b.round_even(x) if to_nearest else b.linear(x, alpha=_ROUNDED), data_type)]


def _along(b: Builder, x: MLOperand, resampling: Resampling, axis: Axis) -> MLOperand:
    """`x`, resized along one axis."""
    if resampling.mode == "nearest":
        return b.gather(x, b.constant(resampling.indices(axis)), axis=axis.axis)
    weights = resampling.weights(axis).astype(x.descriptor.dtype)
    if axis.axis == x.rank - 1 and x.rank > 1:
        return b.matmul(x, b.constant(np.ascontiguousarray(weights.T)))
    if axis.axis == x.rank - 2:
        return b.matmul(b.constant(weights), x)
    shape = list(x.shape)
    flat = b.reshape(x, [math.prod(shape[: axis.axis]), shape[axis.axis], math.prod(shape[axis.axis + 1 :])])
    shape[axis.axis] = axis.target
    return b.reshape(b.matmul(b.constant(weights), flat), shape)


def _with_extrapolation(b: Builder, x: MLOperand, resampling: Resampling, plan: Sequence[Axis]) -> MLOperand:
    """`x` with the extrapolation value where a coordinate lies outside the input."""
    outside: MLOperand | None = None
    for axis in plan:
        places = resampling.places(axis)
        beyond = ((places < 0) | (places > axis.size - 1)).astype(np.uint8)
        if beyond.any():
            mask = b.constant(beyond.reshape([-1 if i == axis.axis else 1 for i in range(x.rank)]))
            outside = mask if outside is None else b.logical_or(outside, mask)
    return x if outside is None else b.where(outside, b.constant(x.data_type, resampling.extrapolation), x)
