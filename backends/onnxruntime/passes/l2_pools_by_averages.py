"""`l2_pool2d` as the square root of an average of squares, times how many they are.

Serves onnxruntime's kernel of `LpPool`, which is 3 to 30 times slower than that of `AveragePool`, adds up whole windows
one value after the other, and squares without a look at the range: the norm of 1e30 is infinite, that of 1e-30 is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from webnn.backends.onnxruntime.passes.rewriting import Replacement, rewritten
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.windows import sweeps

__all__ = ["l2_pools_by_averages"]

_LARGE: Final = 1e36
"""Beyond this a sum of squares may have overflown on the way."""
_SMALL: Final = 1e-26
"""Below this a sum of squares may have lost digits to underflow."""
_SHRINK: Final = 2.0**-70
_STRETCH: Final = 2.0**96
"""What the input is multiplied with where a window's sum of squares is `_LARGE` or `_SMALL`."""


def l2_pools_by_averages(graph: Graph) -> Graph:
    """`graph` with `average_pool2d` in place of every `l2_pool2d`."""
    return rewritten(graph, [node for node in graph.nodes if node.op == "l2_pool2d"], _by_averages)


def _by_averages(node: Node) -> Sequence[MLOperand]:
    builder = Replacement(node)
    x = builder.cast(node["input"], "float32")  # as the kernel computes float16 too
    counts = builder.constant(_counts(node))

    def total(factor: float) -> MLOperand:
        """The sum of the squares of each window of the input times `factor`."""
        scaled = builder.mul(x, builder.constant("float32", factor)) if factor != 1 else x
        average = builder.average_pool2d(builder.mul(scaled, scaled), **_options(node))
        return builder.mul(average, counts)

    plain = total(1)
    result = builder.sqrt(plain)
    if node.output.data_type == "float32":  # the squares of float16 are well within the range of float32
        large, small = builder.constant("float32", _LARGE), builder.constant("float32", _SMALL)
        shrunk, stretched = (
            builder.div(builder.sqrt(total(factor)), builder.constant("float32", factor))
            for factor in (_SHRINK, _STRETCH)
        )
        result = builder.where(builder.lesser(plain, small), stretched, result)
        result = builder.where(builder.greater(plain, large), shrunk, result)
    return [builder.cast(result, node.output.data_type)]


def _options(node: Node) -> dict[str, Any]:
    names = ("window_dimensions", "padding", "strides", "dilations", "layout", "output_sizes")
    return {name: node.attributes[name] for name in names}


def _counts(node: Node) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
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
