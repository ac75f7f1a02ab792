"""Functions of single elements that ONNX has and WebNN does not."""

from __future__ import annotations

from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.graph.composites.functions import applied

__all__: list[str] = []


@imports("Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cosh", "Sinh")
def function(node: OnnxNode) -> Imported:
    """Trigonometric and hyperbolic functions."""
    return applied(node.builder, node.op_type.lower(), node.operand(0))


@imports("Celu")
def celu(node: OnnxNode) -> Imported:
    """`alpha * elu(x / alpha)`, whose slope at zero is 1 for every alpha."""
    return applied(node.builder, "celu", node.operand(0), alpha=node.get_float("alpha", 1.0))


@imports("Selu")
def selu(node: OnnxNode) -> Imported:
    """Scaled `elu`."""
    alpha = node.get_float("alpha", 1.67326319217681884765625)
    gamma = node.get_float("gamma", 1.05070102214813232421875)
    return applied(node.builder, "selu", node.operand(0), alpha=alpha, gamma=gamma)


@imports("Shrink")
def shrink(node: OnnxNode) -> Imported:
    """`x` moved toward zero by `bias`; 0 where `x` lies within `lambd` of zero."""
    bias, lambd = node.get_float("bias", 0.0), node.get_float("lambd", 0.5)
    return applied(node.builder, "shrink", node.operand(0), bias=bias, lambd=lambd)


@imports("ThresholdedRelu")
def thresholded_relu(node: OnnxNode) -> Imported:
    """`x` where it is above alpha, else 0."""
    return applied(node.builder, "thresholded_relu", node.operand(0), alpha=node.get_float("alpha", 1.0))
