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

MANY: Final = 1 << 14
"""Elements from which on the further steps for places take longer than the overhead of an operator."""

REDUCTIONS: Final = {
    "reduce_l1": "open_reduce_l1",
    "reduce_l2": "open_reduce_l2",
    "reduce_max": "open_reduce_max",
    "reduce_min": "open_reduce_min",
    "reduce_product": "open_reduce_product",
    "reduce_sum_square": "open_reduce_sum_square",
}
"""The operators of WebNN that keep a NaN, all digits, or a sum of squares in range, and composites that need not."""


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


@composite
def open_sign(b: Builder, node: Node) -> Sequence[MLOperand]:
    """0 for NaN."""
    return [b.sign(node["input"])]


def reduced_in_range(b: Builder, op: str, x: MLOperand, *, axes: Sequence[int], keep_dimensions: bool) -> MLOperand:
    """The reduction of floats along `axes` that `op` names; open for NaN, and where a sum of squares overflows."""
    shape = [1 if i in axes else size for i, size in enumerate(x.shape) if keep_dimensions or i not in axes]
    descriptor = MLOperandDescriptor(x.data_type, shape)
    options: dict[str, Any] = {"axes": tuple(axes), "keep_dimensions": keep_dimensions}
    return compose(b, REDUCTIONS[op], {"input": x}, [descriptor], **options)[0]


@composite
def open_reduce_l1(b: Builder, node: Node) -> Sequence[MLOperand]:
    """In stages, which lose no digits."""
    return [b.reduce_l1(node["input"], **node.attributes)]


@composite
def open_reduce_product(b: Builder, node: Node) -> Sequence[MLOperand]:
    """In stages, which lose no digits."""
    return [b.reduce_product(node["input"], **node.attributes)]


@composite
def open_reduce_sum_square(b: Builder, node: Node) -> Sequence[MLOperand]:
    """In stages, which lose no digits."""
    return [b.reduce_sum_square(node["input"], **node.attributes)]


@composite
def open_reduce_l2(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Without overflow."""
    return [b.reduce_l2(node["input"], **node.attributes)]


@composite
def open_reduce_max(b: Builder, node: Node) -> Sequence[MLOperand]:
    """NaN if there is one."""
    return [b.reduce_max(node["input"], **node.attributes)]


@composite
def open_reduce_min(b: Builder, node: Node) -> Sequence[MLOperand]:
    """NaN if there is one."""
    return [b.reduce_min(node["input"], **node.attributes)]


def computed_alone(b: Builder, result: MLOperand) -> MLOperand:
    """`result`, computed by the kernel of a runtime alone, which may lose digits that WebNN's operator keeps.

    Its operator is `batch_normalization`, `cumulative_sum`, `instance_normalization` or `sigmoid`.
    """
    node = result.node
    assert node is not None
    operands = {name: node[name] for name in node.operands}
    return compose(b, f"open_{node.op}", operands, [result.descriptor], **node.attributes)[0]


@composite
def open_batch_normalization(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The mean is taken off first."""
    options: dict[str, Any] = {**node.operands, **node.attributes}
    return [b.batch_normalization(**options)]


@composite
def open_cumulative_sum(b: Builder, node: Node) -> Sequence[MLOperand]:
    """In stages, if it is long."""
    return [b.cumulative_sum(node["input"], **node.attributes)]


@composite
def open_instance_normalization(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The mean is taken off first."""
    options: dict[str, Any] = {**node.operands, **node.attributes}
    return [b.instance_normalization(**options)]


@composite
def open_sigmoid(b: Builder, node: Node) -> Sequence[MLOperand]:
    """With the digits of results near 0."""
    return [b.sigmoid(node["input"])]


def gathered_in_range(b: Builder, x: MLOperand, indices: MLOperand, *, axis: int) -> MLOperand:
    """The elements of `x` at `indices` along `axis`. Indices out of range end the run with an error."""
    output = MLOperandDescriptor(x.data_type, indices.shape)
    return compose(b, "open_gather_elements", {"input": x, "indices": indices}, [output], axis=axis)[0]


@composite
def open_gather_elements(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Indices are moved into the range."""
    return [b.gather_elements(node["input"], node["indices"], axis=node.attributes["axis"])]


def scattered_in_any_order(b: Builder, x: MLOperand, indices: MLOperand, updates: MLOperand) -> MLOperand:
    """`x` with slices replaced by `updates` at the coordinates in the last dimension of `indices`.

    A slice that is updated twice may get either update. Coordinates out of range end the run with an error.
    """
    operands = {"input": x, "indices": indices, "updates": updates}
    return compose(b, "open_scatter_nd", operands, [x.descriptor])[0]


@composite
def open_scatter_nd(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The last update of each slice; coordinates are moved into the range."""
    return [b.scatter_nd(node["input"], node["indices"], node["updates"])]
