"""Determinants of square matrices."""

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

__all__ = ["determinants"]

_ROWS: Final = 64
"""The most rows of a matrix, whose elimination is unrolled."""


def determinants(b: Builder, x: MLOperand) -> MLOperand:
    """The determinant of each matrix in the last two axes of `x`, of floats."""
    return compose(b, "determinant", {"input": x}, [MLOperandDescriptor(x.data_type, x.shape[:-2])])[0]


@composite
def determinant(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The product of the pivots of an elimination with the largest element of each column."""
    x = node["input"]
    count, size = math.prod(x.shape[:-2]), x.shape[-1]
    if size > _ROWS:
        raise NotSupportedError(
            f"{node.where}: it takes determinants of {size} x {size} matrices, the limit is {_ROWS} x {_ROWS}"
        )
    rows = b.reshape(x, [count, size, size])
    zero, one, minus = (b.constant(x.data_type, number) for number in (0, 1, -1))
    result = b.expand(one, [count, 1, 1])
    for left in range(size, 1, -1):
        column = b.slice(rows, [0, 0, 0], [count, left, 1])
        place = b.arg_max(b.abs(column), 1, keep_dimensions=True, output_data_type="int32")
        chosen = b.equal(place, b.constant(np.arange(left, dtype=np.int32).reshape(1, left, 1)))
        pivot_row = b.reduce_sum(b.where(chosen, rows, zero), axes=[1], keep_dimensions=True)
        pivot = b.slice(pivot_row, [0, 0, 0], [count, 1, 1])
        swapped = b.not_equal(place, b.constant("int32", 0))
        result = b.mul(result, b.mul(pivot, b.where(swapped, minus, one)))
        # The first row takes the place of the pivot's row; below the pivot, the column is cleared.
        first = b.slice(rows, [0, 0, 0], [count, 1, left])
        below = b.slice(b.where(chosen, first, rows), [0, 1, 0], [count, left - 1, left])
        others = b.slice(below, [0, 0, 1], [count, left - 1, left - 1])
        factors = b.div(b.slice(below, [0, 0, 0], [count, left - 1, 1]), pivot)
        factors = b.where(b.equal(pivot, zero), zero, factors)
        rows = b.sub(others, b.mul(factors, b.slice(pivot_row, [0, 0, 1], [count, 1, left - 1])))
    return [b.reshape(b.mul(result, rows), x.shape[:-2])]
