"""GELU in its approximation by the sigmoid, and SiLU, as one operator.

Serves onnxruntime's `QuickGelu`, which reads and writes the values once. Onnxruntime fuses the operators too, but not
at the level of optimisation that large models without convolutions get.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from webnn.forking import import_lock
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, number_in, readers, rewritten

__all__ = ["sigmoid_gelus"]

_SIGMOIDS: Final = frozenset({"open_sigmoid", "sigmoid"})
"""Those of files and of programs."""


def sigmoid_gelus(graph: Graph) -> Graph:
    """`graph` with a `sigmoid_gelu` for each product of float32 with the sigmoid of itself or of a multiple."""
    if all(node.op not in _SIGMOIDS for node in graph.nodes):
        return graph
    read_by = readers(graph)

    def is_gelu(node: Node) -> bool:
        found = _parts(node)
        return found is not None and len(read_by.get(found[1], ())) == 1

    return rewritten(graph, [node for node in graph.nodes if node.op == "mul" and is_gelu(node)], _gelu)


def _gelu(node: Node) -> Sequence[MLOperand] | None:
    found = _parts(node)
    if found is None:
        return None
    with import_lock:  # here, since most models have no such product
        from webnn.graph.composites.sigmoid_gelu import gated_by_sigmoid  # noqa: PLC0415

    return [gated_by_sigmoid(Replacement(node, composites=("sigmoid_gelu",)), found[0], alpha=found[2])]


def _parts(node: Node) -> tuple[MLOperand, MLOperand, float] | None:
    """The factor, its sigmoid, and what it was multiplied by before."""
    if node.output.data_type != "float32":
        return None
    for x, gate in ((node["a"], node["b"]), (node["b"], node["a"])):
        if gate.node is None or gate.node.op not in _SIGMOIDS or gate.shape != x.shape:
            continue
        inner, alpha = _unscaled(gate.node["input"])
        if gate.node["input"] is x:
            return x, gate, 1.0
        if inner is x:
            return x, gate, alpha
    return None


def _unscaled(operand: MLOperand) -> tuple[MLOperand, float]:
    node = operand.node
    if node is not None and node.op == "linear" and node.attributes["beta"] == 0:
        return node["input"], float(node.attributes["alpha"])
    if node is not None and node.op == "mul":
        for x, other in ((node["a"], node["b"]), (node["b"], node["a"])):
            if (number := number_in(other)) is not None:
                return x, number
    return operand, 1.0
