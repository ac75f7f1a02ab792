"""Reductions, ArgMax and ArgMin."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.graph.composites.open_cases import REDUCTIONS, reduced_in_range
from webnn.graph.dtypes import FLOATS
from webnn.graph.operand import MLOperand

__all__: list[str] = []

_REDUCTIONS: Final[Mapping[str, str]] = {
    "ReduceL1": "reduce_l1",
    "ReduceL2": "reduce_l2",
    "ReduceLogSum": "reduce_log_sum",
    "ReduceLogSumExp": "reduce_log_sum_exp",
    "ReduceMax": "reduce_max",
    "ReduceMean": "reduce_mean",
    "ReduceMin": "reduce_min",
    "ReduceProd": "reduce_product",
    "ReduceSum": "reduce_sum",
    "ReduceSumSquare": "reduce_sum_square",
}

_BY_SUMS: Final = frozenset({"reduce_l1", "reduce_sum_square"})
"""Of which runtimes have kernels that are slower than sums, except over all axes."""
_FEW: Final = 1024
"""Elements up to which a kernel that is slower than sums takes less time than the overhead of several operators.

`ReduceLogSumExp` of 1024 took 0.86 of the time of the operators with one core, and 1.1 of 2048.
"""
_OF_FLOATS: Final = frozenset({"ReduceL2", "ReduceLogSum", "ReduceLogSumExp"})


@imports(*_REDUCTIONS)
def reduce(node: OnnxNode) -> Imported:
    """A reduction over the given axes, or over all."""
    b = node.builder
    x = node.operand(0)
    given = node.find_list(1, "axes")
    if not given and node.is_one("noop_with_empty_axes", 0):
        axes = []
    else:
        axes = list(dict.fromkeys(node.axes(given, x.rank))) if given else list(range(x.rank))
    keep = node.is_one("keepdims", 1)
    if node.op_type == "ReduceMean" and x.data_type not in FLOATS:
        total = _reduced(node, "ReduceSum", x, axes, keep)
        return b.div(total, node.scalar(total, math.prod(x.shape[axis] for axis in axes)))
    return _reduced(node, node.op_type, x, axes, keep)


def _reduced(node: OnnxNode, op_type: str, x: MLOperand, axes: list[int], keep: bool) -> MLOperand:
    b = node.builder
    wide, op = x, _REDUCTIONS[op_type]
    alone = op in REDUCTIONS and x.data_type in FLOATS and bool(axes)
    if op in _BY_SUMS:
        alone &= len(axes) == x.rank
    elif op == "reduce_log_sum_exp":
        alone &= x.descriptor.element_count <= _FEW
    if alone:
        return reduced_in_range(b, op, x, axes=axes, keep_dimensions=keep)
    if op_type in _OF_FLOATS and x.data_type not in FLOATS:
        wide = b.cast(x, "float32")
    elif op_type not in {"ReduceMax", "ReduceMin"} and x.data_type in {"int8", "uint8"}:
        wide = b.cast(x, "int32")
    result: MLOperand = getattr(b, op)(wide, axes=axes, keep_dimensions=keep)
    return result if wide is x else b.cast(result, x.data_type)


@imports("ArgMax", "ArgMin")
def arg_max_or_min(node: OnnxNode) -> Imported:
    """The index of the largest or smallest element, the first or the last of equal ones."""
    b = node.builder
    x = node.operand(0)
    axis = node.axis(node.get_int("axis", 0), x.rank or 1)
    if not x.rank:
        return [np.array(0, np.int64)]
    find = b.arg_max if node.op_type == "ArgMax" else b.arg_min
    keep = node.is_one("keepdims", 1)
    if not node.get_int("select_last_index", 0):
        return find(x, axis, keep_dimensions=keep, output_data_type="int64")
    place = find(b.reverse(x, axes=[axis]), axis, keep_dimensions=keep, output_data_type="int64")
    return b.sub(node.scalar(place, x.shape[axis] - 1), place)
