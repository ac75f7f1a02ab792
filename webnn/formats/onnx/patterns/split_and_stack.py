"""Values split along an axis, stacked and concatenated, for loops and sequences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from webnn.backends.onnx.messages import ValueInfoProto
from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.importing.values import Value
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.descriptor import MAX_TENSOR_COUNT
from webnn.graph.operand import MLOperand

__all__ = ["concatenated", "stacked", "unstacked"]

_JOINED: Final = 1024
"""The most operands that are joined at once."""


def unstacked(node: OnnxNode, value: Value, axis: int) -> list[Value]:
    """The slices of `value` along an axis, without this axis."""
    if value.array is not None:
        return [Value(part) for part in np.moveaxis(value.array, axis, 0)]
    b = node.builder
    x = node.importer.operand_of(value)
    if x.shape[axis] > MAX_TENSOR_COUNT:
        raise UnsupportedNodeError(f"{x.shape[axis]} slices are too many for a graph")
    parts = b.split(x, x.shape[axis], axis=axis) if x.shape[axis] > 1 else [x]
    shape = [*x.shape[:axis], *x.shape[axis + 1 :]]
    return [Value(operand=b.reshape(part, shape), narrow=value.narrow) for part in parts]


def stacked(
    node: OnnxNode, values: Sequence[Value], axis: int, info: ValueInfoProto | None = None, like: Value | None = None
) -> Value:
    """The values along a new axis.

    In case there are none, their shape and type are those of `like`, or else as `info` declares them.
    """
    if any(value.missing for value in values):
        return Value(missing=True)
    if not values:
        assert info is not None
        tensor = info.type.tensor_type
        sizes = like.shape if like is not None else [dim.dim_value for dim in tensor.shape.dim]
        axis = node.axis(axis, len(sizes) + 1)
        return Value(np.empty([*sizes[:axis], 0, *sizes[axis:]], node.element_dtype(tensor.elem_type)))
    if any(value.shape != values[0].shape for value in values):
        shapes = sorted({value.shape for value in values})[:4]
        raise DataError(f"the iterations return different shapes: {', '.join(map(str, map(list, shapes)))}")
    shape = values[0].shape
    axis = node.axis(axis, len(shape) + 1)
    arrays = [value.array for value in values if value.array is not None]
    if len(arrays) == len(values):
        node.importer.budget.spend(len(arrays) * math.prod(shape) * arrays[0].itemsize)
        return Value(np.stack(arrays, axis))
    b = node.builder
    operands = [b.reshape(node.importer.operand_of(value), [*shape[:axis], 1, *shape[axis:]]) for value in values]
    return Value(operand=_joined(b, operands, axis), narrow=values[0].narrow)


def concatenated(node: OnnxNode, values: Sequence[Value], axis: int) -> Value:
    """The values joined along an axis; those without elements are skipped."""
    axis = node.axis(axis, len(values[0].shape))
    arrays = [value.array for value in values if value.array is not None]
    if len(arrays) == len(values):
        node.importer.budget.spend(sum(array.nbytes for array in arrays))
        return Value(np.concatenate(arrays, axis))
    filled = [value for value in values if 0 not in value.shape]
    operands = [node.importer.operand_of(value) for value in filled]
    return Value(operand=_joined(node.builder, operands, axis), narrow=values[0].narrow)


def _joined(b: MLGraphBuilder[Any], operands: list[MLOperand], axis: int) -> MLOperand:
    while len(operands) > 1:
        groups = [operands[i : i + _JOINED] for i in range(0, len(operands), _JOINED)]
        operands = [b.concat(group, axis) if len(group) > 1 else group[0] for group in groups]
    return operands[0]
