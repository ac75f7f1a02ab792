"""Updates written to indices of a tensor, or combined with its elements."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.graph.operand import MLOperand

__all__: list[str] = []

_COMPARED: Final = 1 << 24
"""The most pairs of an index of the tensor and an update that are compared."""
_EXACT: Final = 1 << 20
"""Pairs up to which sums select updates; a matrix product with 0 and 1, used above, turns infinity into NaN."""


class _Reduction(NamedTuple):
    """The operators that combine several updates of one index, and the result with the data."""

    between_updates: str
    with_data: str
    neutral: float


_REDUCTIONS: Final = {
    "add": _Reduction("reduce_sum", "add", 0),
    "mul": _Reduction("reduce_product", "mul", 1),
    "max": _Reduction("reduce_max", "max", -math.inf),
    "min": _Reduction("reduce_min", "min", math.inf),
}


def _reduction(node: OnnxNode) -> _Reduction | None:
    name = node.get_string("reduction", "none")
    if name != "none" and name not in _REDUCTIONS:
        raise DataError(f"reduction must be none, add, mul, max or min, got {name!r}")
    return _REDUCTIONS.get(name)


@imports("ScatterElements", "Scatter")
def scatter_elements(node: OnnxNode) -> Imported:
    """Elements scattered to indices along one axis."""
    b = node.builder
    x, indices, updates = node.operand(0), node.operand(1), node.operand(2)
    axis = node.axis(node.get_int("axis", 0), x.rank)
    reduction = _reduction(node)
    if indices.shape != updates.shape or indices.rank != x.rank:
        raise DataError(
            f"indices {list(indices.shape)} and updates {list(updates.shape)} do not fit data {list(x.shape)}"
        )
    touched = [size if i == axis else indices.shape[i] for i, size in enumerate(x.shape)]
    if any(size > has for size, has in zip(touched, x.shape, strict=True)):
        raise DataError(f"indices {list(indices.shape)} are larger than data {list(x.shape)}")
    part = b.slice(x, [0] * x.rank, touched) if touched != list(x.shape) else x
    known = node.known(1)
    if reduction is None:
        result = b.scatter_elements(part, indices, updates, axis=axis)
    elif known is not None and _are_different(np.where(known < 0, known + x.shape[axis], known), axis):
        updates = getattr(b, reduction.with_data)(b.gather_elements(part, indices, axis=axis), updates)
        result = b.scatter_elements(part, indices, updates, axis=axis)
    else:
        combined = _combined_updates(
            node, reduction, x.shape[axis], _wrapped(node, indices, x.shape[axis]), updates, axis
        )
        result = _combined_with(node, reduction, part, combined)
    return result if part is x else _pasted(node, x, result)


def _pasted(node: OnnxNode, x: MLOperand, part: MLOperand) -> MLOperand:
    """`x` with its leading part along each axis replaced by `part`."""
    b = node.builder
    for axis, size in enumerate(x.shape):
        if part.shape[axis] < size:
            start = [part.shape[axis] if i == axis else 0 for i in range(x.rank)]
            sizes = [size - part.shape[axis] if i == axis else part.shape[i] for i in range(x.rank)]
            part = b.concat([part, b.slice(x, start, sizes)], axis)
    return part


@imports("ScatterND")
def scatter_nd(node: OnnxNode) -> Imported:
    """Slices scattered to coordinates."""
    b = node.builder
    x, indices, updates = node.operand(0), node.operand(1), node.operand(2)
    depth = indices.shape[-1] if indices.rank else 0
    if not 1 <= depth <= x.rank or updates.shape != (*indices.shape[:-1], *x.shape[depth:]):
        raise DataError(
            f"indices {list(indices.shape)} and updates {list(updates.shape)} do not fit data {list(x.shape)}"
        )
    reduction = _reduction(node)
    if reduction is None:
        return b.scatter_nd(x, indices, updates)
    known = node.known(1)
    if known is not None:
        places = np.where(known < 0, known + np.array(x.shape[:depth]), known).reshape(-1, depth)
        if len(np.unique(places, axis=0)) == len(places):
            return b.scatter_nd(x, indices, getattr(b, reduction.with_data)(b.gather_nd(x, indices), updates))
    count, places_count = math.prod(indices.shape[:-1]), math.prod(x.shape[:depth])
    row: MLOperand | None = None
    for axis, size in enumerate(x.shape[:depth]):
        begin = [0] * (indices.rank - 1) + [axis]
        coordinate = _wrapped(node, b.slice(indices, begin, [*indices.shape[:-1], 1]), size)
        row = coordinate if row is None else b.add(b.mul(row, node.scalar(row, size)), coordinate)
    assert row is not None
    width = math.prod(x.shape[depth:])
    combined = _combined_updates(
        node, reduction, places_count, b.reshape(row, [count, 1]), b.reshape(updates, [count, width]), 0
    )
    return _combined_with(node, reduction, x, b.reshape(combined, x.shape))


def _are_different(indices: np.ndarray[Any, Any], axis: int) -> bool:
    """Whether all indices along an axis differ."""
    ordered = np.sort(indices, axis)
    return not bool((np.diff(ordered, axis=axis) == 0).any())


def _wrapped(node: OnnxNode, indices: MLOperand, size: int) -> MLOperand:
    """Indices counted from the start, where negative ones count from the end."""
    b = node.builder
    return b.where(b.lesser(indices, node.scalar(indices, 0)), b.add(indices, node.scalar(indices, size)), indices)


def _combined_updates(  # noqa: PLR0917 (the operands of a scatter)
    node: OnnxNode, reduction: _Reduction, places: int, indices: MLOperand, updates: MLOperand, axis: int
) -> MLOperand:
    """The combined updates of each index along an axis.

    Each index of the tensor is compared with each index of an update, since WebNN's scatter combines nothing.
    """
    b = node.builder
    split = [*indices.shape[:axis], 1, *indices.shape[axis:]]
    numbers = np.arange(places, dtype=indices.descriptor.dtype).reshape([-1] + [1] * (indices.rank - axis))
    is_place = b.equal(b.reshape(indices, split), node.constant(numbers))
    pairs = places * math.prod(updates.shape)
    if reduction.between_updates == "reduce_sum" and indices.shape[1:] == (1,) and pairs > _EXACT:
        if places * indices.shape[0] > _COMPARED or updates.data_type not in {"float32", "float16"}:
            raise _too_many(places, updates)
        return b.matmul(b.cast(b.reshape(is_place, [places, indices.shape[0]]), updates.data_type), updates)
    if pairs > _COMPARED:
        raise _too_many(places, updates)
    neutral = node.scalar(updates, reduction.neutral)  # for integers, infinity becomes the largest one
    spread = [*updates.shape[:axis], 1, *updates.shape[axis:]]
    chosen = b.where(is_place, b.reshape(updates, spread), neutral)
    narrow = updates.data_type in {"int8", "uint8"} and reduction.between_updates in {"reduce_sum", "reduce_product"}
    result: MLOperand = getattr(b, reduction.between_updates)(
        b.cast(chosen, "int32") if narrow else chosen, axes=[axis + 1]
    )
    return b.cast(result, updates.data_type) if narrow else result


def _too_many(places: int, updates: MLOperand) -> UnsupportedNodeError:
    return UnsupportedNodeError(
        f"several of the updates {list(updates.shape)} may have the same index, and they are too many to compare with"
        f" {places} indices",
        "constant indices that all differ",
    )


def _combined_with(node: OnnxNode, reduction: _Reduction, x: MLOperand, combined: MLOperand) -> MLOperand:
    result: MLOperand = getattr(node.builder, reduction.with_data)(x, combined)
    return result


@imports("TensorScatter")
def tensor_scatter(node: OnnxNode) -> Imported:
    """A cache with a part replaced, from a position of its own for each element of the batch."""
    b = node.builder
    x, updates = node.operand(0), node.operand(1)
    axis = node.axis(node.get_int("axis", -2), x.rank)
    mode = node.get_string("mode", "linear")
    if mode not in {"linear", "circular"} or axis == 0 or x.rank != updates.rank:
        raise DataError(
            f"mode {mode!r}, axis {axis}, data {list(x.shape)} and updates {list(updates.shape)} are not valid together"
        )
    steps = np.arange(updates.shape[axis]).reshape([-1 if i == axis else 1 for i in range(x.rank)])
    places = node.constant(steps.astype(np.int32))
    if node.has(2):
        start = b.cast(b.reshape(node.operand(2), [x.shape[0]] + [1] * (x.rank - 1)), "int32")
        places = b.add(places, start)
    if mode == "circular":
        size = b.constant("int32", x.shape[axis])
        places = b.sub(places, b.mul(b.div(places, size), size))
    return b.scatter_elements(x, b.expand(places, updates.shape), updates, axis=axis)
