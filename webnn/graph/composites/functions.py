"""Functions that ONNX has and WebNN does not, of single elements and along one axis.

Written in WebNN's operators they are exact, but take three to thirty passes over the values. Hyperbolic functions and
their inverses are computed in float32. The obvious formulas, such as `(exp(x) - exp(-x)) / 2`, have no digits left for
small numbers, and overflow where the result does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from webnn.errors import ValidationError
from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.dtypes import FLOATS, DataType
from webnn.graph.ir import Attribute, Node
from webnn.graph.operand import MLOperand

__all__ = ["applied"]

_ARC: Final = (8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1)
"""The coefficients of the Cephes library's polynomial, exact to 24 bits up to tan(pi / 8)."""
_LARGE: Final = 1e9
"""From here on `sqrt(x * x + 1)` is `x`, and the inverse functions are `log(2 * x)`."""


def applied(b: Builder, name: str, x: MLOperand, **options: Attribute) -> MLOperand:
    """The function `name` of `x`, one of the composites here, with ONNX's options: all that it has.

    Raises:
        ValidationError: `x` is of integers, for which ONNX defines only `shrink`.
    """
    if x.data_type not in FLOATS and name != "shrink":
        raise ValidationError(
            f"{name}: input is {x.data_type}, but must be {' or '.join(FLOATS)};"
            " convert it: builder.cast(input, 'float32')"
        )
    return compose(b, name, {"input": x}, [x.descriptor], **options)[0]


@composite
def log_softmax(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The logarithm of a softmax would be minus infinity where that underflows."""
    x, axis = node["input"], node.attributes["axis"]
    shifted = b.sub(x, b.reduce_max(x, axes=[axis], keep_dimensions=True))
    return [b.sub(shifted, b.reduce_log_sum_exp(shifted, axes=[axis], keep_dimensions=True))]


@composite
def hardmax(b: Builder, node: Node) -> Sequence[MLOperand]:
    """1 for the first of the largest elements, and 0 for the others."""
    x, axis = node["input"], node.attributes["axis"]
    largest = b.arg_max(x, axis, keep_dimensions=True, output_data_type="int32")
    places = np.arange(x.shape[axis], dtype=np.int32)
    sizes = [size if i == axis else 1 for i, size in enumerate(x.shape)]
    return [b.cast(b.equal(b.constant(places.reshape(sizes)), largest), x.data_type)]


@composite
def celu(b: Builder, node: Node) -> Sequence[MLOperand]:
    """`max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)`, whose slope at zero is 1 for every alpha."""
    x = node["input"]
    alpha = b.constant(x.data_type, node.attributes["alpha"])
    steps = b.div(x, alpha)
    if node.attributes["alpha"] >= 0:
        return [b.mul(b.elu(steps), alpha)]
    below = b.neg(b.mul(b.elu(b.neg(steps)), b.exp(steps)))  # exp(steps) - 1 without cancellation
    return [b.where(b.greater(x, b.constant(x.data_type, 0)), x, b.mul(below, alpha))]


@composite
def selu(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Scaled `elu`."""
    return [b.linear(b.elu(node["input"], alpha=node.attributes["alpha"]), alpha=node.attributes["gamma"])]


@composite
def shrink(b: Builder, node: Node) -> Sequence[MLOperand]:
    """`x` moved toward zero by `bias`; 0 where `x` lies within `lambd` of zero. Integers are computed as floats."""
    x, bound = node["input"], node.attributes["lambd"]
    if x.data_type not in FLOATS:
        return [b.cast(applied(b, "shrink", b.cast(x, "float32"), **node.attributes), x.data_type)]
    bias, zero, high, low = (b.constant(x.data_type, value) for value in (node.attributes["bias"], 0, bound, -bound))
    above = b.where(b.greater(x, high), b.sub(x, bias), zero)
    return [b.where(b.lesser(x, low), b.add(x, bias), above)]


@composite
def thresholded_relu(b: Builder, node: Node) -> Sequence[MLOperand]:
    """`x` where it is above alpha, else 0."""
    x = node["input"]
    alpha, zero = (b.constant(x.data_type, value) for value in (node.attributes["alpha"], 0))
    return [b.where(b.greater(x, alpha), x, zero)]


@composite
def asin(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The arc tangent of an expression that loses no digits near 1."""
    x = node["input"]
    one = b.constant(x.data_type, 1)
    return [_arc_tangent(b, b.div(x, b.sqrt(b.mul(b.sub(one, x), b.add(one, x)))))]


@composite
def acos(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Twice the arc tangent of an expression that loses no digits near 1."""
    x = node["input"]
    one = b.constant(x.data_type, 1)
    return [b.linear(_arc_tangent(b, b.sqrt(b.div(b.sub(one, x), b.add(one, x)))), alpha=2)]


@composite
def atan(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The arc tangent."""
    return [_arc_tangent(b, node["input"])]


def _arc_tangent(b: Builder, x: MLOperand) -> MLOperand:
    def number(value: float) -> MLOperand:
        return b.constant(x.data_type, value)

    size, one = b.abs(x), number(1)
    steep = b.greater(size, number(math.tan(3 * math.pi / 8)))
    middle = b.greater(size, number(math.tan(math.pi / 8)))
    turned = b.where(middle, b.div(b.sub(size, one), b.add(size, one)), size)
    turned = b.where(steep, b.div(number(-1), size), turned)
    base = b.where(middle, number(math.pi / 4), number(0))
    base = b.where(steep, number(math.pi / 2), base)
    square = b.mul(turned, turned)
    polynomial = number(_ARC[0])
    for coefficient in _ARC[1:]:
        polynomial = b.add(b.mul(polynomial, square), number(coefficient))
    angle = b.add(base, b.add(b.mul(b.mul(polynomial, square), turned), turned))
    return b.mul(b.sign(x), angle)


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
