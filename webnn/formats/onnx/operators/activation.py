"""Activation functions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from webnn.forking import import_lock
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.graph.dtypes import SIGNED
from webnn.graph.operand import MLOperand

__all__: list[str] = []

_UNARY: Final[Mapping[str, str]] = {
    "HardSwish": "hard_swish",
    "Softplus": "softplus",
    "Softsign": "softsign",
}


@imports(*_UNARY)
def unary(node: OnnxNode) -> Imported:
    """Activations without parameters that WebNN has too."""
    return node.call(_UNARY[node.op_type], operands=1)


@imports("Sigmoid")
def sigmoid(node: OnnxNode) -> Imported:
    """`1 / (1 + exp(-x))`."""
    with import_lock:  # here, since many models have no composites
        from webnn.graph.composites.open_cases import computed_alone  # noqa: PLC0415

    return computed_alone(node.builder, node.builder.sigmoid(node.operand(0)))


@imports("Relu")
def relu(node: OnnxNode) -> Imported:
    """`max(x, 0)`. Unsigned integers stay as they are."""
    x = node.operand(0)
    return node.builder.relu(x) if x.data_type in SIGNED else node.builder.identity(x)


@imports("Elu")
def elu(node: OnnxNode) -> Imported:
    """`alpha * (exp(x) - 1)` below zero."""
    return node.builder.elu(node.operand(0), alpha=node.get_float("alpha", 1.0))


@imports("LeakyRelu")
def leaky_relu(node: OnnxNode) -> Imported:
    """`alpha * x` below zero."""
    return node.builder.leaky_relu(node.operand(0), alpha=node.get_float("alpha", 0.01))


@imports("PRelu")
def prelu(node: OnnxNode) -> Imported:
    """`slope * x` below zero, with a slope for each element or channel."""
    b = node.builder
    x, slope = node.operand(0), node.operand(1)
    if x.data_type not in SIGNED:
        return b.identity(x)
    if node.version < 7 and len(slope.shape) == 1:  # one for each channel, where newer versions broadcast
        slope = b.reshape(slope, [*slope.shape, *[1] * (len(x.shape) - 2)])
    return b.prelu(x, slope)


@imports("HardSigmoid")
def hard_sigmoid(node: OnnxNode) -> Imported:
    """`alpha * x + beta`, clamped to 0 and 1."""
    alpha, beta = node.get_float("alpha", 0.2), node.get_float("beta", 0.5)
    return node.builder.hard_sigmoid(node.operand(0), alpha=alpha, beta=beta)


@imports("Mish")
def mish(node: OnnxNode) -> Imported:
    """`x * tanh(softplus(x))`."""
    b = node.builder
    x = node.operand(0)
    return b.mul(x, b.tanh(b.softplus(x)))


@imports("Swish")
def swish(node: OnnxNode) -> Imported:
    """`x * sigmoid(alpha * x)`."""
    b = node.builder
    x = node.operand(0)
    alpha = node.get_float("alpha", 1.0)
    return b.mul(x, b.sigmoid(x if alpha == 1 else b.linear(x, alpha=alpha)))


@imports("Gelu")
def gelu(node: OnnxNode) -> Imported:
    """WebNN's gelu, or the tanh approximation, written in a form that ONNX Runtime fuses."""
    b = node.builder
    x = node.operand(0)
    if node.get_string("approximate", "none") != "tanh":
        return b.gelu(x)
    one = node.scalar(x, 1)
    stretch = b.add(b.mul(b.mul(x, node.scalar(x, 0.044715)), x), one)
    slope = b.tanh(b.mul(b.mul(x, node.scalar(x, math.sqrt(2 / math.pi))), stretch))
    return b.mul(b.mul(x, node.scalar(x, 0.5)), b.add(slope, one))


def _over_one_axis(node: OnnxNode, x: MLOperand) -> tuple[MLOperand, int]:
    """The operand and the axis that Softmax, LogSoftmax and Hardmax normalize over.

    Before version 13 they normalize over all axes from `axis` on; the operand comes back with these flattened.
    """
    if node.version >= 13:
        return x, node.axis(node.get_int("axis", -1), x.rank)
    axis = node.get_int("axis", 1)
    axis = axis if axis == x.rank else node.axis(axis, x.rank)
    if axis == x.rank - 1:
        return x, axis
    return node.builder.reshape(x, [math.prod(x.shape[:axis]), math.prod(x.shape[axis:])]), 1


@imports("Softmax", "LogSoftmax", "Hardmax")
def softmax(node: OnnxNode) -> Imported:
    """Softmax, its logarithm, or 1 for the first of the largest elements and 0 for the others."""
    b = node.builder
    x = node.operand(0)
    flat, axis = _over_one_axis(node, x)
    if node.op_type == "Softmax":
        result = b.softmax(flat, axis)
    else:
        with import_lock:  # here, since most models have neither
            from webnn.graph.composites.functions import applied  # noqa: PLC0415

        result = applied(b, "log_softmax" if node.op_type == "LogSoftmax" else "hardmax", flat, axis=axis)
    return result if flat.shape == x.shape else b.reshape(result, x.shape)
