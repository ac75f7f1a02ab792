"""Norms, sums of squares and logarithms of sums, written as element-wise operators and `reduce_sum`.

Serves onnxruntime's kernels of `ReduceL1`, `ReduceL2`, `ReduceSumSquare` and `ReduceLogSumExp`. In most shapes they are
several times slower than `ReduceSum`, since they add one value after the other, which also loses digits in long rows.
The norm of numbers beyond 1.8e19 is infinite, since their squares overflow, and that of numbers below 1e-23 is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from webnn.backends.onnxruntime.passes.rewriting import Replacement, rewritten
from webnn.graph.dtypes import FLOATS
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand

__all__ = ["reductions_by_sums"]

_LARGE_SUM: Final = 1e19
"""Squares of numbers whose magnitudes sum up to more may overflow."""
_SMALL_SUM: Final = 1e-10
"""Squares of numbers whose magnitudes sum up to less may lose digits to underflow."""
_SHRINK: Final = 2.0**-70
"""Brings the squares behind any finite norm into range, and those of numbers with a `_LARGE_SUM` keep their digits."""
_STRETCH: Final = 2.0**96
"""Brings the square of the smallest subnormal into range, and those of numbers with a `_SMALL_SUM` stay finite."""
_HIGHEST: Final = float(np.finfo(np.float32).max)


def reductions_by_sums(graph: Graph) -> Graph:
    """`graph` with every norm, sum of squares and logarithm of a sum of floats written out."""
    return rewritten(graph, [node for node in graph.nodes if _applies(node)], _by_sums)


def _applies(node: Node) -> bool:
    return node.op in _FORMULAS and node.output.data_type in FLOATS and bool(node.attributes["axes"])


def _by_sums(node: Node) -> Sequence[MLOperand]:
    builder = Replacement(node)
    x = builder.cast(node["input"], "float32")  # as the kernels compute float16 too
    result = _FORMULAS[node.op](builder, x, node.attributes["axes"])
    return [builder.cast(builder.reshape(result, node.output.shape), node.output.data_type)]


def _l1(builder: Replacement, x: MLOperand, axes: Sequence[int]) -> MLOperand:
    return builder.reduce_sum(builder.abs(x), axes=axes)


def _l2(builder: Replacement, x: MLOperand, axes: Sequence[int]) -> MLOperand:
    """The norm of the numbers times a power of two that keeps their squares in range, divided by that power."""
    size = builder.reduce_sum(builder.abs(x), axes=axes, keep_dimensions=True)
    one, large, small = (builder.constant("float32", value) for value in (1.0, _LARGE_SUM, _SMALL_SUM))
    shrink, stretch = builder.constant("float32", _SHRINK), builder.constant("float32", _STRETCH)
    scale = builder.where(builder.lesser(size, small), stretch, one)
    scale = builder.where(builder.greater(size, large), shrink, scale)
    scaled = builder.mul(x, scale)
    norm = builder.sqrt(builder.reduce_sum(builder.mul(scaled, scaled), axes=axes, keep_dimensions=True))
    return builder.div(norm, scale)


def _sum_square(builder: Replacement, x: MLOperand, axes: Sequence[int]) -> MLOperand:
    return builder.reduce_sum(builder.mul(x, x), axes=axes)


def _log_sum(builder: Replacement, x: MLOperand, axes: Sequence[int]) -> MLOperand:
    return builder.log(builder.reduce_sum(x, axes=axes))


def _log_sum_exp(builder: Replacement, x: MLOperand, axes: Sequence[int]) -> MLOperand:
    """With the largest value subtracted first, so that no exponential overflows."""
    # An infinite one counts as the largest float: infinity minus infinity would be NaN.
    largest = builder.reduce_max(x, axes=axes, keep_dimensions=True)
    largest = builder.clamp(largest, min_value=-_HIGHEST, max_value=_HIGHEST)
    total = builder.reduce_sum(builder.exp(builder.sub(x, largest)), axes=axes, keep_dimensions=True)
    return builder.add(builder.log(total), largest)


_FORMULAS: Final[Mapping[str, Callable[[Replacement, MLOperand, Sequence[int]], MLOperand]]] = {
    "reduce_l1": _l1,
    "reduce_l2": _l2,
    "reduce_log_sum": _log_sum,
    "reduce_log_sum_exp": _log_sum_exp,
    "reduce_sum_square": _sum_square,
}
