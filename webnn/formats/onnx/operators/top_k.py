"""TopK, which WebNN lacks: a composite."""

from __future__ import annotations

from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.graph.composites.top_k import largest_or_smallest

__all__: list[str] = []


@imports("TopK")
def top_k(node: OnnxNode) -> Imported:
    """The k largest or smallest elements and their indices; of equal ones the first."""
    x = node.operand(0)
    k = int(node.number(1, "k")) if node.version >= 10 else node.get_int("k")
    axis = node.axis(node.get_int("axis", -1), x.rank)
    if not 1 <= k <= x.shape[axis]:
        raise DataError(f"k must be 1 to {x.shape[axis]}, got {k}")
    return largest_or_smallest(node.builder, x, k=k, axis=axis, largest=bool(node.get_int("largest", 1)))
