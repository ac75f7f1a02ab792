"""Calls of operators that move data."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from tests.property.draft import Draft, Shape, places, wild
from tests.property.registry import Arguments, axes_of, draws, number
from webnn.graph.operand import MLOperand


@draws("concat")
def concat(draft: Draft, op: str) -> Arguments:
    data_type, shape = draft.type_of(op, "inputs"), draft.shape_for(op, "inputs")
    axis = draft.integer(0, len(shape) - 1)
    sizes = [draft.integer(1, 3) for _ in range(draft.integer(1, 4))]
    return [[draft.make(data_type, (*shape[:axis], size, *shape[axis + 1 :])) for size in sizes], axis], {}


@draws("expand")
def expand(draft: Draft, op: str) -> Arguments:
    shape = draft.shape()
    return [draft.operand(op, "input", draft.stretchable(shape)), [*shape]], {}


@draws("pad")
def pad(draft: Draft, op: str) -> Arguments:
    x = draft.operand(op, "input", draft.shape(1))
    mode = draft.pick(["constant", "edge", "reflection"])
    most = [size - 1 if mode == "reflection" else 2 for size in x.shape]
    before, after = ([draft.integer(0, high) for high in most] for _ in range(2))
    return [x, before, after], {"mode": mode, **draft.options(value=lambda: number(draft))}


def _factors(draft: Draft, count: int) -> list[int]:
    """A shape of so many elements."""
    shape: list[int] = []
    while count > 1 and len(shape) < 7:
        shape.append(draft.pick([size for size in range(1, count + 1) if count % size == 0]))
        count //= shape[-1]
    return [*shape, count] if count > 1 or draft.flag() else shape


@draws("reshape")
def reshape(draft: Draft, op: str) -> Arguments:
    x = draft.operand(op, "input")
    return [x, _factors(draft, math.prod(x.shape))], {}


@draws("reverse")
def reverse(draft: Draft, op: str) -> Arguments:
    x = draft.operand(op, "input")
    return [x], draft.options(axes=lambda: axes_of(draft, x))


@draws("slice")
def slices(draft: Draft, op: str) -> Arguments:
    x = draft.operand(op, "input")
    starts = [draft.integer(0, size - 1) for size in x.shape]
    sizes = [draft.integer(1, size - start) for size, start in zip(x.shape, starts, strict=True)]
    return [x, starts, sizes], draft.options(strides=lambda: [draft.integer(1, 3) for _ in x.shape])


@draws("split")
def split(draft: Draft, op: str) -> Arguments:
    x = draft.operand(op, "input")
    axis = draft.integer(0, x.rank - 1) if draft.flag() else 0
    size = x.shape[axis]
    if draft.flag():
        return [x, draft.pick([n for n in range(1, size + 1) if size % n == 0])], {"axis": axis}
    parts = []
    while size:
        parts.append(draft.integer(1, size))
        size -= parts[-1]
    return [x, parts], {"axis": axis}


@draws("tile")
def tile(draft: Draft, op: str) -> Arguments:
    x = draft.operand(op, "input")
    return [x, [draft.integer(1, 2 if x.rank > 3 else 3) for _ in x.shape]], {}


@draws("transpose")
def transpose(draft: Draft, op: str) -> Arguments:
    x = draft.operand(op, "input")
    return [x], draft.options(permutation=lambda: draft.draw(st.permutations(range(x.rank))))


@draws("triangular")
def triangular(draft: Draft, op: str) -> Arguments:
    x = draft.operand(op, "input", draft.shape(2), wild)
    return [x], draft.options(upper=draft.flag, diagonal=lambda: draft.integer(-4, 4))


@draws("gather")
def gather(draft: Draft, op: str) -> Arguments:
    x = draft.operand(op, "input", draft.shape(1, 6))
    axis = draft.integer(0, x.rank - 1) if draft.flag() else 0
    shape = draft.shape(1 if x.rank == 1 else 0, 9 - x.rank)
    return [x, draft.operand(op, "indices", shape, places(x.shape[axis]))], {"axis": axis}


def _elements(draft: Draft, op: str) -> tuple[MLOperand, MLOperand, int]:
    x = draft.operand(op, "input")
    axis = draft.integer(0, x.rank - 1) if draft.flag() else 0
    shape = (*x.shape[:axis], draft.integer(1, 4), *x.shape[axis + 1 :])
    return x, draft.operand(op, "indices", shape, places(x.shape[axis])), axis


@draws("gather_elements")
def gather_elements(draft: Draft, op: str) -> Arguments:
    x, indices, axis = _elements(draft, op)
    return [x, indices], {"axis": axis}


@draws("scatter_elements")
def scatter_elements(draft: Draft, op: str) -> Arguments:
    x, indices, axis = _elements(draft, op)
    return [x, indices, draft.make(x.data_type, indices.shape)], {"axis": axis}


def _coordinates(draft: Draft, op: str) -> tuple[MLOperand, MLOperand, Shape]:
    """An operand, indices into it, and the shape of what lies there."""
    x = draft.operand(op, "input")
    depth = draft.integer(1, x.rank)
    outer = draft.shape(0, min(3, 8 - (x.rank - depth)))
    indices = draft.operand(op, "indices", (*outer, depth), places(min(x.shape[:depth])))
    return x, indices, (*outer, *x.shape[depth:])


@draws("gather_nd")
def gather_nd(draft: Draft, op: str) -> Arguments:
    x, indices, _ = _coordinates(draft, op)
    return [x, indices], {}


@draws("scatter_nd")
def scatter_nd(draft: Draft, op: str) -> Arguments:
    x, indices, shape = _coordinates(draft, op)
    return [x, indices, draft.make(x.data_type, shape)], {}
