"""Comparisons, logical and bitwise operators."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.graph.descriptor import MAX_RANK
from webnn.graph.dtypes import FLOATS
from webnn.graph.operand import MLOperand

__all__: list[str] = []

_BITS: Final = 1 << 26
"""The most bits of a bitwise operator, each of which is computed as an integer."""

_BINARY: Final[Mapping[str, str]] = {
    "And": "logical_and",
    "Equal": "equal",
    "Greater": "greater",
    "GreaterOrEqual": "greater_or_equal",
    "Less": "lesser",
    "LessOrEqual": "lesser_or_equal",
    "Or": "logical_or",
    "Xor": "logical_xor",
}


@imports(*_BINARY)
def binary(node: OnnxNode) -> Imported:
    """Two operands that broadcast; booleans are uint8."""
    return node.call(_BINARY[node.op_type], operands=2)


@imports("Not")
def logical_not(node: OnnxNode) -> Imported:
    """Logical negation."""
    return node.builder.logical_not(node.operand(0))


@imports("IsNaN")
def is_nan(node: OnnxNode) -> Imported:
    """1 where an element is NaN."""
    return node.builder.is_nan(node.operand(0))


@imports("IsInf")
def is_infinite(node: OnnxNode) -> Imported:
    """1 where an element is infinite, of either sign or of one."""
    b = node.builder
    x = node.operand(0)
    found = b.is_infinite(x)
    if not node.get_int("detect_negative", 1):
        found = b.logical_and(found, b.greater(x, node.scalar(x, 0)))
    if not node.get_int("detect_positive", 1):
        found = b.logical_and(found, b.lesser(x, node.scalar(x, 0)))
    return found


@imports("Where")
def where(node: OnnxNode) -> Imported:
    """Elements of one operand or the other, by a condition."""
    return node.builder.where(node.operand(0), node.operand(1), node.operand(2))


@imports("BitShift")
def bit_shift(node: OnnxNode) -> Imported:
    """Multiplication by a power of two, or division; a power wraps to 0 if all bits are shifted out."""
    b = node.builder
    x = node.operand(0)
    power = b.pow(node.scalar(x, 2), node.operand(1))
    if node.get_string("direction") == "LEFT":
        return b.mul(x, power)
    if not x.data_type.startswith("u"):
        # Division rounds toward zero, a shift rounds down: a negative x is shifted as -1 - (-1 - x) / power.
        turned = b.sub(node.scalar(x, -1), x)
        beyond = b.sub(node.scalar(x, -1), b.div(turned, b.abs(power)))
        return b.where(b.lesser(x, node.scalar(x, 0)), beyond, b.div(x, b.abs(power)))
    return b.div(x, power)


@imports("BitwiseNot")
def bitwise_not(node: OnnxNode) -> Imported:
    """`-1 - x`, which wraps for unsigned integers."""
    b = node.builder
    x = node.operand(0)
    if x.data_type in FLOATS:
        raise UnsupportedNodeError(f"{x.data_type} is not an integer type, which BitwiseNot takes")
    zero = node.scalar(x, 0)
    return b.sub(b.sub(zero, node.scalar(x, 1)), x)


@imports("BitwiseAnd", "BitwiseOr", "BitwiseXor")
def bitwise(node: OnnxNode) -> Imported:
    """And, by summing the common bits along a new axis; Or and Xor follow from And and the sum of both operands."""
    b = node.builder
    x, y = node.operand(0), node.operand(1)
    data_type = x.data_type
    if data_type in FLOATS:
        raise UnsupportedNodeError(f"{data_type} is not an integer type, which {node.op_type} takes")
    if data_type in {"int8", "uint8"}:
        x, y = b.cast(x, "int32"), b.cast(y, "int32")
    dtype = x.descriptor.dtype
    signed = dtype.kind == "i"
    count = 8 * dtype.itemsize - signed
    shape = np.broadcast_shapes(x.shape, y.shape)
    if math.prod(shape) * count > _BITS:
        raise UnsupportedNodeError(
            f"its operands {list(x.shape)} and {list(y.shape)} have too many bits to compute one by one",
            "Mod by a power of 2",
        )
    if len(shape) == MAX_RANK:  # there is no axis left for the bits
        x, y = (b.reshape(b.expand(a, shape), [math.prod(shape)]) for a in (x, y))
    powers = node.constant(np.array([2**i for i in range(count)], dtype))
    zero, two, lowest = node.scalar(x, 0), node.scalar(x, 2), node.scalar(x, int(np.iinfo(dtype).min))

    def bits(a: MLOperand) -> MLOperand:
        """The bits of each element in a new axis, without the sign bit."""
        rest = b.where(b.lesser(a, zero), b.sub(a, lowest), a) if signed else a
        quotients = b.div(b.reshape(rest, [*a.shape, 1]), powers)
        return b.sub(quotients, b.mul(b.div(quotients, two), two))

    both = b.reduce_sum(b.mul(b.mul(bits(x), bits(y)), powers), axes=[max(x.rank, y.rank)])
    if signed:
        negative = b.logical_and(b.lesser(x, zero), b.lesser(y, zero))
        both = b.where(negative, b.add(both, lowest), both)
    match node.op_type:
        case "BitwiseAnd":
            result = both
        case "BitwiseOr":
            result = b.sub(b.add(x, y), both)
        case _:
            result = b.sub(b.add(x, y), b.add(both, both))
    result = result if result.shape == shape else b.reshape(result, shape)
    return result if result.data_type == data_type else b.cast(result, data_type)
