"""Bits of integers: and, or and exclusive or, which WebNN's arithmetic computes one by one, and shifts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from webnn.errors import NotSupportedError
from webnn.graph.composites.composite import Builder, compose, composite, spelled_out
from webnn.graph.descriptor import MAX_RANK, MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["bits_shifted", "of_bits"]

_BITS: Final = 1 << 26
"""The most bits, each of which is computed as an integer."""


def of_bits(b: Builder, name: str, x: MLOperand, y: MLOperand) -> MLOperand:
    """`bitwise_and`, `bitwise_or` or `bitwise_xor` of integers of the same type, which broadcast."""
    shape = np.broadcast_shapes(x.shape, y.shape)
    return compose(b, name, {"a": x, "b": y}, [MLOperandDescriptor(x.data_type, shape)])[0]


def bits_shifted(b: Builder, x: MLOperand, by: MLOperand, *, left: bool) -> MLOperand:
    """`x` times two to the power of `by`, or divided by it, where both broadcast.

    Shifting integers without a sign by a computed number of bits that they do not have leaves open what comes out.
    """
    operands, options = {"a": x, "b": by}, {"direction": "LEFT" if left else "RIGHT"}
    output = MLOperandDescriptor(x.data_type, np.broadcast_shapes(x.shape, by.shape))
    known = by.constant
    width = 8 * x.descriptor.dtype.itemsize
    has_kernel = x.data_type.startswith("u") and (known is None or (known < width).all())
    return (compose if has_kernel else spelled_out)(b, "bit_shift", operands, [output], **options)[0]


@composite
def bit_shift(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Multiplication by a power of two, or division; a power wraps to 0 if all bits are shifted out."""
    x = node["a"]
    power = b.pow(b.constant(x.data_type, 2), node["b"])
    if node.attributes["direction"] == "LEFT":
        return [b.mul(x, power)]
    if x.data_type.startswith("u"):
        return [b.div(x, power)]
    # Division rounds toward zero, a shift rounds down: a negative x is shifted as -1 - (-1 - x) / power.
    minus_one, size = b.constant(x.data_type, -1), b.abs(power)
    beyond = b.sub(minus_one, b.div(b.sub(minus_one, x), size))
    return [b.where(b.lesser(x, b.constant(x.data_type, 0)), beyond, b.div(x, size))]


@composite
def bitwise_and(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The sum of the common bits, along a new axis."""
    return [_finished(b, node, _common(b, node)[2])]


@composite
def bitwise_or(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The sum of both operands without one of each pair of common bits."""
    x, y, both = _common(b, node)
    return [_finished(b, node, b.sub(b.add(x, y), both))]


@composite
def bitwise_xor(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The sum of both operands without the common bits."""
    x, y, both = _common(b, node)
    return [_finished(b, node, b.sub(b.add(x, y), b.add(both, both)))]


def _common(b: Builder, node: Node) -> tuple[MLOperand, MLOperand, MLOperand]:
    """Both operands, in a type and a rank to compute with, and their common bits."""
    x, y, shape = node["a"], node["b"], node.output.shape
    if x.data_type in {"int8", "uint8"}:
        x, y = b.cast(x, "int32"), b.cast(y, "int32")
    dtype = x.descriptor.dtype
    signed = dtype.kind == "i"
    count = 8 * dtype.itemsize - signed
    if math.prod(shape) * count > _BITS:
        raise NotSupportedError(
            f"{node.where}: its operands {list(x.shape)} and {list(y.shape)} have too many bits to compute one by one"
        )
    if len(shape) == MAX_RANK:  # there is no axis left for the bits
        x, y = (b.reshape(b.expand(a, shape), [math.prod(shape)]) for a in (x, y))
    powers = b.constant(np.array([2**i for i in range(count)], dtype))
    zero, two, lowest = (b.constant(x.data_type, value) for value in (0, 2, int(np.iinfo(dtype).min)))

    def bits(a: MLOperand) -> MLOperand:
        """The bits of each element in a new axis, without the sign bit."""
        rest = b.where(b.lesser(a, zero), b.sub(a, lowest), a) if signed else a
        quotients = b.div(b.reshape(rest, [*a.shape, 1]), powers)
        return b.sub(quotients, b.mul(b.div(quotients, two), two))

    both = b.reduce_sum(b.mul(b.mul(bits(x), bits(y)), powers), axes=[max(x.rank, y.rank)])
    if signed:
        negative = b.logical_and(b.lesser(x, zero), b.lesser(y, zero))
        both = b.where(negative, b.add(both, lowest), both)
    return x, y, both


def _finished(b: Builder, node: Node, result: MLOperand) -> MLOperand:
    """The result in the shape and the type of the node's output."""
    wanted = node.output
    result = result if result.shape == wanted.shape else b.reshape(result, wanted.shape)
    return result if result.data_type == wanted.data_type else b.cast(result, wanted.data_type)
