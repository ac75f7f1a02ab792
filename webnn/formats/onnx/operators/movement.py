"""Data movement: shapes, slices, padding and layouts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from webnn.errors import DataError
from webnn.forking import import_lock
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.patterns.slice_and_pad import pad_or_crop, strided_slice
from webnn.graph.operand import MLOperand

__all__: list[str] = []


@imports("Reshape")
def reshape(node: OnnxNode) -> Imported:
    """A new shape, in which 0 copies a dimension of the input and -1 is inferred."""
    x = node.operand(0)
    shape = node.integers(1, "shape")
    if not node.get_int("allowzero", 0):
        if any(size == 0 and i >= x.rank for i, size in enumerate(shape)):
            raise DataError(f"shape {shape} copies a dimension that {list(x.shape)} does not have")
        shape = [x.shape[i] if size == 0 else size for i, size in enumerate(shape)]
    if shape.count(-1) == 1:
        known = math.prod(size for size in shape if size != -1)
        shape = [math.prod(x.shape) // known if size == -1 and known else size for size in shape]
    if any(size < 0 for size in shape):
        raise DataError(f"shape {shape} has a negative dimension")
    return node.builder.reshape(x, shape)


@imports("Flatten")
def flatten(node: OnnxNode) -> Imported:
    """A matrix: the dimensions before `axis` as rows, those from it on as columns."""
    x = node.operand(0)
    axis = node.get_int("axis", 1)
    axis = axis if axis == x.rank else node.axis(axis, x.rank)
    return node.builder.reshape(x, [math.prod(x.shape[:axis]), math.prod(x.shape[axis:])])


@imports("Squeeze")
def squeeze(node: OnnxNode) -> Imported:
    """The input without the given dimensions of size 1, or without all of them."""
    x = node.operand(0)
    given = node.find_list(1, "axes")  # if it is an empty list, onnxruntime removes all of them, too
    axes = node.axes(given, x.rank) if given else [i for i, size in enumerate(x.shape) if size == 1]
    if any(x.shape[axis] != 1 for axis in axes):
        raise DataError(f"axes {axes} of {list(x.shape)} must all have the size 1")
    return node.builder.reshape(x, [size for i, size in enumerate(x.shape) if i not in axes])


@imports("Unsqueeze")
def unsqueeze(node: OnnxNode) -> Imported:
    """The input with dimensions of size 1 at `axes` of the result."""
    x = node.operand(0)
    given = node.find_list(1, "axes") or []
    axes = node.axes(given, x.rank + len(given))
    if len(set(axes)) != len(axes):
        raise DataError(f"axes {given} repeats an axis")
    sizes = iter(x.shape)
    return node.builder.reshape(x, [1 if i in axes else next(sizes) for i in range(x.rank + len(axes))])


@imports("Transpose")
def transpose(node: OnnxNode) -> Imported:
    """The axes in another order, by default reversed."""
    x = node.operand(0)
    order = node.find_ints("perm")
    return node.builder.transpose(x, permutation=None if order is None else node.axes(order, x.rank, "perm"))


@imports("Concat")
def concat(node: OnnxNode) -> Imported:
    """Inputs joined along an axis; those without elements are skipped."""
    if not node.inputs:
        raise DataError("it has no inputs")
    axis = node.axis(node.get_int("axis"), node.rank(0))
    filled = [i for i in range(len(node.inputs)) if 0 not in node.shape(i)]
    operands = [node.operand(i) for i in filled or [0]]
    return node.builder.concat(operands, axis) if len(operands) > 1 else node.builder.identity(operands[0])


@imports("Split")
def split(node: OnnxNode) -> Imported:
    """Parts along one axis: of the given sizes, or equal ones of which the last may be smaller."""
    b = node.builder
    x = node.operand(0)
    axis = node.axis(node.get_int("axis", 0), x.rank)
    size = x.shape[axis]
    sizes = node.find_list(1, "split")
    if sizes is None:
        count = node.get_int("num_outputs", len(node.outputs))
        if count < 1:
            raise DataError(f"num_outputs is {count}, expected at least 1")
        part = -(-size // count)
        sizes = [max(min(part, size - part * i), 0) for i in range(count)]
    if sum(sizes) != size or min(sizes, default=0) < 0:
        raise DataError(f"axis {axis} of {list(x.shape)} cannot be split into {sizes}")
    if 0 not in sizes:
        return [b.identity(x)] if len(sizes) == 1 else b.split(x, sizes, axis=axis)
    starts = [0, *accumulate(sizes)]
    return [
        strided_slice(b, x, {axis: range(start, start + part)}) if part else _empty(x, axis)
        for start, part in zip(starts, sizes, strict=False)
    ]


def _empty(x: MLOperand, axis: int) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    return np.empty([0 if i == axis else size for i, size in enumerate(x.shape)], x.descriptor.dtype)


@imports("Slice")
def slice_(node: OnnxNode) -> Imported:
    """Elements from a start to an end in steps of either sign."""
    x = node.value(0)
    rank = len(x.shape)
    starts, ends = node.find_list(1, "starts") or [], node.find_list(2, "ends") or []
    given_axes = node.find_list(3, "axes")
    axes = node.axes(list(range(len(starts))) if given_axes is None else given_axes, rank)
    steps = node.integers(4, "steps") if node.has(4) else [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise DataError(
            f"starts {starts}, ends {ends}, axes {axes} and steps {steps} must be equally long, and no step 0"
        )
    ranges = {
        axis: range(*slice(start, end, step).indices(x.shape[axis]))
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)
    }
    if any(len(places) == 0 for places in ranges.values()):
        sizes = [len(ranges[i]) if i in ranges else size for i, size in enumerate(x.shape)]
        return np.empty(sizes, node.operand(0).descriptor.dtype)
    return strided_slice(node.builder, node.operand(0), ranges)


@imports("Expand")
def expand(node: OnnxNode) -> Imported:
    """The input broadcast with a shape, whose dimensions may also be smaller than the input's."""
    x = node.operand(0)
    wanted = node.integers(1, "shape")
    try:
        shape = np.broadcast_shapes(x.shape, tuple(wanted))
    except ValueError:
        raise DataError(f"{list(x.shape)} does not broadcast with the shape {wanted}") from None
    return node.builder.expand(x, shape)


@imports("Tile")
def tile(node: OnnxNode) -> Imported:
    """The input repeated along each axis."""
    return node.builder.tile(node.operand(0), node.integers(1, "repeats"))


@imports("Pad")
def pad(node: OnnxNode) -> Imported:
    """Elements added at both ends of each axis, or removed where the number is negative."""
    x = node.operand(0)
    if node.version < 11:
        pads, value = node.get_ints("pads"), node.get_float("value", 0.0)
    else:
        pads = node.integers(1, "pads")
        value = node.number(2, "the value") if node.known(2) is not None else 0
    axes = node.axes(node.integers(3, "axes") if node.has(3) else list(range(x.rank)), x.rank)
    if len(pads) != 2 * len(axes):
        raise DataError(f"pads has {len(pads)} numbers, expected {2 * len(axes)} for {len(axes)} axes")
    before, after = [0] * x.rank, [0] * x.rank
    for i, axis in enumerate(axes):
        before[axis], after[axis] = pads[i], pads[len(axes) + i]
    mode = node.get_string("mode", "constant")
    padded = pad_or_crop(node.builder, x, before, after, mode=mode, value=value)
    if node.version < 11 or not node.has(2) or node.known(2) is not None or mode != "constant":
        return padded
    return _filled(node, padded, before, after)


def _filled(node: OnnxNode, padded: MLOperand, before: Sequence[int], after: Sequence[int]) -> MLOperand:
    """The padded operand with a value that is computed when the model runs in all added elements."""
    b = node.builder
    inside: MLOperand | None = None
    for axis, (first, last) in enumerate(zip(before, after, strict=True)):
        if first > 0 or last > 0:
            size = padded.shape[axis]
            places = np.arange(size).reshape([-1 if i == axis else 1 for i in range(padded.rank)])
            mask = node.constant((places >= max(first, 0)) & (places < size - max(last, 0)))
            inside = mask if inside is None else b.logical_and(inside, mask)
    return padded if inside is None else b.where(inside, padded, b.reshape(node.operand(2), []))


@imports("DepthToSpace")
def depth_to_space(node: OnnxNode) -> Imported:
    """Blocks of channels moved into blocks of pixels."""
    x = node.operand(0)
    c = _image(x)[1]
    block = node.get_int("blocksize")
    if block < 1 or c % (block * block):
        raise DataError(f"{c} channels cannot be divided into blocks of {block} x {block}")
    with import_lock:  # here, since most models have none
        from webnn.graph.composites.blocks import blocks_of_pixels  # noqa: PLC0415

    return blocks_of_pixels(node.builder, x, block, depth_last=node.get_string("mode", "DCR") == "DCR")


@imports("SpaceToDepth")
def space_to_depth(node: OnnxNode) -> Imported:
    """Blocks of pixels moved into blocks of channels."""
    b = node.builder
    x = node.operand(0)
    n, c, h, w = _image(x)
    block = node.get_int("blocksize")
    if block < 1 or h % block or w % block:
        raise DataError(f"{h} x {w} pixels cannot be divided into blocks of {block} x {block}")
    if node.get_string("mode", "DCR") == "DCR":
        with import_lock:  # here, since most models have none
            from webnn.graph.composites.blocks import blocks_of_channels  # noqa: PLC0415

        return blocks_of_channels(b, x, block)
    parts = b.transpose(b.reshape(x, [n, c, h // block, block, w // block, block]), permutation=[0, 1, 3, 5, 2, 4])
    return b.reshape(parts, [n, c * block * block, h // block, w // block])


def _image(x: MLOperand) -> tuple[int, int, int, int]:
    if x.rank != 4:
        raise DataError(f"expected an input of 4 dimensions, got {list(x.shape)}")
    n, c, h, w = x.shape
    return n, c, h, w


@imports("Trilu")
def triangular(node: OnnxNode) -> Imported:
    """The elements on one side of a diagonal, zeros on the other."""
    diagonal = int(node.number(1, "k")) if node.has(1) else 0
    bounded = max(min(diagonal, 2**31 - 1), -(2**31))
    return node.builder.triangular(node.operand(0), upper=bool(node.get_int("upper", 1)), diagonal=bounded)


@imports("EyeLike")
def eye_like(node: OnnxNode) -> Imported:
    """Ones on a diagonal of a matrix as large as the input."""
    rows, columns = node.shape(0)
    dtype = node.operand(0).descriptor.dtype
    if node.has_attribute("dtype"):
        dtype = node.element_dtype(node.get_int("dtype"))
    if rows * columns > 1 << 24:
        raise UnsupportedNodeError(f"{rows} x {columns} constants take too much memory")
    return np.eye(rows, columns, node.get_int("k", 0), dtype)
