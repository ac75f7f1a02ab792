"""Matrix products of integers of 32 and 64 bits, which wrap around. WebNN multiplies matrices of floats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from webnn.errors import NotSupportedError
from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["product_of_wide_integers"]

_PRODUCTS: Final = 1 << 26
"""The most products of elements, which are all in memory at once."""


def product_of_wide_integers(b: Builder, x: MLOperand, y: MLOperand) -> MLOperand:
    """The product of matrices of the same type, int32, uint32, int64 or uint64, whose further axes broadcast.

    Raises:
        NotSupportedError: the products of elements would take too much memory.
    """
    stack = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    output = MLOperandDescriptor(x.data_type, [*stack, x.shape[-2], y.shape[-1]])
    return compose(b, "wide_matmul", {"a": x, "b": y}, [output])[0]


@composite
def wide_matmul(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The sums of all products."""
    x, y = node["a"], node["b"]
    inner, columns = y.shape[-2:]
    if math.prod(node.output.shape) * inner > _PRODUCTS:
        raise NotSupportedError(
            f"{node.where}: it multiplies {x.data_type} matrices {list(x.shape)} and {list(y.shape)}; WebNN multiplies"
            " floats only"
        )
    products = b.mul(b.reshape(x, [*x.shape, 1]), b.reshape(y, [*y.shape[:-2], 1, inner, columns]))
    return [b.reduce_sum(products, axes=[products.rank - 2])]
