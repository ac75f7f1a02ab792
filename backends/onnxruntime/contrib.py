"""Lowerings to onnxruntime's own operators, of its domain `com.microsoft`. Its passes make the nodes."""

from __future__ import annotations

from typing import Final

from webnn.backends.onnx.lowerings import lowerings
from webnn.backends.onnx.model import Model
from webnn.graph.ir import Node

__all__ = ["DOMAIN"]

DOMAIN: Final = "com.microsoft"


@lowerings.lowers("multi_head_attention")
def multi_head_attention(node: Node, model: Model) -> None:
    """One `MultiHeadAttention`, which goes through the keys in blocks."""
    inputs = [model[node[name]] for name in ("query", "key", "value")]
    heads, scale = node.attributes["heads"], node.attributes["scale"]
    model.emit("MultiHeadAttention", inputs, to=node.output, domain=DOMAIN, num_heads=heads, scale=scale)
