"""Functions that ONNX has and WebNN does not: of single elements, numbers or categories, and along one axis.

Written in WebNN's operators they are exact, but take three to thirty passes over the values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from webnn.errors import ValidationError
from webnn.graph.composites import hyperbolic as _hyperbolic  # noqa: F401 (its composites)
from webnn.graph.composites.composite import Builder, compose, composite, spelled_out
from webnn.graph.composites.open_cases import cast_in_range
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import FLOATS, data_type_of
from webnn.graph.ir import Attribute, Node
from webnn.graph.operand import MLOperand

__all__ = ["applied", "columns_of_categories", "encoded"]

_ARC: Final = (8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1)
"""The coefficients of the Cephes library's polynomial, exact to 24 bits up to tan(pi / 8)."""
_SPARSE: Final = 16
"""A table has an entry for each integer between the keys if these are at most so many times as many as the keys."""


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


def encoded(
    b: Builder, x: MLOperand, keys: np.ndarray[Any, Any], values: np.ndarray[Any, Any], default: np.ndarray[Any, Any]
) -> MLOperand:
    """The value of each element of `x` that is a key, and `default` for the others.

    Args:
        b: takes the node.
        x: float32 or int64, of any shape.
        keys: different numbers of x's type in ascending order; NaN, which equals NaN here, comes last.
        values: one for each key.
        default: one number of the type of `values`.
    """
    operands = {"input": x, "keys": b.constant(keys), "values": b.constant(values), "default": b.constant(default)}
    output = MLOperandDescriptor(data_type_of(values.dtype), x.shape)
    make = compose if values.dtype in (np.float32, np.int64) else spelled_out
    return make(b, "label_encoder", operands, [output])[0]


@composite
def label_encoder(b: Builder, node: Node) -> Sequence[MLOperand]:
    """A table of all integers between the keys, or a binary search."""
    x, default = node["input"], node["default"]
    keys, values, other = (_known(node[name]) for name in ("keys", "values", "default"))
    if keys.dtype.kind == "f":
        if not np.isnan(keys[-1]):
            return [_searched(b, x, keys, values, default)]
        rest = _searched(b, x, keys[:-1], values[:-1], default)
        return [b.where(b.is_nan(x), b.constant(np.array(values[-1])), rest)]
    low, high = int(keys[0]), int(keys[-1])
    if high - low > _SPARSE * len(keys) or max(-low, high) > 1 << 60:
        return [_searched(b, x, keys, values, default)]
    table = np.full(high - low + 3, other)
    table[keys - low + 1] = values
    places = b.sub(b.clamp(x, min_value=low - 1, max_value=high + 1), b.constant("int64", low - 1))
    return [b.gather(b.constant(table), places)]


def _known(operand: MLOperand) -> np.ndarray[Any, Any]:
    assert operand.constant is not None
    return operand.constant


def _searched(
    b: Builder, x: MLOperand, keys: np.ndarray[Any, Any], values: np.ndarray[Any, Any], default: MLOperand
) -> MLOperand:
    """The values, by a binary search for all elements of `x` at once."""
    if not len(keys):
        return b.expand(default, x.shape)
    known, last = b.constant(keys), b.constant("int64", len(keys) - 1)
    place: MLOperand = b.expand(b.constant("int64", 0), x.shape)
    for bit in reversed(range((len(keys) - 1).bit_length())):
        ahead = b.min(b.add(place, b.constant("int64", 1 << bit)), last)
        place = b.where(b.lesser_or_equal(b.gather(known, ahead), x), ahead, place)
    return b.where(b.equal(b.gather(known, place), x), b.gather(b.constant(values), place), default)


def columns_of_categories(b: Builder, x: MLOperand, categories: Sequence[int], *, complete: bool) -> MLOperand:
    """A new last axis with 1 for the category that an element of `x` is, and 0 for the others, in float32.

    Args:
        b: takes the node.
        x: float32, which is rounded toward zero, or int64.
        categories: integers.
        complete: whether a runtime may end the run for an element that is no category.
    """
    output = MLOperandDescriptor("float32", [*x.shape, len(categories)])
    make = compose if x.rank < 3 else spelled_out
    options: dict[str, Any] = {"categories": tuple(categories), "zeros": int(not complete)}
    return make(b, "one_hot_encoder", {"input": x}, [output], **options)[0]


@composite
def one_hot_encoder(b: Builder, node: Node) -> Sequence[MLOperand]:
    """A comparison with each category."""
    x = node["input"]
    x = cast_in_range(b, x, "int64") if x.data_type == "float32" else x
    categories = b.constant(np.array(node.attributes["categories"], np.int64))
    return [b.cast(b.equal(b.reshape(x, [*x.shape, 1]), categories), "float32")]
