"""Control flow, as far as it can be decided when the graph is built."""

from __future__ import annotations

from onnx import AttributeProto

from webnn.errors import DataError
from webnn.formats.onnx.table import Imported, imports
from webnn.formats.onnx.values import OnnxNode, UnsupportedNodeError

__all__: list[str] = []


@imports("If")
def branch(node: OnnxNode) -> Imported:
    """The branch that a known condition chooses."""
    condition = node.known(0)
    if condition is None:
        raise UnsupportedNodeError(
            "the condition is computed when the model runs, and a WebNN graph has no branches",
            "give the inputs it depends on as constants={...}, or compute both branches and use Where",
        )
    if condition.size != 1:
        raise DataError(f"the condition must be one value, is of shape {list(condition.shape)}")
    name = "then_branch" if condition.reshape(()) else "else_branch"
    attribute = node.attributes.get(name)
    if attribute is None or attribute.type != AttributeProto.GRAPH:
        raise DataError(f"attribute {name} is missing or no graph")
    return node.importer.run_graph(attribute.g)
