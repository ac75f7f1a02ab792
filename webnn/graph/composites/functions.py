"""Functions that ONNX has and WebNN does not: of single elements, and along one axis.

Written in WebNN's operators they are exact, but take three to thirty passes over the values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from webnn.graph.composites import hyperbolic as _hyperbolic  # noqa: F401 (its composites)
from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.ir import Attribute, Node
from webnn.graph.operand import MLOperand

__all__ = ["applied"]

_ARC: Final = (8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1)
"""The coefficients of the Cephes library's polynomial, exact to 24 bits up to tan(pi / 8)."""


def applied(b: Builder, name: str, x: MLOperand, **options: Attribute) -> MLOperand:
    """The function `name` of `x`, one of the composites here, with ONNX's options: all that it has."""
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
    """`alpha * elu(x / alpha)`, whose slope at zero is 1 for every alpha."""
    x = node["input"]
    alpha = b.constant(x.data_type, node.attributes["alpha"])
    return [b.mul(b.elu(b.div(x, alpha)), alpha)]


@composite
def selu(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Scaled `elu`."""
    return [b.linear(b.elu(node["input"], alpha=node.attributes["alpha"]), alpha=node.attributes["gamma"])]


@composite
def shrink(b: Builder, node: Node) -> Sequence[MLOperand]:
    """`x` moved toward zero by `bias`; 0 where `x` lies within `lambd` of zero."""
    x, bound = node["input"], node.attributes["lambd"]
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
