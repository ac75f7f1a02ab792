"""Scaled dot-product attention of several heads, whose scores a runtime need not keep."""

from __future__ import annotations

from collections.abc import Sequence

from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["attended"]


def attended(b: Builder, query: MLOperand, key: MLOperand, value: MLOperand, *, heads: int, scale: float) -> MLOperand:
    """The values, weighted by the softmax of the products of queries and keys, each head by itself.

    Args:
        b: the builder of the operands.
        query: `[batch, queries, heads * size]`.
        key: `[batch, keys, heads * size]`.
        value: `[batch, keys, heads * value size]`.
        heads: the number of heads.
        scale: the factor of the products, mostly `1 / sqrt(size)`.

    Returns:
        `[batch, queries, heads * value size]`.
    """
    operands = {"query": query, "key": key, "value": value}
    output = MLOperandDescriptor(query.data_type, [*query.shape[:2], value.shape[2]])
    return compose(b, "multi_head_attention", operands, [output], heads=heads, scale=scale)[0]


@composite
def multi_head_attention(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Two products and a softmax."""
    heads = node.attributes["heads"]
    query, key, value = (
        b.transpose(b.reshape(x, [*x.shape[:2], heads, x.shape[2] // heads]), permutation=[0, 2, 1, 3])
        for x in (node["query"], node["key"], node["value"])
    )
    scores = b.matmul(b.linear(query, alpha=node.attributes["scale"]), b.transpose(key, permutation=[0, 1, 3, 2]))
    output = b.matmul(b.softmax(scores, 3), value)
    return [b.reshape(b.transpose(output, permutation=[0, 2, 1, 3]), node.output.shape)]
