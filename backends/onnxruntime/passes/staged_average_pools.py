"""Averages of large windows, in stages: along the width, then along the height.

Serves onnxruntime's kernels of `AveragePool` and `GlobalAveragePool`, which add up a window in float32, one value after
the other. In stages each value goes through fewer additions, and large windows take less time. Those of whole planes
between quantized numbers stay as they are: onnxruntime has a kernel that adds up the integers, which is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Final

from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, readers, rewritten
from webnn.graph.windows import sweeps

__all__ = ["staged_average_pools"]

_LARGE: Final = 512
"""How many values may be added one after the other. Of equal ones that costs up to a third as many ULPs."""


def staged_average_pools(graph: Graph) -> Graph:
    """`graph` with two `average_pool2d`, or a `reduce_mean` of the whole plane, for every one with a large window."""
    pools = [node for node in graph.nodes if node.op == "average_pool2d"]
    dequantized = [node for node in pools if (made_by := node["input"].node) and made_by.op == "dequantize_linear"]
    read_by = readers(graph) if dequantized else {}
    quantized = {
        node for node in dequantized if any(each.op == "quantize_linear" for each in read_by.get(node.output, ()))
    }
    return rewritten(graph, pools, lambda node: _staged(node, quantized=node in quantized))


def _staged(node: Node, *, quantized: bool) -> Sequence[MLOperand] | None:
    builder, options = Replacement(node), node.attributes
    axes = [options["layout"].index(letter) for letter in "hw"]
    inputs = [node["input"].shape[axis] for axis in axes]
    both = sweeps(inputs, options["window_dimensions"], options["padding"], options["strides"], options["dilations"])
    largest = [max(sweep.counts(size)) for sweep, size in zip(both, options["output_sizes"], strict=True)]
    is_of_plane = largest == inputs and options["output_sizes"] == (1, 1)
    if prod(largest) <= _LARGE or (is_of_plane and quantized):
        return None
    x = builder.cast(node["input"], "float32")  # as the kernels compute float16 too
    if is_of_plane:
        x = builder.reduce_mean(x, axes=axes, keep_dimensions=True)
    elif 1 in options["window_dimensions"]:
        return None
    else:
        # The values of a window that are not padding are whole rows of equal length: their mean is that of the means.
        for side in (1, 0):
            x = builder.average_pool2d(x, **_along(node, side, x.shape[axes[1 - side]]))
    return [builder.cast(x, node.output.data_type)]


def _along(node: Node, side: int, other_size: int) -> dict[str, Any]:
    """The options for windows of the same height, or width if `side` is 1, and of one value in the other direction."""

    def alone(values: Sequence[Any], other: Any) -> list[Any]:
        return [value if i == side else other for i, value in enumerate(values)]

    options = node.attributes
    top, bottom, left, right = options["padding"]
    vertical, horizontal = alone([(top, bottom), (left, right)], (0, 0))
    return {
        "window_dimensions": alone(options["window_dimensions"], 1),
        "padding": [*vertical, *horizontal],
        "strides": alone(options["strides"], 1),
        "dilations": alone(options["dilations"], 1),
        "layout": options["layout"],
        "output_sizes": alone(options["output_sizes"], other_size),
    }
