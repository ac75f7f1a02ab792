"""Composites instead of the operators that they are expanded to, as in `.webnn` files and in calls of the builder.

Serves onnxruntime's kernels of `TopK`, `ScatterElements`, `ScatterND`, `DynamicQuantizeLinear`, `MatMulInteger` and
`LogSoftmax`, for which WebNN has no operators.
"""

from __future__ import annotations

from typing import Final

from webnn.forking import import_lock
from webnn.graph.ir import Graph, Node

__all__ = ["recognized_composites"]

_SIGNS: Final = frozenset({"equal", "logical_or", "quantize_linear", "reduce_log_sum_exp", "scatter_elements"})
"""Every expansion has one of these, or makes floats of small integers."""


def recognized_composites(graph: Graph) -> Graph:
    """`graph` with a composite for each of its expansions."""
    if not any(map(_is_sign, graph.nodes)):
        return graph
    with import_lock:  # here, since most graphs have no expansion
        from webnn.backends.onnxruntime.expansions import with_composites  # noqa: PLC0415

    return with_composites(graph)


def _is_sign(node: Node) -> bool:
    return node.op in _SIGNS or (node.op == "cast" and node["input"].data_type in ("int8", "uint8"))
