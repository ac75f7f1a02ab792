"""L1 norms, sums of squares and logarithms of sums, written as element-wise operators and `reduce_sum`.

Serves onnxruntime's kernels of `ReduceL1`, `ReduceSumSquare`, `ReduceLogSum` and `ReduceLogSumExp`. In most shapes they
are several times slower than `ReduceSum`, and they add one value after the other, which loses digits in long rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from webnn.graph.dtypes import FLOATS
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, rewritten

__all__ = ["reductions_by_sums"]

_HIGHEST: Final = float(np.finfo(np.float32).max)


def reductions_by_sums(graph: Graph) -> Graph:
    """`graph` with every L1 norm, sum of squares and logarithm of a sum of floats written out."""
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
    "reduce_log_sum": _log_sum,
    "reduce_log_sum_exp": _log_sum_exp,
    "reduce_sum_square": _sum_square,
}
