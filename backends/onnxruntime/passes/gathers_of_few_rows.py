"""Rows of a table that is computed from constants, such as quantized embeddings: gathered first, and computed then.

Onnxruntime computes such a table when it makes the session, and keeps it: the embeddings of MiniLM in int8, 12 MB,
become two tables of 47 MB in float32. What `dequantize_linear` makes, it computes in each run. To gather the rows of
the constants and to compute on these gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, readers, rewritten

__all__ = ["gathers_of_few_rows"]

_LARGE: Final = 1 << 18
"""Elements of a table that is worth it: smaller ones are computed beforehand, and runs need no operators for them."""
_FEWER: Final = 4
"""The table has at least so many times the elements that are gathered."""
_UNARY: Final = frozenset({"cast", "neg", "identity"})
_BINARY: Final = frozenset({"add", "sub", "mul", "div"})


def gathers_of_few_rows(graph: Graph) -> Graph:
    """`graph` with a gather of each constant that a table is computed from, in place of a gather of the table."""
    if not any(node.op == "gather" for node in graph.nodes):
        return graph
    found = readers(graph)
    gathers = [node for node in graph.nodes if node.op == "gather" and _is_computed(node, found)]
    return rewritten(graph, gathers, _rows_first)


def _is_computed(node: Node, found: dict[MLOperand, list[Node]]) -> bool:
    """Whether `node` gathers few rows of a large table of constants, each step of which nothing else reads."""
    table = node["input"]
    elements = table.descriptor.element_count
    if node.attributes["axis"] or elements < _LARGE or elements < _FEWER * node.output.descriptor.element_count:
        return False
    if table.node is None:
        return False
    steps = [table]
    while steps:
        x = steps.pop()
        if x.constant is not None:
            if x.data_type in ("int4", "uint4") or x.rank > table.rank:
                return False
            continue
        step = x.node
        if step is None or x.shape[:1] != table.shape[:1] or x.rank != table.rank or len(found.get(x, ())) != 1:
            return False
        if step.op == "dequantize_linear":
            scale = step["scale"]
            if scale.rank != table.rank or scale.shape[0] not in (1, table.shape[0]) or scale.data_type != "float32":
                return False  # blocks of several rows, or rounding to float16
        elif step.op not in _UNARY | _BINARY:
            return False
        steps += step.inputs()
    return True


def _rows_first(node: Node) -> Sequence[MLOperand]:
    b, table, indices = Replacement(node), node["input"], node["indices"]
    count, rows = indices.descriptor.element_count, table.shape[0]
    places = indices if indices.rank == 1 else b.reshape(indices, [count])

    def gathered(x: MLOperand) -> MLOperand:
        """The rows of `x`, which is broadcast to the table."""
        if x.constant is not None:
            return x if x.rank < table.rank or x.shape[0] != rows else b.gather(x, places, axis=0)
        step = x.node
        assert step is not None
        if step.op == "cast":
            return b.cast(gathered(step["input"]), x.data_type)
        if step.op == "dequantize_linear":
            rows_of = [gathered(step[name]) for name in ("input", "scale", "zero_point")]
            return b.dequantize_linear(*rows_of) if rows_of[1].descriptor.element_count > 1 else _scaled(b, *rows_of)
        result: MLOperand = getattr(b, step.op)(*(gathered(operand) for operand in step.inputs()))
        return result

    result = gathered(table)
    return [result if indices.rank == 1 else b.reshape(result, node.output.shape)]


def _scaled(b: Replacement, x: MLOperand, scale: MLOperand, zero_point: MLOperand) -> MLOperand:
    """`dequantize_linear` with one scale: onnxruntime would move it behind the `reshape`, with a wrong data type."""
    return b.mul(b.sub(b.cast(x, "float32"), b.cast(zero_point, "float32")), scale)
