"""Updates that are combined with the elements at their indices, and with each other where indices are equal.

WebNN's scatter operators combine nothing. Where constant indices all differ, the elements are gathered, combined and
scattered back. Otherwise each index of the tensor is compared with each index of an update.

The elements that `scatter_elements` replaces have coordinates, as `scatter_nd` takes them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from webnn.errors import NotSupportedError
from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["REDUCTIONS", "coordinates_along", "pasted", "scattered_elements", "scattered_slices"]

_COMPARED: Final = 1 << 24
"""The most pairs of an index of the tensor and an update that are compared."""
_EXACT: Final = 1 << 20
"""Pairs up to which sums select updates; a matrix product with 0 and 1, used above, turns infinity into NaN."""


class _Reduction(NamedTuple):
    """The operators that combine several updates of one index, and the result with the data."""

    between_updates: str
    with_data: str
    neutral: float


_OPERATORS: Final = {
    "add": _Reduction("reduce_sum", "add", 0),
    "mul": _Reduction("reduce_product", "mul", 1),
    "max": _Reduction("reduce_max", "max", -math.inf),
    "min": _Reduction("reduce_min", "min", math.inf),
}
REDUCTIONS: Final = frozenset(_OPERATORS)
"""How elements are combined, in ONNX's words."""


def scattered_elements(
    b: Builder,
    x: MLOperand,
    indices: MLOperand,
    updates: MLOperand,
    *,
    axis: int,
    reduction: str,
    ignoring: bool = False,
) -> MLOperand:
    """`updates` combined with the elements of `x` at `indices` along `axis`; `indices` may be smaller than `x`.

    Indices count from the end if they are negative. `reduction` is one of `REDUCTIONS`. Updates at indices out of range
    are left out if `ignoring` is true, as the expansion does anyway; a kernel may otherwise end the run with an error.
    """
    operands = {"input": x, "indices": indices, "updates": updates}
    options: dict[str, int | str] = {"axis": axis, "reduction": reduction, "ignoring": ignoring}
    return compose(b, "scatter_reduce_elements", operands, [x.descriptor], **options)[0]


def scattered_slices(
    b: Builder, x: MLOperand, indices: MLOperand, updates: MLOperand, *, reduction: str, ignoring: bool = False
) -> MLOperand:
    """`updates` combined with the slices of `x` at the coordinates in the last dimension of `indices`.

    Coordinates out of range are as in `scattered_elements`; several of them may together be those of another slice.
    """
    operands = {"input": x, "indices": indices, "updates": updates}
    return compose(b, "scatter_reduce_nd", operands, [x.descriptor], reduction=reduction, ignoring=ignoring)[0]


@composite
def scatter_reduce_elements(b: Builder, node: Node) -> Sequence[MLOperand]:
    """`output[i, indices[i, j, k], k]` combined with `updates[i, j, k]`."""
    x, indices, updates, axis = node["input"], node["indices"], node["updates"], node.attributes["axis"]
    reduction = _OPERATORS[node.attributes["reduction"]]
    touched = [size if i == axis else indices.shape[i] for i, size in enumerate(x.shape)]
    part = b.slice(x, [0] * x.rank, touched) if touched != list(x.shape) else x
    known = indices.constant
    if known is not None and _are_different(np.where(known < 0, known + x.shape[axis], known), axis):
        updates = getattr(b, reduction.with_data)(b.gather_elements(part, indices, axis=axis), updates)
        result = b.scatter_elements(part, indices, updates, axis=axis)
    else:
        places = _from_start(b, indices, x.shape[axis])
        combined = _combined_updates(b, node, reduction, x.shape[axis], places, updates, axis)
        result = getattr(b, reduction.with_data)(part, combined)
    return [result if part is x else pasted(b, x, result)]


@composite
def scatter_reduce_nd(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The slices at the coordinates, combined with the updates."""
    x, indices, updates = node["input"], node["indices"], node["updates"]
    reduction = _OPERATORS[node.attributes["reduction"]]
    depth = indices.shape[-1]
    known = indices.constant
    if known is not None:
        places = np.where(known < 0, known + np.array(x.shape[:depth]), known).reshape(-1, depth)
        if len(np.unique(places, axis=0)) == len(places):
            updates = getattr(b, reduction.with_data)(b.gather_nd(x, indices), updates)
            return [b.scatter_nd(x, indices, updates)]
    count, places_count = math.prod(indices.shape[:-1]), math.prod(x.shape[:depth])
    row: MLOperand | None = None
    for axis, size in enumerate(x.shape[:depth]):
        begin = [0] * (indices.rank - 1) + [axis]
        coordinate = _from_start(b, b.slice(indices, begin, [*indices.shape[:-1], 1]), size)
        row = coordinate if row is None else b.add(b.mul(row, b.constant(row.data_type, size)), coordinate)
    assert row is not None
    flat = b.reshape(updates, [count, math.prod(x.shape[depth:])])
    combined = _combined_updates(b, node, reduction, places_count, b.reshape(row, [count, 1]), flat, 0)
    result: MLOperand = getattr(b, reduction.with_data)(x, b.reshape(combined, x.shape))
    return [result]


def pasted(b: Builder, x: MLOperand, part: MLOperand) -> MLOperand:
    """`x` with its leading part along each axis replaced by `part`."""
    for axis, size in enumerate(x.shape):
        if part.shape[axis] < size:
            start = [part.shape[axis] if i == axis else 0 for i in range(x.rank)]
            sizes = [size - part.shape[axis] if i == axis else part.shape[i] for i in range(x.rank)]
            part = b.concat([part, b.slice(x, start, sizes)], axis)
    return part


def _are_different(indices: np.ndarray[Any, Any], axis: int) -> bool:
    """Whether all indices along an axis differ."""
    ordered = np.sort(indices, axis)
    return not bool((np.diff(ordered, axis=axis) == 0).any())


def _from_start(b: Builder, indices: MLOperand, size: int) -> MLOperand:
    """Indices counted from the start, where negative ones count from the end."""
    zero, length = (b.constant(indices.data_type, number) for number in (0, size))
    return b.where(b.lesser(indices, zero), b.add(indices, length), indices)


def _combined_updates(  # noqa: PLR0917 (the operands of a scatter)
    b: Builder, node: Node, reduction: _Reduction, places: int, indices: MLOperand, updates: MLOperand, axis: int
) -> MLOperand:
    """The combined updates of each index along an axis."""
    split = [*indices.shape[:axis], 1, *indices.shape[axis:]]
    numbers = np.arange(places, dtype=indices.descriptor.dtype).reshape([-1] + [1] * (indices.rank - axis))
    is_place = b.equal(b.reshape(indices, split), b.constant(numbers))
    pairs = places * math.prod(updates.shape)
    if reduction.between_updates == "reduce_sum" and indices.shape[1:] == (1,) and pairs > _EXACT:
        if places * indices.shape[0] > _COMPARED or updates.data_type not in {"float32", "float16"}:
            raise _too_many(node, places, updates)
        return b.matmul(b.cast(b.reshape(is_place, [places, indices.shape[0]]), updates.data_type), updates)
    if pairs > _COMPARED:
        raise _too_many(node, places, updates)
    neutral = b.constant(updates.data_type, reduction.neutral)  # for integers, infinity becomes the largest one
    spread = [*updates.shape[:axis], 1, *updates.shape[axis:]]
    chosen = b.where(is_place, b.reshape(updates, spread), neutral)
    narrow = updates.data_type in {"int8", "uint8"} and reduction.between_updates in {"reduce_sum", "reduce_product"}
    result: MLOperand = getattr(b, reduction.between_updates)(
        b.cast(chosen, "int32") if narrow else chosen, axes=[axis + 1]
    )
    return b.cast(result, updates.data_type) if narrow else result


def _too_many(node: Node, places: int, updates: MLOperand) -> NotSupportedError:
    return NotSupportedError(
        f"{node.where}: several of the updates {list(updates.shape)} may have the same index, and they are too many to"
        f" compare with {places} indices; constant indices that all differ can be expressed"
    )


def coordinates_along(b: Builder, indices: MLOperand, *, axis: int, by_slices: bool) -> MLOperand:
    """The coordinates of each element, in a new last dimension.

    Args:
        b: takes the node.
        indices: along `axis`, of int64 and in range.
        axis: of the `scatter_elements`.
        by_slices: whether a backend may look, in each run, if the indices are the same within the slices behind
            `axis`, and give the coordinates of these. So only a `scatter_nd`, which takes the same updates then, may
            read the result.
    """
    descriptor = MLOperandDescriptor("int64", [*indices.shape, indices.rank])
    return compose(b, "scatter_coordinates", {"indices": indices}, [descriptor], axis=axis, by_slices=by_slices)[0]


@composite
def scatter_coordinates(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Each index between the places of its element in the other dimensions."""
    indices, axis = node["indices"], node.attributes["axis"]
    parts = [
        b.reshape(indices, (*indices.shape, 1)) if i == axis else b.constant(np.ascontiguousarray(places[..., None]))
        for i, places in enumerate(np.indices(indices.shape, np.int64))
    ]
    return [b.concat(parts, axis=indices.rank)]
