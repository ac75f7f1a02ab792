"""Batch normalization of inputs of the graph, with the mean taken off first.

Serves onnxruntime's kernel of `BatchNormalization`, which computes `a * input + b` and so loses the digits that
`input - mean` would keep. Values that operators computed have been rounded to as many digits already, and onnxruntime
folds their whole normalization into a convolution before it or behind it: those stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, rewritten

__all__ = ["centered_batch_normalization"]


def centered_batch_normalization(graph: Graph) -> Graph:
    """`graph` with a `sub` before every `batch_normalization` of a float32 input or constant, which gets the mean 0."""
    return rewritten(graph, [node for node in graph.nodes if _is_direct(node)], _centered)


def _is_direct(node: Node) -> bool:
    if node.op != "batch_normalization":
        return False
    operand = node["input"]
    return operand.data_type == "float32" and operand.node is None


def _centered(node: Node) -> Sequence[MLOperand]:
    builder = Replacement(node)
    operand, axis = node["input"], node.attributes["axis"]
    features = operand.shape[axis]
    mean = builder.reshape(node["mean"], [features, *[1] * (operand.rank - axis - 1)])
    zero = builder.full(0, [features], "float32")
    return node.replace(operands={**node.operands, "input": builder.sub(operand, mean), "mean": zero}).outputs
