"""Casts that add no operator if the type is right already."""

from __future__ import annotations

from webnn.formats.onnx.importing.node import OnnxNode
from webnn.graph.operand import MLOperand

__all__ = ["cast_like", "in_float32"]


def in_float32(node: OnnxNode, x: MLOperand) -> MLOperand:
    """`x`, cast if it is not float32 already."""
    return x if x.data_type == "float32" else node.builder.cast(x, "float32")


def cast_like(node: OnnxNode, x: MLOperand, like: MLOperand) -> MLOperand:
    """`x` in the type of `like`."""
    return x if x.data_type == like.data_type else node.builder.cast(x, like.data_type)
