"""A random node for each operator of random ONNX models, with attributes in their legal ranges.

What is drawn may be illegal now and then, such as an attribute of a later opset: onnxruntime refuses such a node.
"""

from __future__ import annotations

from tests.property.onnx_models import Models
from tests.property.onnx_nodes import classical, contributed, elements, movement, others, products, reductions
from tests.property.onnx_nodes.table import NODES

__all__ = ["NODES", "any_node", "classical", "contributed", "elements", "movement", "others", "products", "reductions"]


def any_node(models: Models) -> bool:
    """Add a node of any type; False if onnxruntime refuses it."""
    return NODES[models.one_of(*NODES)](models)
