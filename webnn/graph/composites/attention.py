"""Scaled dot-product attention of several heads, whose scores a runtime need not keep."""

from __future__ import annotations

import math
from collections.abc import Sequence

from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["attended"]


def attended(
    b: Builder,
    query: MLOperand,
    key: MLOperand,
    value: MLOperand,
    *,
    heads: int,
    key_heads: int,
    scale: float,
    mask: MLOperand | None = None,
    softcap: float = 0.0,
    shown: MLOperand | None = None,
) -> MLOperand:
    """The values, weighted by the softmax of the products of queries and keys, each head by itself.

    All of query, key and value have either three dimensions or four.

    Args:
        b: the builder of the operands.
        query: `[batch, queries, heads * size]`, or `[batch, heads, queries, size]`.
        key: `[batch, keys, key heads * size]`, or `[batch, key heads, keys, size]`.
        value: as the key, with a size of its own.
        heads: the number of heads of the query.
        key_heads: the number of heads of key and value; as many consecutive heads of the query share each of them.
        scale: the factor of the products, mostly `1 / sqrt(size)`.
        mask: added to the scores, `[batch or 1, heads or 1, queries, keys]`. A query to which it hides every key, by
            -inf, gets zeros. No other row may have only numbers below -1e38, which kernels take for -inf.
        softcap: the bound of the products by a hyperbolic tangent, before the mask; 0 for none.
        shown: `[1]`, of int32: the mask hides all keys from this one on, which a backend need not read; 0 if it must
            read them all. The mask is a single row then, and keys and values have four dimensions.

    Returns:
        `[batch, queries, heads * value size]`, or `[batch, heads, queries, value size]`.
    """
    operands = {"query": query, "key": key, "value": value, **({} if mask is None else {"mask": mask})}
    if shown is not None:
        operands["shown"] = shown
    size = value.shape[-1] if query.rank == 4 else value.shape[-1] // key_heads * heads
    output = MLOperandDescriptor(query.data_type, [*query.shape[:-1], size])
    attributes = {"heads": heads, "key_heads": key_heads, "scale": scale, "softcap": softcap}
    return compose(b, "attention", operands, [output], **attributes)[0]


@composite
def attention(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Two products and a softmax."""
    heads, groups, softcap = (node.attributes[name] for name in ("heads", "key_heads", "softcap"))
    rows = node["query"].rank == 3
    query, key, value = (
        _split(b, node[name], count) if rows else node[name]
        for name, count in (("query", heads), ("key", groups), ("value", groups))
    )
    batch, _, queries, size = query.shape
    keys = key.shape[2]
    # Heads that share a key become rows of one matrix.
    stacked = b.reshape(
        b.linear(query, alpha=node.attributes["scale"]), [batch, groups, heads // groups * queries, size]
    )
    scores = b.reshape(b.matmul(stacked, b.transpose(key, permutation=[0, 1, 3, 2])), [batch, heads, queries, keys])
    if softcap:
        scores = b.linear(b.tanh(b.linear(scores, alpha=1 / softcap)), alpha=softcap)
    mask = node.get("mask")
    shares = b.softmax(scores if mask is None else b.add(scores, mask), 3)
    if mask is not None:
        best = b.reduce_max(mask, axes=[3], keep_dimensions=True)
        shares = b.where(b.equal(best, b.constant("float32", -math.inf)), b.constant("float32", 0), shares)
    output = b.matmul(b.reshape(shares, [batch, groups, heads // groups * queries, keys]), value)
    output = b.reshape(output, [batch, heads, queries, value.shape[3]])
    return [b.reshape(b.transpose(output, permutation=[0, 2, 1, 3]), node.output.shape) if rows else output]


def _split(b: Builder, x: MLOperand, heads: int) -> MLOperand:
    split = b.reshape(x, [*x.shape[:2], heads, x.shape[2] // heads])
    return b.transpose(split, permutation=[0, 2, 1, 3])
