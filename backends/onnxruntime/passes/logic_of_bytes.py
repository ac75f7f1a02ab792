"""Logic of truth values that are bytes, such as the masks that a model is given, without making all of them bool.

Serves onnxruntime, whose kernels of `And`, `Or` and `Not` take bool alone. A cast takes two thirds of their time, and a
minimum of bytes as long as they do. What a comparison or other logic has made is bool already, and is left alone.
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
_MOVING: Final = frozenset(
    {"concat", "expand", "gather", "gather_elements", "gather_nd", "identity", "reshape", "slice", "split", "tile"}
    | {"transpose"}
)
_MANY: Final = 4096
"""Fewer bytes are cast in less time than the overhead of an operator."""


def logic_of_bytes(graph: Graph) -> Graph:
    """`graph` with minima and maxima for logic of many bytes."""
    chosen: dict[Node, None] = {}
    bytes_of: dict[MLOperand, MLOperand] = {}
    """The bytes, of which any number but 0 is true, behind what replaces each conjunction and disjunction."""

    def is_bytes(operand: MLOperand) -> bool:
        node = operand.node
        return (node in chosen and node.op != "logical_not") or not _is_bool(operand)

    def of_bytes(node: Node) -> Sequence[MLOperand]:
        builder = Replacement(node)
        zero = builder.constant("uint8", 0)
        given = [bytes_of.get(operand, operand) for operand in node.inputs()]
        if node.op == "logical_not":
            return [builder.equal(given[0], zero)]
        combined = (builder.min if node.op == "logical_and" else builder.max)(*given)
        result = builder.not_equal(combined, zero)
        bytes_of[result] = combined
        return [result]

    for node in graph.nodes:
        if node.op in _OPS and node.output.descriptor.element_count >= _MANY and all(map(is_bytes, node.inputs())):
            chosen[node] = None
    return rewritten(graph, list(chosen), of_bytes)


def _is_bool(operand: MLOperand) -> bool:
    """Whether `operand` is bool in the model, or a constant, which is made bool before the first run."""
    node = operand.node
    if node is None:
        return operand.constant is not None
    return node.op in _MADE_AS_BOOL or (node.op in _MOVING and all(map(_is_bool, _moved(node))))


def _moved(node: Node) -> Sequence[MLOperand]:
    return tuple(node.inputs())[: None if node.op == "concat" else 1]
