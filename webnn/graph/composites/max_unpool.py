"""Values put back to the places where the largest ones of windows were found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["unpooled"]


def unpooled(
    b: Builder,
    x: MLOperand,
    indices: MLOperand,
    *,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    shape: Sequence[int] | None = None,
) -> MLOperand:
    """`x` at the `indices` of all elements of the result, which has zeros elsewhere.

    Indices out of range end the run with an error.

    Args:
        b: takes the node.
        x: `[images, channels, ...]`, of floats.
        indices: of x's shape, in int64.
        kernel: the sizes of a window.
        strides: from one window to the next.
        pads: what the windows reached over the beginning of each axis, then over the end.
        shape: of the result, in which the indices count; by default, the smallest that such windows come from.
    """
    count = len(kernel)
    rows = zip(x.shape[2:], strides, kernel, pads[:count], pads[count:], strict=True)
    sizes = [(size - 1) * stride + length - before - after for size, stride, length, before, after in rows]
    if shape is not None and list(shape) != [*x.shape[:2], *sizes]:  # rare, so backends need not know it
        return _scattered(b, x, indices, shape)
    output = MLOperandDescriptor(x.data_type, [*x.shape[:2], *sizes])
    options: dict[str, Any] = {"kernel_shape": tuple(kernel), "strides": tuple(strides), "pads": tuple(pads)}
    return compose(b, "max_unpool", {"input": x, "indices": indices}, [output], **options)[0]


@composite
def max_unpool(b: Builder, node: Node) -> Sequence[MLOperand]:
    """A scatter into zeros."""
    return [_scattered(b, node["input"], node["indices"], node.output.shape)]


def _scattered(b: Builder, x: MLOperand, indices: MLOperand, shape: Sequence[int]) -> MLOperand:
    """`x` in zeros of this shape, at indices that count as if they were one row."""
    count = x.descriptor.element_count
    zeros = b.expand(b.constant(x.data_type, 0), [math.prod(shape)])
    put = b.scatter_elements(zeros, b.reshape(indices, [count]), b.reshape(x, [count]), axis=0)
    return b.reshape(put, shape)
