"""Elements chosen by indices, and cumulative sums and products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.patterns.slice_and_pad import strided_slice
from webnn.graph.composites.open_cases import MANY, computed_alone, gathered_in_range
from webnn.graph.dtypes import FLOATS
from webnn.graph.operand import MLOperand

__all__: list[str] = []


@imports("Gather")
def gather(node: OnnxNode) -> Imported:
    """Slices of the input by their index along one axis."""
    x = node.operand(0)
    return node.builder.gather(x, node.operand(1), axis=node.axis(node.get_int("axis", 0), x.rank))


@imports("GatherElements")
def gather_elements(node: OnnxNode) -> Imported:
    """One element for each index. Along other axes there may be fewer indices than elements."""
    x, indices = node.operand(0), node.operand(1)
    axis = node.axis(node.get_int("axis", 0), x.rank)
    if indices.rank == x.rank:
        touched = [size if i == axis else min(size, indices.shape[i]) for i, size in enumerate(x.shape)]
        x = node.builder.slice(x, [0] * x.rank, touched) if touched != list(x.shape) else x
    if indices.constant is None and indices.descriptor.element_count >= MANY:
        return gathered_in_range(node.builder, x, indices, axis=axis)
    return node.builder.gather_elements(x, indices, axis=axis)


@imports("GatherND")
def gather_nd(node: OnnxNode) -> Imported:
    """Slices by coordinates; batch dimensions become coordinates in front of the given ones."""
    b = node.builder
    x = node.operand(0)
    batch = node.get_int("batch_dims", 0)
    places, depth = node.shape(1)[:-1], math.prod(node.shape(1)[-1:])
    if not depth and batch <= min(len(places), x.rank):  # coordinates without numbers, each of which is for all of x
        spread = [*x.shape[:batch], *[1] * (len(places) - batch), *x.shape[batch:]]
        return b.expand(b.reshape(x, spread), [*places, *x.shape[batch:]])
    indices = node.operand(1)
    if batch:
        if batch > min(len(places), x.rank) or math.prod(places) * batch > 1 << 24:
            raise UnsupportedNodeError(
                f"it has batch_dims {batch} with indices {list(indices.shape)}, which are too many"
            )
        coordinates = np.stack([_coordinates_along(places, axis) for axis in range(batch)], axis=-1)
        indices = b.concat([node.constant(coordinates.astype(indices.descriptor.dtype)), indices], len(places))
    return b.gather_nd(x, indices)


def _coordinates_along(shape: tuple[int, ...], axis: int) -> np.ndarray[Any, Any]:
    """Each element's coordinate along `axis`."""
    sizes = [size if i == axis else 1 for i, size in enumerate(shape)]
    return np.broadcast_to(np.arange(shape[axis]).reshape(sizes), shape)


@imports("OneHot")
def one_hot(node: OnnxNode) -> Imported:
    """The on value where the position along a new axis equals the index, the off value elsewhere."""
    b = node.builder
    indices = node.operand(0)
    depth = int(node.number(1, "depth"))
    if not 1 <= depth <= 1 << 24:
        raise UnsupportedNodeError(f"its depth is {depth}", "a depth of 1 to 2**24")
    axis = node.axis(node.get_int("axis", -1), indices.rank + 1)
    values = node.operand(2)
    off, on = (b.reshape(b.slice(values, [i], [1]), []) for i in range(2))
    if indices.data_type.startswith(("u", "int8", "float")):  # of floats, the standard casts them
        indices = b.cast(indices, "int64")
    wrapped = b.where(b.lesser(indices, node.scalar(indices, 0)), b.add(indices, node.scalar(indices, depth)), indices)
    shape = [*indices.shape[:axis], 1, *indices.shape[axis:]]
    places = np.arange(depth, dtype=indices.descriptor.dtype).reshape([-1] + [1] * (indices.rank - axis))
    return b.where(b.equal(b.reshape(wrapped, shape), node.constant(places)), on, off)


@imports("CumSum")
def cumulative_sum(node: OnnxNode) -> Imported:
    """Cumulative sums, by WebNN's operator."""
    x = node.operand(0)
    axis = node.axis(int(node.number(1, "axis")), x.rank)
    exclusive, backwards = bool(node.get_int("exclusive", 0)), bool(node.get_int("reverse", 0))
    result = node.builder.cumulative_sum(x, axis, exclusive=exclusive, reversed=backwards)
    return computed_alone(node.builder, result) if x.data_type in FLOATS else result


@imports("CumProd")
def cumulative_product(node: OnnxNode) -> Imported:
    """Cumulative products by doubling: products of 2, 4, 8, ... elements, each of two earlier ones."""
    b = node.builder
    x = node.operand(0)
    axis = node.axis(int(node.number(1, "axis")), x.rank)
    size = x.shape[axis]

    def shifted(by: int) -> MLOperand:
        """`x` moved along the axis, with ones at the start."""
        rest = strided_slice(b, x, {axis: range(size - by)}) if by < size else None
        ones = node.constant(
            np.ones([min(by, size) if i == axis else n for i, n in enumerate(x.shape)], x.descriptor.dtype)
        )
        return ones if rest is None else b.concat([ones, rest], axis)

    backwards = bool(node.get_int("reverse", 0))
    if backwards:
        x = b.reverse(x, axes=[axis])
    if node.get_int("exclusive", 0):
        x = shifted(1)
    by = 1
    while by < size:
        x = b.mul(x, shifted(by))
        by *= 2
    return b.reverse(x, axes=[axis]) if backwards else b.identity(x)


@imports("Compress")
def compress(node: OnnxNode) -> Imported:
    """The slices where a known condition is true."""
    b = node.builder
    x = node.operand(0)
    condition = node.array(1, "condition").reshape(-1).astype(bool)
    if not node.has_attribute("axis"):
        x, axis = b.reshape(x, [math.prod(x.shape)]), 0
    else:
        axis = node.axis(node.get_int("axis"), x.rank)
    places = np.flatnonzero(condition)
    if not len(places):
        return np.empty([0 if i == axis else size for i, size in enumerate(x.shape)], x.descriptor.dtype)
    return b.gather(x, node.constant(places.astype(np.int64)), axis=axis)
