"""Elements chosen by indices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.movement import strided_slice
from webnn.formats.onnx.table import Imported, imports
from webnn.formats.onnx.values import OnnxNode, UnsupportedNodeError

__all__: list[str] = []


@imports("Gather")
def gather(node: OnnxNode) -> Imported:
    """Slices of the input by their number along one axis."""
    x = node.operand(0)
    return node.builder.gather(x, node.operand(1), axis=node.axis(node.get_int("axis", 0), x.rank))


@imports("GatherElements")
def gather_elements(node: OnnxNode) -> Imported:
    """One element for each index."""
    x = node.operand(0)
    return node.builder.gather_elements(x, node.operand(1), axis=node.axis(node.get_int("axis", 0), x.rank))


@imports("GatherND")
def gather_nd(node: OnnxNode) -> Imported:
    """Slices by coordinates; those of the batch are put in front of the ones given."""
    b = node.builder
    x, indices = node.operand(0), node.operand(1)
    batch = node.get_int("batch_dims", 0)
    if batch:
        places = indices.shape[:-1]
        if batch > min(len(places), x.rank) or math.prod(places) * batch > 1 << 24:
            raise UnsupportedNodeError(f"{batch} dimensions of batch in indices {list(indices.shape)}")
        coordinates = np.stack([_along(places, axis) for axis in range(batch)], axis=-1)
        indices = b.concat([node.constant(coordinates.astype(indices.descriptor.dtype)), indices], len(places))
    return b.gather_nd(x, indices)


def _along(shape: tuple[int, ...], axis: int) -> np.ndarray[Any, Any]:
    """Each place's coordinate along `axis`."""
    sizes = [size if i == axis else 1 for i, size in enumerate(shape)]
    return np.broadcast_to(np.arange(shape[axis]).reshape(sizes), shape)


_COMBINED = {"add": "add", "mul": "mul", "max": "max", "min": "min"}


@imports("ScatterElements", "Scatter")
def scatter_elements(node: OnnxNode) -> Imported:
    """Elements put in place of others, or combined with them."""
    b = node.builder
    x, indices, updates = node.operand(0), node.operand(1), node.operand(2)
    axis = node.axis(node.get_int("axis", 0), x.rank)
    reduction = node.get_string("reduction", "none")
    if reduction != "none":
        known = node.known(1)
        places = None if known is None else _element_places(known, x.shape, axis)
        _check_combined(reduction, places)
        updates = getattr(b, _COMBINED[reduction])(b.gather_elements(x, indices, axis=axis), updates)
    return b.scatter_elements(x, indices, updates, axis=axis)


@imports("ScatterND")
def scatter_nd(node: OnnxNode) -> Imported:
    """Slices put in place of others, or combined with them."""
    b = node.builder
    x, indices, updates = node.operand(0), node.operand(1), node.operand(2)
    reduction = node.get_string("reduction", "none")
    if reduction != "none":
        known = node.known(1)
        places = None
        if known is not None and known.shape[-1] <= x.rank:
            sizes = np.array(x.shape[: known.shape[-1]])
            places = np.where(known < 0, known + sizes, known).reshape(-1, known.shape[-1])
        _check_combined(reduction, places)
        updates = getattr(b, _COMBINED[reduction])(b.gather_nd(x, indices), updates)
    return b.scatter_nd(x, indices, updates)


def _element_places(indices: np.ndarray[Any, Any], shape: tuple[int, ...], axis: int) -> np.ndarray[Any, Any]:
    coordinates = [_along(indices.shape, i) for i in range(indices.ndim)]
    coordinates[axis] = np.where(indices < 0, indices + shape[axis], indices)
    return np.stack([c.reshape(-1) for c in coordinates], axis=-1)


def _check_combined(reduction: str, places: np.ndarray[Any, Any] | None) -> None:
    if reduction not in _COMBINED:
        raise DataError(f"reduction {reduction!r} is none of none, add, mul, max and min")
    if places is None:
        raise UnsupportedNodeError(
            f"reduction {reduction!r} with indices that are computed when the model runs and may meet one place twice",
            "constant indices, or MatMul with OneHot",
        )
    if len(np.unique(places, axis=0)) != len(places):
        raise UnsupportedNodeError(f"reduction {reduction!r} with indices that meet one place twice")


@imports("OneHot")
def one_hot(node: OnnxNode) -> Imported:
    """One value where the index along a new axis is the given one, another elsewhere."""
    b = node.builder
    indices = node.operand(0)
    depth = int(node.number(1, "depth"))
    if not 1 <= depth <= 1 << 24:
        raise UnsupportedNodeError(f"depth {depth}")
    axis = node.axis(node.get_int("axis", -1), indices.rank + 1)
    values = node.operand(2)
    off, on = (b.reshape(b.slice(values, [i], [1]), []) for i in range(2))
    if indices.data_type.startswith(("u", "int8")):
        indices = b.cast(indices, "int64")
    wrapped = b.where(b.lesser(indices, node.scalar(indices, 0)), b.add(indices, node.scalar(indices, depth)), indices)
    shape = [*indices.shape[:axis], 1, *indices.shape[axis:]]
    places = np.arange(depth, dtype=indices.descriptor.dtype).reshape([-1] + [1] * (indices.rank - axis))
    return b.where(b.equal(b.reshape(wrapped, shape), node.constant(places)), on, off)


@imports("CumSum")
def cumulative_sum(node: OnnxNode) -> Imported:
    """Sums of all elements so far."""
    x = node.operand(0)
    axis = node.axis(int(node.number(1, "axis")), x.rank)
    exclusive, backwards = bool(node.get_int("exclusive", 0)), bool(node.get_int("reverse", 0))
    return node.builder.cumulative_sum(x, axis, exclusive=exclusive, reversed=backwards)


@imports("Compress")
def compress(node: OnnxNode) -> Imported:
    """The slices for which a known condition holds."""
    b = node.builder
    x = node.operand(0)
    condition = node.array(1, "condition").reshape(-1).astype(bool)
    if not node.has_attribute("axis"):
        x, axis = b.reshape(x, [math.prod(x.shape)]), 0
    else:
        axis = node.axis(node.get_int("axis"), x.rank)
    places = np.flatnonzero(condition)
    if not len(places):
        raise UnsupportedNodeError("nothing is left, and WebNN operands have some elements")
    return b.gather(x, node.constant(places.astype(np.int64)), axis=axis)


@imports("ReverseSequence")
def reverse_sequence(node: OnnxNode) -> Imported:
    """The first elements of each sequence backwards, as many as it is long."""
    b = node.builder
    x = node.operand(0)
    time, batch = node.get_int("time_axis", 0), node.get_int("batch_axis", 1)
    time, batch = node.axis(time, x.rank, "time_axis"), node.axis(batch, x.rank, "batch_axis")
    sizes = [size if i == batch else 1 for i, size in enumerate(x.shape)]
    lengths = b.reshape(b.cast(node.operand(1), "int32"), sizes)
    places = node.constant(
        np.arange(x.shape[time], dtype=np.int32).reshape([-1 if i == time else 1 for i in range(x.rank)])
    )
    mirrored = b.sub(b.sub(lengths, node.scalar(lengths, 1)), places)
    indices = b.where(b.lesser(places, lengths), mirrored, places)
    return b.gather_elements(x, b.expand(indices, x.shape), axis=time)


@imports("TopK")
def top_k(node: OnnxNode) -> Imported:
    """The largest elements, by the rank of each: how many are before it. Quadratic, so only for short axes."""
    b = node.builder
    x = node.operand(0)
    k = int(node.number(1, "k")) if node.version >= 10 else node.get_int("k")
    axis = node.axis(node.get_int("axis", -1), x.rank)
    largest = bool(node.get_int("largest", 1))
    size = x.shape[axis]
    if not 1 <= k <= size:
        raise DataError(f"the {k} largest of {size}")
    if k == 1:
        choose, reduce = (b.arg_max, b.reduce_max) if largest else (b.arg_min, b.reduce_min)
        place = choose(x, axis, keep_dimensions=True, output_data_type="int64")
        return [reduce(x, axes=[axis], keep_dimensions=True), place]
    if size * math.prod(x.shape) > 1 << 24:
        raise UnsupportedNodeError(
            f"WebNN cannot sort, and comparing {size} elements with each other, {math.prod(x.shape) // size} times,"
            " is too much",
            "take its input as outputs=[...] and sort outside of the graph",
        )
    rank = x.rank
    one, other = [*x.shape[:axis], size, 1, *x.shape[axis + 1 :]], [*x.shape[:axis], 1, size, *x.shape[axis + 1 :]]
    mine, theirs = b.reshape(x, one), b.reshape(x, other)
    places = np.arange(size)
    earlier = (places[None, :] < places[:, None]).astype(np.uint8).reshape([size, size] + [1] * (rank - axis - 1))
    ahead = b.greater(theirs, mine) if largest else b.lesser(theirs, mine)
    before = b.logical_or(ahead, b.logical_and(b.equal(theirs, mine), node.constant(earlier)))
    ranks = b.reduce_sum(b.cast(before, "int32"), axes=[axis + 1])
    index = node.constant(np.ascontiguousarray(_along(x.shape, axis), np.int32))
    sorted_index = b.scatter_elements(index, ranks, index, axis=axis)
    chosen = strided_slice(b, sorted_index, {axis: range(k)})
    return [b.gather_elements(x, chosen, axis=axis), b.cast(chosen, "int64")]
