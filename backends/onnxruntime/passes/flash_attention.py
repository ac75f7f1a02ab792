"""Attention without a mask over many positions, as onnxruntime's operator that does not keep the scores.

Serves its `MultiHeadAttention`, which goes through the keys in blocks. Written as operators, the scores of 8 heads over
4096 positions take 512 MB, and over 1024 positions the products take a fifth longer. Over few positions the operators
are as fast, and with a mask or for one query onnxruntime keeps the scores, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from webnn.graph.composites.attention import attended
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, Rule, readers, rewritten

__all__ = ["flash_attention"]

_SCORES: Final = 1 << 18
"""The scores of a head from which on it pays: 512 queries and keys."""


def flash_attention(graph: Graph) -> Graph:
    """`graph` with a `multi_head_attention` for each product of the softmax of scaled products of float32."""
    found = readers(graph)
    products = [node for node in graph.nodes if node.op == "matmul" and _are_shares(node["a"], found)]
    if not products:
        return graph
    behind = [node for node in graph.nodes if node.op in _BEHIND]
    return rewritten(graph, [*products, *behind], lambda node: _BEHIND.get(node.op, _attention)(node))


def _are_shares(operand: MLOperand, found: Mapping[MLOperand, Sequence[Node]]) -> bool:
    """Whether an operand is the softmax of many scores that nothing else reads."""
    node = operand.node
    return (
        node is not None
        and node.op == "softmax"
        and node.attributes["axis"] == operand.rank - 1 == 3
        and operand.data_type == "float32"
        and operand.shape[2] * operand.shape[3] >= _SCORES
        and len(found.get(operand, ())) == 1
        and len(found.get(node["input"], ())) == 1
    )


def _attention(node: Node) -> Sequence[MLOperand] | None:
    softmax, value = node["a"].node, node["b"]
    assert softmax is not None
    scores, scale = _unscaled(softmax["input"])
    if scores.node is None or scores.node.op != "matmul":
        return None
    query, query_scale = _unscaled(scores.node["a"])
    transposed, key_scale = _unscaled(scores.node["b"])
    if query.rank != 4 or value.rank != 4 or transposed.node is None or transposed.node.op != "transpose":
        return None
    batch, heads, queries, size = query.shape
    before, order = transposed.node["input"], transposed.node.attributes["permutation"]
    b = Replacement(node, composites=("multi_head_attention",))
    if order == (0, 1, 3, 2):
        before, more = _unscaled(before)
        key, key_scale = _merged(b, before), key_scale * more
    elif order == (0, 2, 3, 1):
        key = _in_rows(b, before)
    else:
        return None
    if (key.shape[0], key.shape[2]) != (batch, heads * size):
        return None  # the heads or the batch are broadcast
    if value.shape[:3] != (batch, heads, key.shape[1]):
        return None
    total = scale * query_scale * key_scale
    output = attended(b, _merged(b, query), key, _merged(b, value), heads=heads, scale=total)
    split = b.reshape(output, [batch, queries, heads, value.shape[3]])
    return [b.transpose(split, permutation=[0, 2, 1, 3])]


def _without_transposing_back(node: Node) -> Sequence[MLOperand] | None:
    before = node["input"].node
    if before is None or before.op != "transpose":
        return None
    first, second = before.attributes["permutation"], node.attributes["permutation"]
    return [before["input"]] if [first[i] for i in second] == list(range(len(first))) else None


def _reshaped_once(node: Node) -> Sequence[MLOperand] | None:
    before = node["input"].node
    if before is None or before.op != "reshape":
        return None
    x = before["input"]
    return [x if x.shape == node.output.shape else Replacement(node).reshape(x, node.output.shape)]


_BEHIND: Final[Mapping[str, Rule]] = {"transpose": _without_transposing_back, "reshape": _reshaped_once}
"""Takes out the movements that programs make behind attention to merge its heads, which are merged already."""


def _unscaled(operand: MLOperand) -> tuple[MLOperand, float]:
    """The operand of the same shape that `operand` is a multiple of by constant factors, and their product."""
    factor = 1.0
    while (found := _multiple(operand)) is not None and found[0].shape == operand.shape:
        operand, factor = found[0], factor * found[1]
    return operand, factor


def _multiple(operand: MLOperand) -> tuple[MLOperand, float] | None:
    """The operand and the number that `operand` is the product of."""
    node = operand.node
    if node is None:
        return None
    if node.op == "linear" and node.attributes["beta"] == 0:
        return node["input"], node.attributes["alpha"]
    if node.op not in ("mul", "div"):
        return None
    if (number := _number(node["b"])) is not None:
        return node["a"], number if node.op == "mul" else 1 / number
    if node.op == "mul" and (number := _number(node["a"])) is not None:
        return node["b"], number
    return None


def _number(operand: MLOperand) -> float | None:
    """The only element of a constant that is not 0."""
    constant = operand.constant
    return float(constant.reshape(())) or None if constant is not None and constant.size == 1 else None


def _merged(b: Replacement, x: MLOperand) -> MLOperand:
    """`[batch, heads, length, size]` as `[batch, length, heads * size]`; as it was before its heads were split."""
    node = x.node
    if node is not None and node.op == "transpose" and node.attributes["permutation"] == (0, 2, 1, 3):
        return _in_rows(b, node["input"])
    return _in_rows(b, b.transpose(x, permutation=[0, 2, 1, 3]))


def _in_rows(b: Replacement, x: MLOperand) -> MLOperand:
    """`[batch, length, heads, size]` as `[batch, length, heads * size]`."""
    shape = (x.shape[0], x.shape[1], x.shape[2] * x.shape[3])
    if x.node is not None and x.node.op == "reshape" and x.node["input"].shape == shape:
        return x.node["input"]
    return b.reshape(x, shape)
