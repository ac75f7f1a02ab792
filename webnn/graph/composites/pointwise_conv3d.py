"""Convolutions over three axes whose windows are single elements.

Over two axes they are the same products, but runtimes reorder images for those, which takes a fifth of their time.
"""

from __future__ import annotations

from collections.abc import Sequence

from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["convolved_pointwise"]


def convolved_pointwise(
    b: Builder, x: MLOperand, filters: MLOperand, bias: MLOperand | None, *, groups: int
) -> MLOperand:
    """The convolution of `x`, `[images, channels, depth, height, width]`.

    Args:
        b: takes the node.
        x: of floats.
        filters: `[filters, channels / groups, 1, 1, 1]`.
        bias: one number for each filter, or none.
        groups: of channels and filters.
    """
    output = MLOperandDescriptor(x.data_type, [x.shape[0], filters.shape[0], *x.shape[2:]])
    operands = {"input": x, "filter": filters, **({} if bias is None else {"bias": bias})}
    return compose(b, "pointwise_conv3d", operands, [output], groups=groups)[0]


@composite
def pointwise_conv3d(b: Builder, node: Node) -> Sequence[MLOperand]:
    """A convolution over two axes, of which one is the height and the width."""
    x, filters = node["input"], node["filter"]
    images = b.reshape(x, [*x.shape[:3], x.shape[3] * x.shape[4]])
    shape = [*filters.shape[:2], 1, 1]
    known = filters.constant
    kernel = b.reshape(filters, shape) if known is None else b.constant(known.reshape(shape))
    result = b.conv2d(images, kernel, groups=node.attributes["groups"], bias=node.get("bias"))
    return [b.reshape(result, node.output.shape)]
