"""Long running sums of floats, in stages: those of short parts, to which the running sums of whole parts are added.

Serves onnxruntime's kernel of `CumSum`, which adds float32 in float32, one value after the other: a running sum of ones
ends at 2**24.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Final

from webnn.graph.dtypes import FLOATS
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, rewritten

__all__ = ["staged_cumulative_sums"]

_LONG: Final = 512
"""How many values may be added one after the other. Of equal ones that costs up to a third as many ULPs."""
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
    sizes = (prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :]))
    x = _running(builder, x, sizes, exclusive=options["exclusive"], reversed=options["reversed"])
    return [builder.cast(builder.reshape(x, shape), node.output.data_type)]


def _running(
    builder: Replacement, x: MLOperand, sizes: tuple[int, int, int], *, exclusive: bool, reversed: bool
) -> MLOperand:
    """The running sums along `count` of `x`, which is taken for `[before, count, after]`."""
    before, count, after = sizes
    # The kernels of sums are slow where the axis is followed by another one of size 1.
    tail = (after,) if after > 1 else ()
    x = builder.reshape(x, (before, count, *tail))
    if count <= _LONG:
        return builder.cumulative_sum(x, 1, exclusive=exclusive, reversed=reversed)
    missing = -count % _WIDTH
    if missing:
        nothing = [0] * (2 + len(tail))
        x = builder.pad(x, nothing, [0, missing, *nothing[2:]])
    parts = (count + missing) // _WIDTH
    x = builder.reshape(x, (before * parts, _WIDTH, *tail))
    inner = builder.cumulative_sum(x, 1, exclusive=exclusive, reversed=reversed)
    sums = builder.reduce_sum(x, axes=[1])
    whole = _running(builder, sums, (before, parts, after), exclusive=True, reversed=reversed)
    x = builder.add(inner, builder.reshape(whole, (before * parts, 1, *tail)))
    x = builder.reshape(x, (before, count + missing, *tail))
    return builder.slice(x, [0] * (2 + len(tail)), [before, count, *tail]) if missing else x
