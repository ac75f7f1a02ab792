"""`sigmoid` written out, `1 / (exp(-x) + 1)`, where its last digits matter.

Serves onnxruntime's CPU kernel of `Sigmoid`, which is only good to 1e-7: of results near 0 that leaves few digits or
none. A factor, as in gates and in `x * sigmoid(x)`, or a value that is quantized next does not ask for them. There it
stays one node, which onnxruntime fuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from webnn.backends.onnxruntime.last_digits import PRODUCTS, is_forgiven
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, readers, rewritten

__all__ = ["exact_sigmoid"]

_FORGIVING: Final = PRODUCTS | {"mul"}
"""Operators that do not ask for the last digits of a `sigmoid` near 0."""


def exact_sigmoid(graph: Graph) -> Graph:
    """`graph` with every `sigmoid` written out of which some reader, or the caller, may ask for the last digits."""
    sigmoids = [node for node in graph.nodes if node.op == "sigmoid"]
    if not sigmoids:
        return graph
    read_by = readers(graph)
    return rewritten(graph, [node for node in sigmoids if not is_forgiven(node, read_by, _FORGIVING)], _written_out)


def _written_out(node: Node) -> Sequence[MLOperand]:
    builder = Replacement(node)
    power = builder.exp(builder.neg(builder.cast(node["input"], "float32")))
    result = builder.reciprocal(builder.add(power, builder.constant("float32", 1)))
    return [builder.cast(result, node.output.data_type)]
