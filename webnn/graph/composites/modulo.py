"""The remainder of a division, with the sign of the divisor or of the dividend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from webnn.graph.composites.composite import Builder, compose, composite, spelled_out
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import FLOATS
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["remainder"]


def remainder(b: Builder, x: MLOperand, y: MLOperand, *, fmod: bool) -> MLOperand:
    """`x` modulo `y`, which broadcast: with the sign of `y`, or with `fmod` that of `x`."""
    output = MLOperandDescriptor(x.data_type, np.broadcast_shapes(x.shape, y.shape))
    operands, options = {"a": x, "b": y}, {"fmod": fmod}
    # Kernels of integers trap at a divisor of 0, and at the lowest integer modulo -1; of floats they have one kind.
    safe = fmod if x.data_type in FLOATS else y.constant is not None and not np.isin(y.constant, (0, -1)).any()
    return (compose if safe else spelled_out)(b, "modulo", operands, [output], **options)[0]


@composite
def modulo(b: Builder, node: Node) -> Sequence[MLOperand]:
    """What the product of the quotient and the divisor leaves."""
    x, y, fmod = node["a"], node["b"], node.attributes["fmod"]
    if x.data_type not in FLOATS:
        zero = b.constant(x.data_type, 0)
        rest = b.sub(x, b.mul(b.div(x, y), y))  # division of integers truncates
        if fmod or x.data_type.startswith("u"):
            return [rest]
        differ = b.logical_xor(b.lesser(rest, zero), b.lesser(y, zero))
        moved = b.logical_and(differ, b.not_equal(rest, zero))
        # A product takes half the time of a choice by conditions that no processor predicts.
        return [b.add(rest, b.mul(b.cast(moved, x.data_type), y))]
    may_be_endless = y.constant is None or np.isinf(y.constant).any()
    if x.data_type == "float16":  # whose quotients have no digits behind the point from 2048 on
        rest = _of_floats(b, b.cast(x, "float32"), b.cast(y, "float32"), fmod=fmod, may_be_endless=may_be_endless)
        return [b.cast(rest, "float16")]
    return [_of_floats(b, x, y, fmod=fmod, may_be_endless=may_be_endless)]


def _of_floats(b: Builder, x: MLOperand, y: MLOperand, *, fmod: bool, may_be_endless: bool) -> MLOperand:
    quotient = b.div(x, y)
    whole = b.mul(b.sign(quotient), b.floor(b.abs(quotient))) if fmod else b.floor(quotient)
    rest = b.sub(x, b.mul(whole, y))
    if not may_be_endless:
        return rest
    # With an infinite divisor, x stays if it has the sign that is asked for, else the remainder is the divisor.
    numbers = b.logical_not(b.logical_or(b.is_infinite(x), b.is_nan(x)))
    endless = b.logical_and(b.is_infinite(y), numbers)
    if fmod:
        return b.where(endless, x, rest)
    zero = b.constant(x.data_type, 0)
    stays = b.logical_or(b.equal(x, zero), b.equal(b.lesser(x, zero), b.lesser(y, zero)))
    return b.where(endless, b.where(stays, x, y), rest)
