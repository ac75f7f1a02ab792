"""Quantization in forms that WebNN lacks: by the range of the tensor, and by integers that it has no type for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["dynamically_quantized", "fake_quantized", "levels_of"]


def dynamically_quantized(b: Builder, x: MLOperand) -> list[MLOperand]:
    """`x` in float32 quantized to uint8 over its range and 0; with its scale and its zero point, both scalars."""
    outputs = [
        MLOperandDescriptor("uint8", x.shape),
        MLOperandDescriptor("float32", ()),
        MLOperandDescriptor("uint8", ()),
    ]
    return compose(b, "dynamic_quantize_linear", {"input": x}, outputs)


@composite
def dynamic_quantize_linear(b: Builder, node: Node) -> Sequence[MLOperand]:
    """By the largest and smallest element."""
    x = node["input"]

    def number(value: float) -> MLOperand:
        return b.constant("float32", value)

    largest = b.clamp(b.reduce_max(x), min_value=0.0)
    smallest = b.clamp(b.reduce_min(x), max_value=0.0)
    span = b.sub(largest, smallest)
    scale = b.where(b.equal(span, number(0.0)), number(1.0), b.div(span, number(255.0)))
    zero = b.round_even(b.clamp(b.neg(b.div(smallest, scale)), min_value=0.0, max_value=255.0))
    zero_point = b.cast(zero, "uint8")
    aligned = [b.reshape(parameter, [1] * x.rank) for parameter in (scale, zero_point)]
    return [b.quantize_linear(x, *aligned), scale, zero_point]


class Bounds(Protocol):
    """The least and the greatest integer of a type, as in `numpy.iinfo` and `ml_dtypes.iinfo`."""

    @property
    def min(self) -> int: ...

    @property
    def max(self) -> int: ...


def fake_quantized(b: Builder, x: MLOperand, scale: float, zero_point: int, data_type: str) -> MLOperand:
    """`x`, float32, quantized to `data_type`, int16 or uint16, with one scale and zero point for all, and dequantized.

    NaN becomes one of the integers where a runtime has a kernel for it, and stays NaN elsewhere.
    """
    output = [x.descriptor]
    return compose(b, "fake_quantize", {"input": x}, output, scale=scale, zero_point=zero_point, data_type=data_type)[0]


@composite
def fake_quantize(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The levels in float32, which holds them exactly, and what they stand for."""
    scale = b.constant("float32", node.attributes["scale"])
    zero = float(node.attributes["zero_point"])
    offset = b.constant("float32", zero) if zero else None
    levels = levels_of(b, node["input"], scale, offset, np.iinfo(node.attributes["data_type"]))
    return [b.mul(levels if offset is None else b.sub(levels, offset), scale)]


def levels_of(b: Builder, x: MLOperand, scale: MLOperand, zero: MLOperand | None, bounds: Bounds) -> MLOperand:
    """`x` in steps of `scale` from `zero`, as whole floats within the bounds of an integer type."""
    levels = b.round_even(b.div(x, scale))
    levels = levels if zero is None else b.add(levels, zero)
    return b.clamp(levels, min_value=float(bounds.min), max_value=float(bounds.max))
