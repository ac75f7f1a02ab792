"""Operators of ONNX that leave open what WebNN decides: NaN, what is out of range, two updates of a slice, last digits.

WebNN's operators are defined for all values, and a runtime computes the cases that ONNX leaves open in further steps,
which take two to seventy times as long as the operator alone. Models in ONNX do not rely on them. So an import keeps
the operators as ONNX has them: the expansion is one possible result, and the kernel of a runtime gives another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = [
    "MANY",
    "REDUCTIONS",
    "cast_in_range",
    "computed_alone",
    "gathered_in_range",
    "reduced_in_range",
    "scattered_in_any_order",
    "sign_of_numbers",
]

MANY: Final = 1 << 12
"""Elements from which on the further steps for places take longer than the overhead of an operator."""

_OPERATORS: Final = (
    "batch_normalization",  # the mean is taken off first
    "cumulative_sum",  # a long sum is made in stages
    "gather_elements",  # indices are moved into the range
    "instance_normalization",  # the mean is taken off first
    "reduce_l1",  # the sum is made in stages
    "reduce_l2",  # squares do not overflow
    "reduce_log_sum_exp",  # the largest element is subtracted first, and the sum is made in stages
    "reduce_max",  # NaN, if there is one
    "reduce_min",  # NaN, if there is one
    "reduce_product",  # the product is made in stages
    "reduce_sum_square",  # the sum is made in stages
    "scatter_nd",  # the last update of each slice; coordinates are moved into the range
    "sigmoid",  # results near 0 keep their digits
    "sign",  # 0 for NaN
)
"""WebNN's operators that runtimes compute in further steps."""

REDUCTIONS: Final = {op: f"open_{op}" for op in _OPERATORS if op.startswith("reduce_")}
"""The composites for those among them that reduce."""


def cast_in_range(b: Builder, x: MLOperand, data_type: DataType) -> MLOperand:
    """The floats `x` as integers, rounded toward zero; any integers for NaN and numbers that `data_type` lacks."""
    return compose(b, "open_cast", {"input": x}, [MLOperandDescriptor(data_type, x.shape)])[0]


@composite
def open_cast(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Bounded to the range of int64, and then wrapped."""
    data_type = node.output.data_type
    x = node["input"]
    return [b.cast(x if data_type in ("int32", "int64") else b.cast(x, "int64"), data_type)]


def sign_of_numbers(b: Builder, x: MLOperand) -> MLOperand:
    """The sign of each float; NaN or 0 for NaN."""
    return compose(b, "open_sign", {"input": x}, [x.descriptor])[0]


def reduced_in_range(b: Builder, op: str, x: MLOperand, *, axes: Sequence[int], keep_dimensions: bool) -> MLOperand:
    """The reduction of floats along `axes` that `op` names; open for NaN, and where a sum of squares overflows."""
    shape = [1 if i in axes else size for i, size in enumerate(x.shape) if keep_dimensions or i not in axes]
    descriptor = MLOperandDescriptor(x.data_type, shape)
    options: dict[str, Any] = {"axes": tuple(axes), "keep_dimensions": keep_dimensions}
    return compose(b, REDUCTIONS[op], {"input": x}, [descriptor], **options)[0]


def computed_alone(b: Builder, result: MLOperand) -> MLOperand:
    """`result`, computed by the kernel of a runtime alone, which may lose digits that WebNN's operator keeps.

    Its operator is `batch_normalization`, `cumulative_sum`, `instance_normalization` or `sigmoid`.
    """
    node = result.node
    assert node is not None
    operands = {name: node[name] for name in node.operands}
    return compose(b, f"open_{node.op}", operands, [result.descriptor], **node.attributes)[0]


def gathered_in_range(b: Builder, x: MLOperand, indices: MLOperand, *, axis: int) -> MLOperand:
    """The elements of `x` at `indices` along `axis`. Indices out of range end the run with an error."""
    output = MLOperandDescriptor(x.data_type, indices.shape)
    return compose(b, "open_gather_elements", {"input": x, "indices": indices}, [output], axis=axis)[0]


def scattered_in_any_order(b: Builder, x: MLOperand, indices: MLOperand, updates: MLOperand) -> MLOperand:
    """`x` with slices replaced by `updates` at the coordinates in the last dimension of `indices`.

    A slice that is updated twice may get either update. Coordinates out of range end the run with an error.
    """
    operands = {"input": x, "indices": indices, "updates": updates}
    return compose(b, "open_scatter_nd", operands, [x.descriptor])[0]


def _open(op: str) -> None:
    """Define the composite that may be computed without the further steps of `op`. Its expansion is `op`."""

    def expansion(b: Builder, node: Node) -> Sequence[MLOperand]:
        made: MLOperand = getattr(b, op)(**node.operands, **node.attributes)
        return [made]

    expansion.__name__ = f"open_{op}"
    composite(expansion)


for _op in _OPERATORS:
    _open(_op)
