"""`reduce_l2` and `l2_pool2d` of numbers whose squares are out of range, written as roots of sums of squares.

Serves onnxruntime's kernels of `ReduceL2` and `LpPool`, which square without a look at the range: the norm of 1e30 is
infinite, that of 1e-30 is 0. They also add one value after the other, and `LpPool` takes 10 times as long as
`AveragePool`. So the squares of the numbers are added up twice, of small ones enlarged and of large ones reduced by a
power of two. Averages of the squares times their number are the sums of windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import floor, log2, prod, sqrt
from typing import Any, Final

import numpy as np

from webnn.graph.dtypes import FLOATS
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, rewritten
from webnn.graph.windows import sweeps

__all__ = ["norms_in_range", "window_counts"]

_REDUCE: Final = 2.0**-66
"""With this factor the squares of any finite norm add up to less than infinity."""
_FINITE: Final = 1e38
"""A sum of squares below this has not overflown on the way."""
_ENOUGH: Final = 1.2e18
"""This over the root of their number enlarges numbers as much as can be.

Norms whose sum of squares is not `_FINITE` then are large enough to be reduced without loss of digits to underflow.
"""


def norms_in_range(graph: Graph) -> Graph:
    """`graph` without `reduce_l2` of floats and without `l2_pool2d`."""
    return rewritten(graph, [node for node in graph.nodes if _applies(node)], _written_out)


def _applies(node: Node) -> bool:
    is_reduction = node.op == "reduce_l2" and node.output.data_type in FLOATS and bool(node.attributes["axes"])
    return is_reduction or node.op == "l2_pool2d"


def _written_out(node: Node) -> Sequence[MLOperand]:
    builder = Replacement(node)
    x = builder.cast(node["input"], "float32")  # as the kernels compute float16 too
    count, total = _reduction(builder, node) if node.op == "reduce_l2" else _pool(builder, node)

    def number(value: float) -> MLOperand:
        return builder.constant("float32", value)

    def norm(factor: float) -> tuple[MLOperand, MLOperand]:
        """The sum of the squares of the numbers times `factor`, and the norm of the numbers."""
        scaled = builder.mul(x, number(factor))
        squares = total(builder.mul(scaled, scaled))
        return squares, builder.mul(builder.sqrt(squares), number(1 / factor))

    if node.output.data_type == "float16":  # whose squares are well within the range of float32
        return [builder.cast(builder.sqrt(total(builder.mul(x, x))), "float16")]
    squares, small = norm(2.0 ** floor(log2(_ENOUGH / sqrt(count))))
    _, large = norm(_REDUCE)
    return [builder.where(builder.lesser(squares, number(_FINITE)), small, large)]


def _reduction(builder: Replacement, node: Node) -> tuple[int, Callable[[MLOperand], MLOperand]]:
    """How many values go into a result, and what adds them up."""
    axes, keep = node.attributes["axes"], node.attributes["keep_dimensions"]
    count = prod(node["input"].shape[axis] for axis in axes)
    return count, lambda squares: builder.reduce_sum(squares, axes=axes, keep_dimensions=keep)


def _pool(builder: Replacement, node: Node) -> tuple[int, Callable[[MLOperand], MLOperand]]:
    """The same for a pool."""
    options: dict[str, Any] = {name: node.attributes[name] for name in ("padding", "strides", "dilations", "layout")}
    options |= {name: node.attributes[name] for name in ("window_dimensions", "output_sizes")}
    counts = builder.constant(window_counts(node))
    return prod(node.attributes["window_dimensions"]), lambda squares: builder.mul(
        builder.average_pool2d(squares, **options), counts
    )


def window_counts(node: Node) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """How many values of the input each window holds, in a shape that broadcasts to the output."""
    options = node.attributes
    axes = [options["layout"].index(letter) for letter in "hw"]
    inputs = [node["input"].shape[axis] for axis in axes]
    both = sweeps(inputs, options["window_dimensions"], options["padding"], options["strides"], options["dilations"])
    rows, columns = (
        np.array(sweep.counts(size), np.float32) for sweep, size in zip(both, options["output_sizes"], strict=True)
    )
    if len({*rows.tolist()}) == len({*columns.tolist()}) == 1:
        return np.array(rows[0] * columns[0], np.float32)
    return np.expand_dims(np.outer(rows, columns), [axis for axis in range(4) if axis not in axes])
