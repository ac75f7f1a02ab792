"""Rotary embeddings, however they are written out, as one operator.

Serves onnxruntime's `RotaryEmbedding`. The operators that programs write read or write each feature up to twelve times:
16 heads of 128 features at 512 positions take 0.75 ms on one thread, and with the kernel 0.25 ms.

Found are both pairings of features, halves and neighbours, and both ways to write them: `x * cos + rotated(x) * sin`,
where `cos` and `sin` have each number twice, and the two sums of products.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from webnn.forking import import_lock
from webnn.graph.broadcasting import Shape
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import MADE_BYTES, Replacement, number_in, rewritten

__all__ = ["rotary_embeddings"]

_DEPTH: Final = 12
"""Operators between the angles and their last form, at the most."""


def rotary_embeddings(graph: Graph) -> Graph:
    """`graph` with a `rotary_embedding` for each such rotation of float32."""
    if all(node.op != "concat" for node in graph.nodes):
        return graph
    angles, ends = _Angles(), [node for node in graph.nodes if node.op in ("add", "concat", "reshape")]
    return rewritten(graph, ends, lambda node: _embedding(node, angles))


def _embedding(node: Node, angles: _Angles) -> Sequence[MLOperand] | None:
    y = node.output
    if y.data_type != "float32" or y.rank < 2 or y.shape[-1] % 2:
        return None
    found = _of_whole(node) if node.op == "add" else _of_parts(y)
    if found is None or found.x.descriptor != y.descriptor:
        return None
    b = Replacement(node, composites=("rotary_embedding",))
    cos, sin = found.cos, found.sin
    if node.op == "add":
        halves = [angles.half(b, angle, interleaved=found.interleaved) for angle in (cos, sin)]
        if halves[0] is None or halves[1] is None:
            return None
        cos, sin = halves[0], halves[1]
    if not cos.shape[-1:] == sin.shape[-1:] == (y.shape[-1] // 2,):
        return None
    return _rotated(b, found.x, cos, sin, angles, interleaved=found.interleaved)


# The two ways to write it.


class _Found(NamedTuple):
    x: MLOperand
    cos: MLOperand
    sin: MLOperand
    interleaved: bool


class _Product(NamedTuple):
    sign: int
    a: MLOperand
    b: MLOperand


def _of_whole(node: Node) -> _Found | None:
    """`x * cos + rotated(x) * sin`."""
    products = _products(node.output)
    if products is None or any(product.sign < 0 for product in products):
        return None
    for rotated, plain in (products, products[::-1]):
        for turned, sin in ((rotated.a, rotated.b), (rotated.b, rotated.a)):
            joined = _joined(turned)
            if joined is None:
                continue
            second, first = _negated(joined.first), joined.second
            if second is None:
                continue
            x = _pair(first, second, interleaved=joined.interleaved)
            if x is not None and (x is plain.a or x is plain.b):
                return _Found(x, plain.b if x is plain.a else plain.a, sin, joined.interleaved)
    return None


def _of_parts(y: MLOperand) -> _Found | None:
    """The first members of the pairs times cos minus the second ones times sin, and the other way round."""
    joined = _joined(y)
    if joined is None:
        return None
    real, imaginary = _products(joined.first), _products(joined.second)
    if real is None or imaginary is None or {p.sign for p in real} != {1, -1} or {p.sign for p in imaginary} != {1}:
        return None
    plus, minus = sorted(real, reverse=True, key=lambda product: product.sign)
    for first, cos in ((plus.a, plus.b), (plus.b, plus.a)):
        for second, sin in ((minus.a, minus.b), (minus.b, minus.a)):
            x = _pair(first, second, interleaved=joined.interleaved)
            wanted = [(first, sin), (second, cos)]
            if x is not None and all(any(_is_product(p, *both) for p in imaginary) for both in wanted):
                return _Found(x, cos, sin, joined.interleaved)
    return None


def _is_product(product: _Product, a: MLOperand, b: MLOperand) -> bool:
    return any(_same(product.a, x) and _same(product.b, y) for x, y in ((a, b), (b, a)))


def _products(operand: MLOperand) -> tuple[_Product, _Product] | None:
    """The two products that `operand` is the sum or the difference of."""
    node = operand.node
    if node is None or node.op not in ("add", "sub"):
        return None
    found = []
    for term, sign in ((node["a"], 1), (node["b"], 1 if node.op == "add" else -1)):
        if (positive := _negated(term)) is not None:
            term, sign = positive, -sign  # noqa: PLW2901 (the term without its sign)
        if term.node is None or term.node.op != "mul":
            return None
        factors = [term.node["a"], term.node["b"]]
        for i, factor in enumerate(factors):
            if (positive := _negated(factor)) is not None:
                factors[i], sign = positive, -sign  # noqa: PLW2901 (the same)
        found.append(_Product(sign, factors[0], factors[1]))
    return found[0], found[1]


def _negated(operand: MLOperand) -> MLOperand | None:
    """The operand whose negative `operand` is."""
    node = operand.node
    if node is None:
        return None
    if node.op == "neg" or (node.op == "linear" and (node.attributes["alpha"], node.attributes["beta"]) == (-1, 0)):
        return node["input"]
    if node.op == "mul":
        for x, other in ((node["a"], node["b"]), (node["b"], node["a"])):
            if number_in(other) == -1:
                return x
    return None


# The pairs.


class _Joined(NamedTuple):
    first: MLOperand
    second: MLOperand
    interleaved: bool


def _joined(operand: MLOperand) -> _Joined | None:
    """The two members of pairs that `operand` puts together along its last axis."""
    node = operand.node
    if node is None:
        return None
    pairs = (*operand.shape[:-1], operand.shape[-1] // 2)
    interleaved = node.op == "reshape"
    if interleaved:
        if node["input"].shape != (*pairs, 2) or node["input"].node is None:
            return None
        node = node["input"].node
    if node.op != "concat" or node.attributes["axis"] != node.output.rank - 1:
        return None
    parts = list(node.inputs())
    if len(parts) != 2:
        return None
    if not interleaved:
        return _Joined(parts[0], parts[1], False) if parts[0].shape == parts[1].shape else None
    members = []
    for part in parts:
        if part.node is None or part.node.op != "reshape" or part.node["input"].shape != pairs:
            return None
        members.append(part.node["input"])
    return _Joined(members[0], members[1], True)


def _pair(first: MLOperand, second: MLOperand, *, interleaved: bool) -> MLOperand | None:
    """The operand whose pairs have these members; None if they have not."""
    a, b = _member(first), _member(second)
    if a is None or b is None or (a.place, b.place) != (0, 1) or not a.interleaved == b.interleaved == interleaved:
        return None
    return a.x if _same(a.x, b.x) else None


class _Member(NamedTuple):
    x: MLOperand
    place: int
    interleaved: bool


def _member(operand: MLOperand) -> _Member | None:
    """The operand of whose pairs `operand` is one member, which one, and whether pairs are neighbours."""
    node = operand.node
    if node is None:
        return None
    if node.op == "reshape":  # the members had an axis of their own
        inner = node["input"]
        return _neighbour(inner, inner.shape == (*operand.shape, 1))
    if node.op == "gather":
        index = node["indices"].constant
        if node.attributes["axis"] == node["input"].rank - 1 and index is not None and index.size == 1:
            return _unpaired(node["input"], int(index.reshape(())) % node["input"].shape[-1], operand.shape)
        return None
    part = _part(operand)
    if part is None or part.x.shape != (*operand.shape[:-1], 2 * operand.shape[-1]):
        return None
    if part.stride == 1 and part.start in (0, operand.shape[-1]):
        return _Member(part.x, int(part.start > 0), False)
    return _Member(part.x, part.start, True) if part.stride == 2 and part.start in (0, 1) else None


def _neighbour(operand: MLOperand, has_axis: bool) -> _Member | None:
    part = _part(operand) if has_axis else None
    return None if part is None else _unpaired(part.x, part.start, operand.shape[:-1])


def _unpaired(x: MLOperand, place: int, shape: Shape) -> _Member | None:
    """The member of pairs that were neighbours before they got an axis in `x`."""
    if x.shape != (*shape, 2) or x.node is None or x.node.op != "reshape":
        return None
    before = x.node["input"]
    return _Member(before, place, True) if before.shape == (*shape[:-1], 2 * shape[-1]) else None


class _Part(NamedTuple):
    x: MLOperand
    start: int
    stride: int


def _part(operand: MLOperand) -> _Part | None:
    """The operand of whose last axis `operand` is a part, by `split` or `slice`."""
    node = operand.node
    if node is None:
        return None
    if node.op == "split":
        if node.attributes["axis"] != operand.rank - 1:
            return None
        before = node.outputs[: node.outputs.index(operand)]
        return _Part(node["input"], sum(part.shape[-1] for part in before), 1)
    if node.op != "slice" or operand.shape[:-1] != node["input"].shape[:-1]:
        return None
    return _Part(node["input"], node.attributes["starts"][-1], (node.attributes["strides"] or [1])[-1])


# The angles.


class _Angles:
    """The cosines and sines of a graph, each brought into the kernel's form once, though all layers read them."""

    def __init__(self) -> None:
        self._halves: dict[tuple[MLOperand, bool], MLOperand | None] = {}
        self._rows: dict[MLOperand, MLOperand] = {}

    def half(self, b: Replacement, angle: MLOperand, *, interleaved: bool) -> MLOperand | None:
        """One number for each pair from `angle`, which has it for both members; None if it has not."""
        key = angle, interleaved
        if key not in self._halves:
            self._halves[key] = _half(b, angle, interleaved) if _is_double(angle, interleaved) else None
        return self._halves[key]

    def rows(self, b: Replacement, angle: MLOperand) -> MLOperand:
        """`angle` as a matrix."""
        if angle not in self._rows:
            self._rows[angle] = b.reshape(angle, [math.prod(angle.shape[:-1]), angle.shape[-1]])
        return self._rows[angle]


def _half(b: Replacement, angle: MLOperand, interleaved: bool) -> MLOperand:
    joined, size = _joined(angle), angle.shape[-1]
    if joined is not None:
        return joined.first
    if interleaved and (repeated := _repeated(angle)) is not None:
        return repeated
    if angle.constant is not None and angle.descriptor.byte_length <= MADE_BYTES:
        return b.constant(np.ascontiguousarray(angle.constant[..., _places(size, interleaved)[0]]))
    starts, strides = [0] * angle.rank, [1] * (angle.rank - 1) + [2 if interleaved else 1]
    sizes = [*angle.shape[:-1], size if interleaved else size // 2]
    return b.slice(angle, starts, sizes, strides=strides)


def _places(size: int, interleaved: bool) -> tuple[slice, slice]:
    """Of the first and of the second members of the pairs."""
    if interleaved:
        return slice(0, None, 2), slice(1, None, 2)
    return slice(size // 2), slice(size // 2, None)


def _is_double(angle: MLOperand, interleaved: bool, depth: int = _DEPTH) -> bool:
    """Whether `angle` has the same number for both members of each pair."""
    if angle.rank == 0 or angle.shape[-1] % 2:
        return False
    if angle.constant is not None:
        first, second = (angle.constant[..., place] for place in _places(angle.shape[-1], interleaved))
        return np.array_equal(first, second)
    joined = _joined(angle)
    if joined is not None and joined.interleaved == interleaved and _same(joined.first, joined.second):
        return True
    node = angle.node
    if node is None or not depth:
        return False
    if node.op in ("mul", "div", "add", "sub"):
        wide = [operand for operand in node.inputs() if operand.shape[-1:] not in ((), (1,))]
        return all(_is_double(operand, interleaved, depth - 1) for operand in wide)
    if _keeps_last_axis(node):
        return _is_double(node["input"], interleaved, depth - 1)
    return interleaved and _repeated(angle) is not None


def _keeps_last_axis(node: Node) -> bool:
    """Whether `node` moves or changes whole rows of the last axis, and treats all of their numbers alike."""
    if node.op in ("cos", "sin", "linear"):
        return True
    if node.op in ("reshape", "expand"):
        return node["input"].shape[-1:] == node.output.shape[-1:]
    if node.op == "slice":
        return node["input"].shape[-1:] == node.output.shape[-1:] and (node.attributes["strides"] or [1])[-1] == 1
    rank = node["input"].rank if node.op in ("gather", "transpose") else 0
    return (node.op == "gather" and node.attributes["axis"] != rank - 1) or (
        node.op == "transpose" and node.attributes["permutation"][-1] == rank - 1
    )


def _repeated(angle: MLOperand) -> MLOperand | None:
    """The operand each of whose numbers `angle` has twice in a row."""
    node = angle.node
    pairs = (*angle.shape[:-1], angle.shape[-1] // 2)
    if node is None or node.op != "reshape" or node["input"].shape != (*pairs, 2):
        return None
    wide = node["input"].node
    if wide is None or wide.op not in ("expand", "tile") or wide["input"].shape != (*pairs, 1):
        return None
    narrow = wide["input"].node
    return narrow["input"] if narrow is not None and narrow.op == "reshape" and narrow["input"].shape == pairs else None


def _same(a: MLOperand, b: MLOperand, depth: int = 3) -> bool:
    """Whether two operands are the same, or computed in the same way."""
    if a is b:
        return True
    if a.constant is not None and b.constant is not None:
        return a.descriptor == b.descriptor and np.array_equal(a.constant, b.constant)
    first, second = a.node, b.node
    if first is None or second is None or not depth or first.op != second.op or first is second:
        return False
    if first.attributes != second.attributes or first.outputs.index(a) != second.outputs.index(b):
        return False
    ours, theirs = list(first.inputs()), list(second.inputs())
    return len(ours) == len(theirs) and all(_same(x, y, depth - 1) for x, y in zip(ours, theirs, strict=True))


# The replacement.


def _rotated(
    b: Replacement, x: MLOperand, cos: MLOperand, sin: MLOperand, angles: _Angles, *, interleaved: bool
) -> Sequence[MLOperand] | None:
    """`x` as `[batch, heads, length, size]` or `[batch, length, heads * size]`, rotated, in its own shape."""
    at = (*[1] * (x.rank - cos.rank), *cos.shape)[:-1]
    if (*[1] * (x.rank - sin.rank), *sin.shape)[:-1] != at:
        return None
    split = x.node
    ahead = split is not None and split.op == "transpose" and split.attributes["permutation"] == (0, 2, 1, 3)
    if ahead:  # of the transposition, which attention may do without
        assert split is not None
        if at[1] != 1 != at[2]:
            return None
        x, at = split["input"], (at[0], at[2], at[1])
    shape = _shape(x, at)
    if shape is None:
        return None
    with import_lock:  # here, since most models have no rotary embedding
        from webnn.graph.composites.rotary_embedding import rotated_by_position  # noqa: PLC0415

    y = rotated_by_position(b, b.reshape(x, shape), angles.rows(b, cos), angles.rows(b, sin), interleaved=interleaved)
    y = b.reshape(y, x.shape)
    return [b.transpose(y, permutation=[0, 2, 1, 3]) if ahead else y]


def _shape(x: MLOperand, at: Shape) -> Shape | None:
    """A shape of the composite for `x`, whose angles differ along the axes where `at` is not 1; None if there is none.

    The angles keep the order of their rows.
    """
    places, size = x.shape[:-1], x.shape[-1]
    axes = [axis for axis, count in enumerate(at) if count != 1]
    if axes == [0, 2] and x.rank == 4:
        return x.shape
    first, last = (axes[0], axes[-1] + 1) if axes else (0, 0)
    if len(axes) != last - first:
        return None
    before, length, heads = (math.prod(part) for part in (places[:first], places[first:last], places[last:]))
    return (1, before, length, size) if heads == 1 and before > 1 else (before, length, heads * size)
