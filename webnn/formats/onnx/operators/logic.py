"""Comparisons, logical and bitwise operators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from webnn.errors import NotSupportedError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.graph.composites.bitwise import bits_shifted, of_bits
from webnn.graph.dtypes import FLOATS

__all__: list[str] = []

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
    """A shift to the left or to the right."""
    left = node.get_string("direction") == "LEFT"
    return bits_shifted(node.builder, node.operand(0), node.operand(1), left=left)


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
    """One kernel, or sums of bits."""
    x, y = node.operand(0), node.operand(1)
    if x.data_type in FLOATS:
        raise UnsupportedNodeError(f"{x.data_type} is not an integer type, which {node.op_type} takes")
    try:
        return of_bits(node.builder, f"bitwise_{node.op_type.removeprefix('Bitwise').lower()}", x, y)
    except NotSupportedError as error:
        raise UnsupportedNodeError(str(error).partition(": ")[2], "Mod by a power of 2") from None
