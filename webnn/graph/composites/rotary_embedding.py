"""Rotary embedding: the features of queries and keys, in pairs, rotated by angles that depend on the position."""

from __future__ import annotations

from collections.abc import Sequence

from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["rotated_by_position"]


def rotated_by_position(b: Builder, x: MLOperand, cos: MLOperand, sin: MLOperand, *, interleaved: bool) -> MLOperand:
    """`x` with each pair of features of a head rotated.

    Args:
        b: the builder of the operands.
        x: `[batch, heads, length, size]`, or `[batch, length, heads * size]`.
        cos: the cosines of the angles, `[length, size / 2]` for all sequences, or `[batch * length, size / 2]`.
        sin: the sines of the angles, as `cos`.
        interleaved: whether the pairs are features 0 and 1, 2 and 3 and so on. Otherwise the first half of the
            features is paired with the second one.
    """
    operands = {"input": x, "cos": cos, "sin": sin}
    return compose(b, "rotary_embedding", operands, [x.descriptor], interleaved=interleaved)[0]


@composite
def rotary_embedding(b: Builder, node: Node) -> Sequence[MLOperand]:
    """By products with the two members of all pairs."""
    x, pairs = node["input"], node["cos"].shape[1]
    if x.rank == 3:
        whole, length, angles = [*x.shape[:2], x.shape[2] // (2 * pairs), 2 * pairs], x.shape[1], [1, pairs]
    else:
        whole, length, angles = list(x.shape), x.shape[2], [pairs]
    batch = node["cos"].shape[0] // length
    at = [batch, length, *angles] if x.rank == 3 else [batch, 1, length, *angles]
    cos, sin = (b.reshape(node[name], at) for name in ("cos", "sin"))
    # The members of a pair get an axis of their own, before or behind that of the pairs.
    axis = 4 if node.attributes["interleaved"] else 3
    split = [*whole[:3], *((pairs, 2) if axis == 4 else (2, pairs))]
    first, second = (b.reshape(part, [*whole[:3], pairs]) for part in b.split(b.reshape(x, split), 2, axis=axis))
    real, imaginary = b.sub(b.mul(first, cos), b.mul(second, sin)), b.add(b.mul(first, sin), b.mul(second, cos))
    split[axis] = 1
    return [b.reshape(b.concat([b.reshape(part, split) for part in (real, imaginary)], axis), x.shape)]
