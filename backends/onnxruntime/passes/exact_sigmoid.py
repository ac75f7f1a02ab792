"""`sigmoid` written out, `1 / (exp(-x) + 1)`, where its last digits matter.

Serves onnxruntime's CPU kernel of `Sigmoid`, which is only good to 1e-7: of results near 0 that leaves few digits or
none. A factor, as in gates and in `x * sigmoid(x)`, or a value that is quantized next does not ask for them. There it
stays one node, which onnxruntime fuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, readers, rewritten

__all__ = ["exact_sigmoid"]

_FORGIVING: Final = frozenset({"conv2d", "gemm", "matmul", "mul", "quantize_linear"})
"""Operators that do not ask for the last digits of a `sigmoid` near 0."""
_PASSING: Final = frozenset({"concat", "expand", "reshape", "resample2d", "slice", "split", "tile", "transpose"})
"""Operators that ask for them only if their own readers do."""
_FAR: Final = 16
"""How many operands are followed to their readers before the answer is taken to be yes."""


def exact_sigmoid(graph: Graph) -> Graph:
    """`graph` with every `sigmoid` written out of which some reader, or the caller, may ask for the last digits."""
    sigmoids = [node for node in graph.nodes if node.op == "sigmoid"]
    if not sigmoids:
        return graph
    read_by = readers(graph)
    return rewritten(graph, [node for node in sigmoids if not _is_forgiven(node, read_by)], _written_out)


def _written_out(node: Node) -> Sequence[MLOperand]:
    builder = Replacement(node)
    power = builder.exp(builder.neg(builder.cast(node["input"], "float32")))
    result = builder.reciprocal(builder.add(power, builder.constant("float32", 1)))
    return [builder.cast(result, node.output.data_type)]


def _is_forgiven(node: Node, read_by: Mapping[MLOperand, Sequence[Node]]) -> bool:
    """Whether no reader of the output of `node`, however it is moved, asks for its last digits."""
    ahead = [node.output]
    for _ in range(_FAR):
        if not ahead:
            return True
        nodes = read_by.get(ahead.pop(), ())
        if not nodes or not all(reader.op in _FORGIVING or reader.op in _PASSING for reader in nodes):
            return False
        ahead += [output for reader in nodes if reader.op in _PASSING for output in reader.outputs]
    return False
