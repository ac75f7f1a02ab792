"""bfloat16, which WebNN lacks: held by float32, and rounded wherever ONNX rounds.

Every operand that stands for a bfloat16 tensor holds bfloat16 values only. Inputs of the graph and casts are rounded,
and so is each result of a node that computes. Results that were only moved or selected need no rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from webnn.formats.onnx.importing.budget import Budget
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.schemas import schema_of
from webnn.formats.onnx.importing.values import Value
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.dtypes import dtype_name
from webnn.graph.lean_imports import small_dtype
from webnn.graph.operand import MLOperand

__all__ = ["is_bfloat16", "is_output_bfloat16", "rounded_outputs", "rounded_to_bfloat16"]

_LARGE: Final = 2.0**100
"""Above this, products in `rounded_to_bfloat16` could overflow."""
_SMALLEST_NORMAL: Final = 2.0**-126
_SHIFTER: Final = 1.5 * 2.0**-110
"""Its last bit in float32 is 2**-133, the step between subnormal bfloat16 numbers."""
_SPLITTER: Final = 2.0**16 + 1
"""float32 has 16 bits more than bfloat16."""
_FOLDED: Final = 1 << 22
"""The most elements of a constant that is rounded during the import."""

_EXACT: Final = frozenset(
    {
        "abs", "ceil", "concat", "expand", "floor", "gather", "gather_elements", "gather_nd", "identity", "max",
        "max_pool2d", "min", "neg", "reduce_max", "reduce_min", "relu", "reshape", "reverse", "round_even",
        "scatter_elements", "scatter_nd", "sign", "slice", "split", "tile", "transpose", "triangular", "where",
    }
)  # fmt: skip
"""Operators whose results are bfloat16 values when their operands are."""


def is_bfloat16(array: np.ndarray[Any, Any]) -> bool:
    """Whether the elements of `array` are of that type."""
    return dtype_name(array.dtype) == "bfloat16"


def rounded_to_bfloat16(b: MLGraphBuilder[Any], budget: Budget, x: MLOperand) -> MLOperand:
    """`x`, float32, rounded to the nearest bfloat16 value, of two equally near ones to the even one.

    Infinities and NaN stay, and numbers beyond the largest bfloat16 become infinite. Zeros may lose their sign, as they
    do in ONNX Runtime's Where.
    """
    if x.constant is not None and x.constant.size <= _FOLDED and budget.take(x.constant.nbytes):
        with np.errstate(over="ignore"):
            return b.constant(x.constant.astype(small_dtype("bfloat16")).astype(np.float32))

    def number(value: float) -> MLOperand:
        return b.constant("float32", value)

    # Veltkamp's split: the difference of two sums that are each rounded has the upper 8 of 24 bits.
    size = b.abs(x)
    scale = b.where(b.greater(size, number(_LARGE)), number(2.0**-32), number(1))
    scaled = b.mul(x, scale)
    product = b.mul(scaled, number(_SPLITTER))
    rounded = b.div(b.sub(product, b.sub(product, scaled)), scale)
    # Subnormal numbers are multiples of one step: they are rounded by the addition of a number whose last bit is one.
    shifted = b.sub(b.add(x, number(_SHIFTER)), number(_SHIFTER))
    rounded = b.where(b.lesser(size, number(_SMALLEST_NORMAL)), shifted, rounded)
    return b.where(b.is_infinite(x), x, rounded)  # the split of infinity is NaN


def rounded_outputs(node: OnnxNode, values: Sequence[Value | None]) -> list[Value | None]:
    """The outputs of a node, of which those that ONNX has in bfloat16 are rounded and marked as bfloat16."""
    if not any(value is not None and value.is_bfloat16 for value in node.inputs):
        return list(values)
    inputs = {id(value.operand) for value in node.inputs if value is not None}
    return [
        _rounded(node, value, inputs) if value is not None and is_output_bfloat16(node, i) else value
        for i, value in enumerate(values)
    ]


def _rounded(node: OnnxNode, value: Value, inputs: set[int]) -> Value:
    if value.is_bfloat16 or value.missing or value.data_type != "float32":
        return value
    if value.array is not None:
        return Value(value.array.astype(small_dtype("bfloat16")))
    assert value.operand is not None
    operand = value.operand
    if not _is_exact(operand, inputs):
        operand = rounded_to_bfloat16(node.builder, node.importer.budget, operand)
    return Value(operand=operand, narrow="bfloat16")


def is_output_bfloat16(node: OnnxNode, index: int) -> bool:
    """Whether an output has the type of an input that is bfloat16; without a schema, that of the first input."""
    if not any(value is not None and value.is_bfloat16 for value in node.inputs):
        return False
    schema = schema_of(node.domain, node.op_type, node.version)
    if schema is None:
        return node.has(0) and node.given(0).is_bfloat16
    formal = _formal(schema.outputs, index)
    return formal is not None and any(
        value is not None and value.is_bfloat16 and _formal(schema.inputs, i) == formal
        for i, value in enumerate(node.inputs)
    )


def _formal(parameters: Sequence[Any], index: int) -> str | None:
    """The type variable of a parameter; None if those of a list may differ from each other."""
    parameter = parameters[min(index, len(parameters) - 1)] if parameters else None
    return parameter.type_str if parameter is not None and parameter.is_homogeneous else None


def _is_exact(operand: MLOperand, inputs: set[int]) -> bool:
    """Whether the operators between a node's inputs and its result move and select values only."""
    stack, seen = [operand], set[int]()
    while stack:
        operand = stack.pop()
        if id(operand) in seen or id(operand) in inputs or operand.data_type != "float32":
            continue
        seen.add(id(operand))
        if operand.constant is not None:
            rounded = operand.constant.astype(small_dtype("bfloat16")).astype(np.float32)
            if not np.array_equal(operand.constant, rounded):
                return False
        elif operand.node is None or operand.node.op not in _EXACT:
            return False
        else:
            stack.extend(operand.node.inputs())
    return True
