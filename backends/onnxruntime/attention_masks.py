"""Masks of attention in the form that onnxruntime's `Attention` takes, so that hidden rows come out as before.

Its kernel gives zeros to a query whose scores are all -inf or about the lowest float. The softmax that programs write
gives NaN and an average. So a row of -inf becomes NaN, and finite numbers below -1e38 become -1e38, next to which no
score counts. All of that is done to the mask, which is smaller than the scores, and shared by the layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from webnn.graph.broadcasting import Shape
from webnn.graph.operand import MLOperand
from webnn.graph.quick_dataclass import dataclass
from webnn.graph.rewriting import MADE_BYTES, Replacement

__all__ = ["Masks", "Term", "split_at"]

_FLOOR: Final = -1e38
"""Not yet -inf for the kernel, and so large that every score is lost in it."""


_SMALL: Final = 1 << 14
"""Scores that cost less than the operators around them."""
_HIDDEN_BY: Final = 1e9
"""A key whose mask is this much below the best one is hidden, if scores are finite numbers below a hundred million."""
_FAR: Final = 200
"""The exponential of such a negative number, and of about half of it, is 0 in float32."""
_BLOCK: Final = 64
"""The keys that are shown are counted in blocks, so that kernels add up the same numbers in the same order."""
_FEW: Final = 4
"""The ratio of all keys to those that are shown from which on these are copied. At 2, it would take as long."""


@dataclass(frozen=True, slots=True)
class Term:
    """What hides keys from queries.

    Args:
        operand: what is added to the scores; or a condition, if `hidden` is given.
        at: the shape of the scores there, `[batch, heads, queries, keys]` or `[batch * heads, queries, keys]`, or with
            the batch in several dimensions, such as the windows of a picture.
        hidden: takes the place of a score where the condition is `where`.
        where: the condition of the hidden scores.
    """

    operand: MLOperand
    at: Shape
    hidden: float | None = None
    where: bool = False


def split_at(sizes: Shape, batch: int, heads: int) -> int | None:
    """How many of `sizes`, the dimensions ahead of queries and keys, are of the batch; None if they are others."""
    ends = range(len(sizes) + 1)
    return next((i for i in ends if math.prod(sizes[:i]) == batch and math.prod(sizes[i:]) == heads), None)


class Masks:
    """The masks of a graph, each made once."""

    def __init__(self) -> None:
        self._made: dict[tuple[tuple[Term, ...], Shape, bool], MLOperand | None] = {}
        self._shown: dict[MLOperand, MLOperand] = {}

    def mask(self, b: Replacement, terms: Sequence[Term], shape: Shape, *, zeros: bool) -> MLOperand | None:
        """The sum of `terms` as a mask of scores of `shape`; None if that takes longer than the pass saves.

        Args:
            b: adds the operators.
            terms: one at least; a finite number in the place of scores only on its own.
            shape: `[batch, heads, queries, keys]`.
            zeros: whether a query from which all keys are hidden gets zeros, and not NaN.
        """
        key = (tuple(terms), shape, zeros)
        if key not in self._made:
            self._made[key] = _made(b, [_operand(b, term, shape) for term in terms], shape, zeros)
        return self._made[key]

    def shown(self, b: Replacement, mask: MLOperand) -> MLOperand:
        """The number of keys at the front beyond which `mask`, a single row, hides all; 0 if they are too many.

        It is also 0 for a mask that hides every key with -inf or has a NaN. What hides every key with a finite number
        shows them all, as its softmax does.
        """
        if mask not in self._shown:
            size = mask.shape[-1]
            counts = np.arange(_BLOCK, size + _BLOCK, dtype=np.int32) // _BLOCK * _BLOCK
            count = b.constant(np.minimum(counts, size, dtype=np.int32).reshape(1, 1, 1, size))
            none = b.constant("int32", 0)
            # The exponential of what is far below the best number is 0. (A maximum would take several operators.)
            shares = b.softmax(b.mul(mask, b.constant("float32", _FAR / _HIDDEN_BY)), 3)
            is_shown = b.greater(shares, b.constant("float32", 0))
            last = b.reduce_max(b.where(is_shown, count, none), axes=[0, 1, 3])
            are_few = b.lesser_or_equal(last, b.constant("int32", size // _FEW))
            self._shown[mask] = b.where(are_few, last, none)
        return self._shown[mask]


def _operand(b: Replacement, term: Term, scores: Shape) -> MLOperand:
    """`term` as a mask of four dimensions that is added."""
    x = term.operand
    shape = (*[1] * (len(term.at) - x.rank), *x.shape)
    if len(shape) == 3:
        shape = (*(scores[:2] if shape[0] > 1 else (1, 1)), *shape[1:])
    elif len(shape) > 4:
        x, shape = _four(b, x, shape, term.at, scores)
    if term.hidden is None:
        return x if x.shape == shape else _reshaped(b, x, shape)
    # A finite number takes the place of the scores: if it hides all keys of a query, they all count the same. Next to
    # the floor no score counts either, while it would next to -1e9.
    number = term.hidden if math.isinf(term.hidden) else _FLOOR
    hidden, shown = (b.constant("float32", number), b.constant("float32", 0))
    if x.constant is not None and x.constant.size * 4 <= MADE_BYTES:
        is_hidden = (x.constant.reshape(shape) != 0) == term.where
        return b.constant(np.where(is_hidden, np.float32(number), np.float32(0)))
    x = x if x.shape == shape else _reshaped(b, x, shape)
    return b.where(x, *((hidden, shown) if term.where else (shown, hidden)))


def _four(b: Replacement, x: MLOperand, shape: Shape, at: Shape, scores: Shape) -> tuple[MLOperand, Shape]:
    """`x` and its `shape` with one dimension for the batch, and one for the heads; `x` is repeated if it must be."""
    end = split_at(at[:-2], *scores[:2])
    assert end is not None
    wide, merged = shape, list[int]()
    for group in (slice(0, end), slice(end, -2)):
        if math.prod(shape[group]) > 1:  # of a part of the batch alone, it cannot be merged
            wide = (*wide[: group.start], *at[group], *wide[group.stop :])
        merged.append(math.prod(wide[group]))
    if wide != shape:
        x = b.expand(_reshaped(b, x, shape), wide)
    return x, (*merged, *shape[-2:])


def _reshaped(b: Replacement, x: MLOperand, shape: Shape) -> MLOperand:
    return b.reshape(x, shape) if x.constant is None else b.constant(x.constant.reshape(shape))


def _made(b: Replacement, terms: Sequence[MLOperand], shape: Shape, zeros: bool) -> MLOperand | None:
    sizes = np.broadcast_shapes(*(term.shape for term in terms))
    final = (*sizes[:2], *shape[2:])
    constants = [term.constant for term in terms if term.constant is not None]
    if len(constants) == len(terms):
        if len(terms) > 1 and math.prod(sizes) * 4 > MADE_BYTES:
            return None
        known: np.ndarray[Any, Any] = constants[0]
        for constant in constants[1:]:
            known = known + constant
        safe = _safe(known, zeros)
        if safe is not known or len(terms) > 1:
            if safe.nbytes > MADE_BYTES:
                return None
            return _wide(b, b.constant(np.ascontiguousarray(safe, np.float32)), final)
        return _wide(b, terms[0], final)
    if math.prod(sizes) * 2 > math.prod(shape) > _SMALL:
        return None
    total = terms[0]
    for term in terms[1:]:
        total = b.add(total, term)
    return _wide(b, _safe_operand(b, total, zeros), final)


def _safe(mask: np.ndarray[Any, Any], zeros: bool) -> np.ndarray[Any, Any]:
    best = mask.max(-1, keepdims=True)
    if (best >= _FLOOR).all() or (zeros and ((best >= _FLOOR) | np.isneginf(best)).all()):
        return mask
    safe = np.where(np.isneginf(mask), mask, np.maximum(mask, np.float32(_FLOOR)))
    return safe if zeros else np.where(np.isneginf(best), np.float32(math.nan), safe)


def _safe_operand(b: Replacement, mask: MLOperand, zeros: bool) -> MLOperand:
    node = mask.node
    if node is not None and node.op == "where":
        values = [node[name].constant for name in ("true_value", "false_value")]
        if all(value is not None and value.size == 1 and value.item() >= _FLOOR for value in values):
            return mask
    infinity = b.constant("float32", -math.inf)
    safe = b.where(b.equal(mask, infinity), infinity, b.max(mask, b.constant("float32", _FLOOR)))
    if zeros:
        return safe
    if mask.descriptor.element_count <= _SMALL:  # fewer operators, since the maximum takes several
        best = b.softmax(mask, mask.rank - 1)
    else:
        best = b.reduce_max(mask, axes=[mask.rank - 1], keep_dimensions=True)
    return b.add(safe, b.sub(best, best))  # NaN for an infinity, or a softmax of only these, and else 0


def _wide(b: Replacement, mask: MLOperand, shape: Shape) -> MLOperand:
    """The mask with all queries and keys, as the kernel takes it."""
    if mask.shape == shape:
        return mask
    if mask.constant is not None and math.prod(shape) * 4 <= MADE_BYTES:
        return b.constant(np.ascontiguousarray(np.broadcast_to(mask.constant, shape)))
    return b.expand(mask, shape)
