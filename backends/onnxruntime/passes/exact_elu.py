"""`elu` from the hyperbolic tangent, without cancellation near 0.

Serves onnxruntime's kernel of `Elu`, which computes `exp(x) - 1`: of -1e-5 that leaves two digits, of -1e-8 none. With
`t = tanh(x / 2)` it is `2 * t / (1 - t)`, which takes no more time for many values, but seven times as long for few.
A product that reads the values adds up many others, so it does not ask for these digits. Before one, `elu` stays one
node.
"""

from __future__ import annotations

from collections.abc import Sequence

from webnn.backends.onnxruntime.last_digits import PRODUCTS, is_forgiven
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, readers, rewritten

__all__ = ["exact_elu"]


def exact_elu(graph: Graph) -> Graph:
    """`graph` with every `elu` of float32 written out, except for those that only products read."""
    elus = [node for node in graph.nodes if _applies(node)]
    read_by = readers(graph) if elus else {}
    return rewritten(graph, [node for node in elus if not is_forgiven(node, read_by, PRODUCTS)], _written_out)


def _applies(node: Node) -> bool:
    # Of float16 the error is about the last bit of the result.
    return node.op == "elu" and node.output.data_type == "float32"


def _written_out(node: Node) -> Sequence[MLOperand]:
    builder, x = Replacement(node), node["input"]
    zero, half, one, twice = (
        builder.constant("float32", value) for value in (0.0, 0.5, 1.0, 2 * node.attributes["alpha"])
    )
    tangent = builder.tanh(builder.mul(builder.min(x, zero), half))
    below = builder.div(builder.mul(tangent, twice), builder.sub(one, tangent))
    return [builder.add(builder.max(x, zero), below)]
