"""Operators of the ONNX standard that the WebGPU provider lacks, composed of those that it has.

Each is used only for the data types in which the table of kernels has none. Comparisons tell NaN apart: it equals
nothing, itself included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from webnn.backends.onnx.model import Model
from webnn.backends.onnx.portable import is_nan
from webnn.backends.onnx.signatures import Composition

__all__ = ["COMPOSITIONS"]

Attributes: TypeAlias = Mapping[str, Any]


def _larger(model: Model, inputs: Sequence[str], _: Attributes) -> str:
    return _extreme(model, inputs, "Less")


def _smaller(model: Model, inputs: Sequence[str], _: Attributes) -> str:
    return _extreme(model, inputs, "Greater")


def _extreme(model: Model, inputs: Sequence[str], is_beaten: str) -> str:
    """The first input, where no other one beats it; and NaN, where there is one."""
    result, *others = inputs
    for other in others:
        data_type = model.data_type(result)
        kept = result
        if data_type in ("float32", "float16"):  # NaN of the other one beats it as well
            kept = model.emit("Where", [model.emit("Equal", [other, other]), result, other])
        result = model.emit("Where", [model.emit(is_beaten, [result, other]), other, kept])
    return result


def _bounded(model: Model, inputs: Sequence[str], _: Attributes) -> str:
    """`Clip` of integers."""
    x, *bounds = inputs
    for bound, is_beyond in zip(bounds, ("Less", "Greater"), strict=False):
        if bound:
            x = model.emit("Where", [model.emit(is_beyond, [x, bound]), bound, x])
    return x


def _or(model: Model, inputs: Sequence[str], _: Attributes) -> str:
    neither = model.emit("And", [model.emit("Not", [name]) for name in inputs])
    return model.emit("Not", [neither])


def _xor(model: Model, inputs: Sequence[str], _: Attributes) -> str:
    a, b = (model.cast(name, "int32") for name in inputs)
    return model.emit("Not", [model.emit("Equal", [a, b])])


def _is_infinite(model: Model, inputs: Sequence[str], _: Attributes) -> str:
    (x,) = inputs
    return model.emit("Equal", [model.emit("Abs", [x]), model.constant(math.inf, model.data_type(x))])


def _sign(model: Model, inputs: Sequence[str], _: Attributes) -> str:
    (x,) = inputs
    zero, one, minus_one = (model.constant(number, model.data_type(x)) for number in (0, 1, -1))
    below = model.emit("Where", [model.emit("Less", [x, zero]), minus_one, zero])
    return model.emit("Where", [model.emit("Greater", [x, zero]), one, below])


def _rounded(model: Model, inputs: Sequence[str], _: Attributes) -> str:
    """`Round`: to the nearest integer, and of two to the even one."""
    (x,) = inputs
    half, one, two = (model.constant(number, model.data_type(x)) for number in (0.5, 1, 2))
    low = model.emit("Floor", [x])
    high = model.emit("Add", [low, one])
    above = model.emit("Sub", [x, low])
    even = model.emit("Mul", [model.emit("Floor", [model.emit("Mul", [high, half])]), two])
    result = model.emit("Where", [model.emit("Greater", [above, half]), high, even])
    return model.emit("Where", [model.emit("Less", [above, half]), low, result])


def _softsign(model: Model, inputs: Sequence[str], _: Attributes) -> str:
    (x,) = inputs
    one = model.constant(1, model.data_type(x))
    return model.emit("Div", [x, model.emit("Add", [one, model.emit("Abs", [x])])])


def _prelu(model: Model, inputs: Sequence[str], _: Attributes) -> str:
    x, slope = inputs
    below = model.emit("Less", [x, model.constant(0, model.data_type(x))])
    return model.emit("Where", [below, model.emit("Mul", [x, slope]), x])


def _remainder(model: Model, inputs: Sequence[str], _: Attributes) -> str:
    """`Mod` of integers: with the sign of the divisor."""
    a, b = inputs
    zero = model.constant(0, model.data_type(a))
    rest = model.emit("Sub", [a, model.emit("Mul", [model.emit("Div", [a, b]), b])])
    differs = model.emit("Xor", [model.emit("Less", [rest, zero]), model.emit("Less", [b, zero])])
    is_off = model.emit("And", [model.emit("Not", [model.emit("Equal", [rest, zero])]), differs])
    return model.emit("Where", [is_off, model.emit("Add", [rest, b]), rest])


def _product_with_vector(model: Model, inputs: Sequence[str], _: Attributes) -> str:
    """`MatMul` of integers, which lowerings emit for sums along the last axis."""
    return model.emit("ReduceSum", [model.emit("Mul", inputs), model.constant([-1])], keepdims=0)


COMPOSITIONS: Final[Mapping[str, Composition]] = {
    "Clip": _bounded,
    "IsInf": _is_infinite,
    "IsNaN": is_nan,
    "MatMul": _product_with_vector,
    "Max": _larger,
    "Min": _smaller,
    "Mod": _remainder,
    "Or": _or,
    "PRelu": _prelu,
    "Round": _rounded,
    "Sign": _sign,
    "Softsign": _softsign,
    "Xor": _xor,
}
"""The composition of each operator, as the model calls it."""
