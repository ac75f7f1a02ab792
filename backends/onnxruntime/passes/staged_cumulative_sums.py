"""Long running sums of floats, in stages: those of short parts, to which the running sums of whole parts are added.

Serves onnxruntime's kernel of `CumSum`, which adds float32 in float32, one value after the other: a running sum of ones
ends at 2**24.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Final

from webnn.backends.onnxruntime.passes.rewriting import Replacement, rewritten
from webnn.graph.dtypes import FLOATS
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand

__all__ = ["staged_cumulative_sums"]

_LONG: Final = 1024
"""How many values are added one after the other: of equal ones that costs up to 130 ULPs."""
_WIDTH: Final = 64
"""How many values a part has."""


def staged_cumulative_sums(graph: Graph) -> Graph:
    """`graph` with every long `cumulative_sum` of floats in stages."""
    return rewritten(graph, [node for node in graph.nodes if _is_long(node)], _staged)


def _is_long(node: Node) -> bool:
    if node.op != "cumulative_sum" or node.output.data_type not in FLOATS:
        return False
    count: int = node["input"].shape[node.attributes["axis"]]
    return count > _LONG


def _staged(node: Node) -> Sequence[MLOperand]:
    builder, options = Replacement(node), node.attributes
    x, shape, axis = node["input"], node["input"].shape, options["axis"]
    x = builder.cast(x, "float32")  # as the kernel computes float16 too
    x = builder.reshape(x, (prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])))
    x = _running(builder, x, exclusive=options["exclusive"], reversed=options["reversed"])
    return [builder.cast(builder.reshape(x, shape), node.output.data_type)]


def _running(builder: Replacement, x: MLOperand, *, exclusive: bool, reversed: bool) -> MLOperand:
    """The running sums of `[before, count, after]` along `count`."""
    before, count, after = x.shape
    if count <= _LONG:
        return builder.cumulative_sum(x, 1, exclusive=exclusive, reversed=reversed)
    missing = -count % _WIDTH
    if missing:
        x = builder.pad(x, [0, 0, 0], [0, missing, 0])
    parts = builder.reshape(x, (before, (count + missing) // _WIDTH, _WIDTH, after))
    whole = _running(builder, builder.reduce_sum(parts, axes=[2]), exclusive=True, reversed=reversed)
    inner = builder.cumulative_sum(parts, 2, exclusive=exclusive, reversed=reversed)
    x = builder.add(inner, builder.reshape(whole, (before, (count + missing) // _WIDTH, 1, after)))
    x = builder.reshape(x, (before, count + missing, after))
    return builder.slice(x, [0, 0, 0], [before, count, after]) if missing else x
