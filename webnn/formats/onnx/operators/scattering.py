"""Elements put in place of others, or combined with them."""

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
"""The most pairs of a place and an update."""
_EXACT: Final = 1 << 20
"""Pairs up to which sums are of the updates only: a product with ones and zeros would make NaN of infinite ones."""


class _Reduction(NamedTuple):
    """How several updates of one place become one, and that one and what is there."""

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
        raise DataError(f"reduction {name!r} is none of none, add, mul, max and min")
    return _REDUCTIONS.get(name)


@imports("ScatterElements", "Scatter")
def scatter_elements(node: OnnxNode) -> Imported:
    """Elements at places along one axis."""
    b = node.builder
    x, indices, updates = node.operand(0), node.operand(1), node.operand(2)
    axis = node.axis(node.get_int("axis", 0), x.rank)
    reduction = _reduction(node)
    if indices.shape != updates.shape or indices.rank != x.rank:
        raise DataError(f"indices {list(indices.shape)} of updates {list(updates.shape)} in {list(x.shape)}")
    touched = [size if i == axis else indices.shape[i] for i, size in enumerate(x.shape)]
    if any(size > has for size, has in zip(touched, x.shape, strict=True)):
        raise DataError(f"indices {list(indices.shape)} reach over {list(x.shape)}")
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
    """`x` with `part` in place of its beginning along each axis."""
    b = node.builder
    for axis, size in enumerate(x.shape):
        if part.shape[axis] < size:
            start = [part.shape[axis] if i == axis else 0 for i in range(x.rank)]
            sizes = [size - part.shape[axis] if i == axis else part.shape[i] for i in range(x.rank)]
            part = b.concat([part, b.slice(x, start, sizes)], axis)
    return part


@imports("ScatterND")
def scatter_nd(node: OnnxNode) -> Imported:
    """Slices at places that have some coordinates each."""
    b = node.builder
    x, indices, updates = node.operand(0), node.operand(1), node.operand(2)
    depth = indices.shape[-1] if indices.rank else 0
    if not 1 <= depth <= x.rank or updates.shape != (*indices.shape[:-1], *x.shape[depth:]):
        raise DataError(f"indices {list(indices.shape)} of updates {list(updates.shape)} in {list(x.shape)}")
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
    """Whether no two of the indices along an axis are the same."""
    ordered = np.sort(indices, axis)
    return not bool((np.diff(ordered, axis=axis) == 0).any())


def _wrapped(node: OnnxNode, indices: MLOperand, size: int) -> MLOperand:
    """Counted from the start, where negative ones count from the end."""
    b = node.builder
    return b.where(b.lesser(indices, node.scalar(indices, 0)), b.add(indices, node.scalar(indices, size)), indices)


def _combined_updates(  # noqa: PLR0917 (what a scatter is)
    node: OnnxNode, reduction: _Reduction, places: int, indices: MLOperand, updates: MLOperand, axis: int
) -> MLOperand:
    """What the updates of each of the places along an axis come to.

    Each place is compared with each index: WebNN scatters only what meets no place twice.
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
    neutral = node.scalar(updates, reduction.neutral)  # of integers, infinity is the largest there is
    spread = [*updates.shape[:axis], 1, *updates.shape[axis:]]
    chosen = b.where(is_place, b.reshape(updates, spread), neutral)
    narrow = updates.data_type in {"int8", "uint8"} and reduction.between_updates in {"reduce_sum", "reduce_product"}
    result: MLOperand = getattr(b, reduction.between_updates)(
        b.cast(chosen, "int32") if narrow else chosen, axes=[axis + 1]
    )
    return b.cast(result, updates.data_type) if narrow else result


def _too_many(places: int, updates: MLOperand) -> UnsupportedNodeError:
    return UnsupportedNodeError(
        f"updates {list(updates.shape)} may meet one of {places} places twice, and are too many to compare with all",
        "constant indices of which no two are the same",
    )


def _combined_with(node: OnnxNode, reduction: _Reduction, x: MLOperand, combined: MLOperand) -> MLOperand:
    result: MLOperand = getattr(node.builder, reduction.with_data)(x, combined)
    return result


@imports("TensorScatter")
def tensor_scatter(node: OnnxNode) -> Imported:
    """A part of a cache replaced, for each element of the batch from a place of its own on."""
    b = node.builder
    x, updates = node.operand(0), node.operand(1)
    axis = node.axis(node.get_int("axis", -2), x.rank)
    mode = node.get_string("mode", "linear")
    if mode not in {"linear", "circular"} or axis == 0 or x.rank != updates.rank:
        raise DataError(f"mode {mode!r} along axis {axis} of {list(x.shape)} with {list(updates.shape)}")
    steps = np.arange(updates.shape[axis]).reshape([-1 if i == axis else 1 for i in range(x.rank)])
    places = node.constant(steps.astype(np.int32))
    if node.has(2):
        start = b.cast(b.reshape(node.operand(2), [x.shape[0]] + [1] * (x.rank - 1)), "int32")
        places = b.add(places, start)
    if mode == "circular":
        size = b.constant("int32", x.shape[axis])
        places = b.sub(places, b.mul(b.div(places, size), size))
    return b.scatter_elements(x, b.expand(places, updates.shape), updates, axis=axis)
