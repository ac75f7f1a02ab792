"""GELU in its approximation by the sigmoid, and SiLU, which is the same without a factor."""

from __future__ import annotations

from collections.abc import Sequence

from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["gated_by_sigmoid"]


def gated_by_sigmoid(b: Builder, x: MLOperand, *, alpha: float) -> MLOperand:
    """`x * sigmoid(alpha * x)`: SiLU for 1, GELU approximately for 1.702."""
    return compose(b, "sigmoid_gelu", {"input": x}, [x.descriptor], alpha=alpha)[0]


@composite
def sigmoid_gelu(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The product."""
    x, alpha = node["input"], node.attributes["alpha"]
    return [b.mul(x, b.sigmoid(x if alpha == 1 else b.linear(x, alpha=alpha)))]
