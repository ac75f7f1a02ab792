"""Hyperbolic functions and their inverses, without overflow and without loss of digits near 0.

They are computed in float32. The obvious formulas, such as `(exp(x) - exp(-x)) / 2`, have no digits left for small
numbers, and overflow where the result does not.
"""

from __future__ import annotations

import math
from typing import Final

from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.patterns.precision import cast_like, in_float32
from webnn.graph.operand import MLOperand

__all__: list[str] = []

_LARGE: Final = 1e9
"""From here on `sqrt(x * x + 1)` is `x`, and the inverse functions are `log(2 * x)`."""


@imports("Cosh")
def cosh(node: OnnxNode) -> Imported:
    """Half of `exp(x) + exp(-x)`, from the exponential of `x / 2`, which does not overflow before the result."""
    x = in_float32(node, node.operand(0))
    up, down = _halves(node, x)
    return cast_like(node, node.builder.add(up, down), node.operand(0))


@imports("Sinh")
def sinh(node: OnnxNode) -> Imported:
    """`2 * t / (1 - t * t)` with `t = tanh(x / 2)` below 1, and half of `exp(x) - exp(-x)` beyond."""
    b = node.builder
    x = in_float32(node, node.operand(0))
    t = b.tanh(b.mul(x, node.scalar(x, 0.5)))
    near = b.div(b.add(t, t), b.sub(node.scalar(x, 1), b.mul(t, t)))
    up, down = _halves(node, x)
    far = b.mul(b.sign(x), b.sub(up, down))
    return cast_like(node, b.where(b.lesser(b.abs(x), node.scalar(x, 1)), near, far), node.operand(0))


@imports("Asinh")
def asinh(node: OnnxNode) -> Imported:
    """The logarithm of `x + sqrt(x * x + 1)` for the magnitude of `x`, with its sign."""
    b = node.builder
    x = in_float32(node, node.operand(0))
    size, one = b.abs(x), node.scalar(x, 1)
    square = b.mul(size, size)
    beyond_one = b.add(size, b.div(square, b.add(one, b.sqrt(b.add(one, square)))))
    return cast_like(node, b.mul(b.sign(x), _unless_large(node, size, _log1p(node, beyond_one))), node.operand(0))


@imports("Acosh")
def acosh(node: OnnxNode) -> Imported:
    """The logarithm of `x + sqrt(x * x - 1)`, by how much `x` is larger than 1."""
    b = node.builder
    x = in_float32(node, node.operand(0))
    more = b.sub(x, node.scalar(x, 1))
    beyond_one = b.add(more, b.sqrt(b.mul(more, b.add(more, node.scalar(x, 2)))))
    return cast_like(node, _unless_large(node, x, _log1p(node, beyond_one)), node.operand(0))


@imports("Atanh")
def atanh(node: OnnxNode) -> Imported:
    """Half of the logarithm of `(1 + x) / (1 - x)` for the magnitude of `x`, with its sign."""
    b = node.builder
    x = in_float32(node, node.operand(0))
    size = b.abs(x)
    beyond_one = b.div(b.add(size, size), b.sub(node.scalar(x, 1), size))
    half = b.mul(b.sign(x), node.scalar(x, 0.5))
    return cast_like(node, b.mul(half, _log1p(node, beyond_one)), node.operand(0))


def _halves(node: OnnxNode, x: MLOperand) -> tuple[MLOperand, MLOperand]:
    """Half of `exp(abs(x))`, and half of `exp(-abs(x))`."""
    b = node.builder
    half = node.scalar(x, 0.5)
    root = b.exp(b.mul(b.abs(x), half))
    return b.mul(b.mul(half, root), root), b.div(b.div(half, root), root)


def _log1p(node: OnnxNode, x: MLOperand) -> MLOperand:
    """`log(1 + x)` of positive numbers. The logarithm is corrected for what `1 + x` has lost of a small `x`."""
    b = node.builder
    one = node.scalar(x, 1)
    whole = b.add(one, x)
    kept = b.sub(whole, one)
    corrected = b.mul(b.log(whole), b.div(x, kept))
    near = b.where(b.equal(kept, node.scalar(x, 0)), x, corrected)
    return b.where(b.lesser(whole, node.scalar(x, 2)), near, b.log(whole))


def _unless_large(node: OnnxNode, x: MLOperand, result: MLOperand) -> MLOperand:
    b = node.builder
    large = b.add(b.log(x), node.scalar(x, math.log(2)))
    return b.where(b.greater(x, node.scalar(x, _LARGE)), large, result)
