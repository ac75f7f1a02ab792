"""Sums and means over an axis that has only axes of size 1 before it or behind it, without those.

Serves onnxruntime's kernels of `ReduceSum` and `ReduceMean`, which add up whole rows where the first axis is reduced,
and neighbours where the last one is. An axis of size 1 hides that from them, and they take 4 to 30 times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Final

from webnn.graph.dtypes import FLOATS
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, rewritten

__all__ = ["sums_without_unit_axes"]

_OPS: Final = frozenset({"reduce_mean", "reduce_sum"})
_MANY: Final = 4096
"""Fewer values are added in less time than the two reshapes take."""


def sums_without_unit_axes(graph: Graph) -> Graph:
    """`graph` with a reshape before and behind every such sum and mean of many floats."""
    return rewritten(graph, [node for node in graph.nodes if node.op in _OPS and _applies(node)], _without)


def _applies(node: Node) -> bool:
    if node.output.data_type not in FLOATS or not node.attributes["axes"]:
        return False
    before, count, after = _sizes(node)
    first, last = min(node.attributes["axes"]), max(node.attributes["axes"])
    is_one_run = last - first + 1 == len(node.attributes["axes"])
    # Behind the last axis there is nothing to gain, and onnxruntime looks for such means in layer normalizations.
    is_hidden = (first > 0 and before == 1 < after) or (last < node["input"].rank - 1 and after == 1)
    return is_one_run and is_hidden and before * count * after >= _MANY


def _without(node: Node) -> Sequence[MLOperand]:
    builder = Replacement(node)
    before, count, after = _sizes(node)
    shape = [*[before] * (before > 1), count, *[after] * (after > 1)]
    result = getattr(builder, node.op)(builder.reshape(node["input"], shape), axes=[int(before > 1)])
    return [builder.reshape(result, node.output.shape)]


def _sizes(node: Node) -> tuple[int, int, int]:
    """How many values there are along the axes before the reduced ones, along those, and along the ones behind them."""
    shape, axes = node["input"].shape, node.attributes["axes"]
    first, last = min(axes), max(axes)
    return prod(shape[:first]), prod(shape[first : last + 1]), prod(shape[last + 1 :])
