"""Logic of truth values that are bytes, such as the masks that a model is given, without making them bool and back.

Serves onnxruntime, whose kernels of `And`, `Or` and `Not` take bool alone. A cast takes half as long as these, and
a minimum of bytes little longer. What a comparison or other logic has made is bool already, and is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, rewritten

__all__ = ["logic_of_bytes"]

_OPS: Final = frozenset({"logical_and", "logical_not", "logical_or"})
_MADE_AS_BOOL: Final = frozenset(
    {"equal", "greater", "greater_or_equal", "is_infinite", "is_nan", "lesser", "lesser_or_equal", "not_equal"}
    | {"logical_and", "logical_not", "logical_or", "logical_xor"}
)
_MANY: Final = 4096
"""Fewer bytes are cast in less time than the overhead of an operator."""


def logic_of_bytes(graph: Graph) -> Graph:
    """`graph` with minima and maxima for logic of many bytes."""
    chosen: dict[Node, None] = {}
    for node in graph.nodes:
        if node.op in _OPS and node.output.descriptor.element_count >= _MANY:
            before = [operand.node for operand in node.inputs()]
            if all(each is None or each.op not in _MADE_AS_BOOL or each in chosen for each in before):
                chosen[node] = None
    return rewritten(graph, list(chosen), _of_bytes)


def _of_bytes(node: Node) -> Sequence[MLOperand]:
    builder = Replacement(node)
    if node.op == "logical_not":
        return [builder.equal(node["a"], builder.constant("uint8", 0))]
    one = builder.constant("uint8", 1)
    combined = builder.min if node.op == "logical_and" else builder.max
    return [builder.min(combined(node["a"], node["b"]), one)]
