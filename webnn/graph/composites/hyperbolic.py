"""Hyperbolic functions and their inverses, without overflow and without loss of digits near 0.

They are computed in float32. The obvious formulas, such as `(exp(x) - exp(-x)) / 2`, have no digits left for small
numbers, and overflow where the result does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from webnn.graph.composites.composite import Builder, composite
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__: list[str] = []

_LARGE: Final = 1e9
"""From here on `sqrt(x * x + 1)` is `x`, and the inverse functions are `log(2 * x)`."""


@composite
def cosh(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Half of `exp(x) + exp(-x)`, from the exponential of `x / 2`, which does not overflow before the result."""
    x = _in(b, node["input"], "float32")
    up, down = _halves(b, x)
    return [_in(b, b.add(up, down), node.output.data_type)]


@composite
def sinh(b: Builder, node: Node) -> Sequence[MLOperand]:
    """`2 * t / (1 - t * t)` with `t = tanh(x / 2)` below 1, and half of `exp(x) - exp(-x)` beyond."""
    x = _in(b, node["input"], "float32")
    t = b.tanh(b.mul(x, _number(b, 0.5)))
    near = b.div(b.add(t, t), b.sub(_number(b, 1), b.mul(t, t)))
    up, down = _halves(b, x)
    far = b.mul(b.sign(x), b.sub(up, down))
    return [_in(b, b.where(b.lesser(b.abs(x), _number(b, 1)), near, far), node.output.data_type)]


@composite
def asinh(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The logarithm of `x + sqrt(x * x + 1)` for the magnitude of `x`, with its sign."""
    x = _in(b, node["input"], "float32")
    size, one = b.abs(x), _number(b, 1)
    square = b.mul(size, size)
    beyond_one = b.add(size, b.div(square, b.add(one, b.sqrt(b.add(one, square)))))
    return [_in(b, b.mul(b.sign(x), _unless_large(b, size, _log1p(b, beyond_one))), node.output.data_type)]


@composite
def acosh(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The logarithm of `x + sqrt(x * x - 1)`, by how much `x` is larger than 1."""
    x = _in(b, node["input"], "float32")
    more = b.sub(x, _number(b, 1))
    # Two roots: that of the product is a number below -1, too.
    beyond_one = b.add(more, b.mul(b.sqrt(more), b.sqrt(b.add(more, _number(b, 2)))))
    return [_in(b, _unless_large(b, x, _log1p(b, beyond_one)), node.output.data_type)]


@composite
def atanh(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Half of the logarithm of `(1 + x) / (1 - x)` for the magnitude of `x`, with its sign."""
    x = _in(b, node["input"], "float32")
    size = b.abs(x)
    beyond_one = b.div(b.add(size, size), b.sub(_number(b, 1), size))
    half = b.mul(b.sign(x), _number(b, 0.5))
    return [_in(b, b.mul(half, _log1p(b, beyond_one)), node.output.data_type)]


def _in(b: Builder, x: MLOperand, data_type: DataType) -> MLOperand:
    return x if x.data_type == data_type else b.cast(x, data_type)


def _number(b: Builder, value: float) -> MLOperand:
    return b.constant("float32", value)


def _halves(b: Builder, x: MLOperand) -> tuple[MLOperand, MLOperand]:
    """Half of `exp(abs(x))`, and half of `exp(-abs(x))`."""
    half = _number(b, 0.5)
    root = b.exp(b.mul(b.abs(x), half))
    return b.mul(b.mul(half, root), root), b.div(b.div(half, root), root)


def _log1p(b: Builder, x: MLOperand) -> MLOperand:
    """`log(1 + x)` of positive numbers. The logarithm is corrected for what `1 + x` has lost of a small `x`."""
    one = _number(b, 1)
    whole = b.add(one, x)
    kept = b.sub(whole, one)
    corrected = b.mul(b.log(whole), b.div(x, kept))
    near = b.where(b.equal(kept, _number(b, 0)), x, corrected)
    return b.where(b.lesser(whole, _number(b, 2)), near, b.log(whole))


def _unless_large(b: Builder, x: MLOperand, result: MLOperand) -> MLOperand:
    large = b.add(b.log(x), _number(b, math.log(2)))
    return b.where(b.greater(x, _number(b, _LARGE)), large, result)
