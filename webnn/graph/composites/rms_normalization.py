"""Normalization by the root mean square, which decoders have in the place of layer normalization."""

from __future__ import annotations

from collections.abc import Sequence

from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["normalized_by_rms"]


def normalized_by_rms(b: Builder, x: MLOperand, scale: MLOperand, *, epsilon: float) -> MLOperand:
    """`x` divided by the root of `epsilon` plus the mean of its squares, times `scale`.

    The mean is taken over the last dimensions, as many as `scale` has, which has their shape.
    """
    return compose(b, "rms_normalization", {"input": x, "scale": scale}, [x.descriptor], epsilon=epsilon)[0]


@composite
def rms_normalization(b: Builder, node: Node) -> Sequence[MLOperand]:
    """As programs write it: pow, mean, sqrt, div, mul."""
    x, scale = node["input"], node["scale"]
    axes = list(range(x.rank - scale.rank, x.rank))
    squares = b.pow(x, b.constant("float32", 2.0))
    mean = b.reduce_mean(squares, axes=axes, keep_dimensions=True)
    root = b.sqrt(b.add(mean, b.constant("float32", node.attributes["epsilon"])))
    return [b.mul(b.div(x, root), scale)]
