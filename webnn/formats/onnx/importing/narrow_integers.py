"""int16 and uint16, which WebNN lacks: held by int32, and wrapped where ONNX wraps.

Every operand that stands for such a tensor holds numbers of its range only. Inputs of the graph are trusted to, casts
are wrapped, and so are the results of operators that can leave the range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.values import Value
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.composites.modulo import remainder
from webnn.graph.operand import MLOperand

__all__ = ["wrapped", "wrapped_outputs"]

_SIZE: Final = 1 << 16
_WITHIN: Final = {"int16": ("int8", "uint8"), "uint16": ("uint8",)}
"""The types whose numbers are all in the range of another."""

_LEAVING: Final = frozenset(
    {
        "Abs", "Add", "BitShift", "BitwiseNot", "CumSum", "Einsum", "Gemm", "MatMul", "Mul", "Neg", "Pow",
        "ReduceL1", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Sub", "Sum",
    }
)  # fmt: skip
"""Operators whose results may be beyond the range of their operands."""
_OTHER_TYPES: Final = frozenset({"Cast", "CastLike", "OneHot"})
"""Operators whose results are not of the type of their first operand, though they may be held by int32."""


def wrapped(b: MLGraphBuilder[Any], x: MLOperand, narrow: str) -> MLOperand:
    """Integers of any type as `narrow`, int16 or uint16, held by int32: modulo 2**16."""
    if x.data_type in _WITHIN[narrow]:
        return b.cast(x, "int32")
    x = x if x.data_type == "int32" else b.cast(x, "int32")  # which wraps, too
    size, half = (b.constant("int32", number) for number in (_SIZE, _SIZE // 2))
    if narrow == "uint16":
        return remainder(b, x, size, fmod=False)
    return b.sub(remainder(b, b.add(x, half), size, fmod=False), half)


def wrapped_outputs(node: OnnxNode, values: Sequence[Value | None]) -> list[Value | None]:
    """The outputs of a node, of which those that ONNX has in int16 or uint16 are wrapped and marked as such."""
    first = 1 if node.op_type == "Where" else 0
    given = node.inputs[first] if first < len(node.inputs) else None
    if given is None or given.narrow not in _WITHIN or node.domain or node.op_type in _OTHER_TYPES:
        return list(values)
    return [value if value is None else _wrapped(node, value, given.narrow) for value in values]


def _wrapped(node: OnnxNode, value: Value, narrow: str) -> Value:
    if value.narrow or value.missing or value.items is not None or value.data_type != "int32":
        return value
    leaves = node.op_type in _LEAVING
    if value.array is not None:
        with np.errstate(over="ignore"):
            return Value(value.array.astype(narrow))
    assert value.operand is not None
    operand = wrapped(node.builder, value.operand, narrow) if leaves else value.operand
    return Value(operand=operand, floats=value.floats, narrow=narrow)
