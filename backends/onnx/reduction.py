"""Reductions in ONNX.

The ONNX standard leaves open how sums of integers overflow and what a maximum makes of NaN. Runtimes differ:
onnxruntime sums and multiplies integers in double precision and saturates, and loses some NaNs. So sums of integers are
products with a vector of ones, which are computed exactly, and products are multiplied in halves.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import prod
from typing import Final

from webnn.backends.onnx.lowerings import lowerings
from webnn.backends.onnx.model import Model
from webnn.graph.dtypes import FLOATS
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

_OP_TYPES: Final = {
    "reduce_l1": "ReduceL1",
    "reduce_l2": "ReduceL2",
    "reduce_log_sum": "ReduceLogSum",
    "reduce_log_sum_exp": "ReduceLogSumExp",
    "reduce_max": "ReduceMax",
    "reduce_mean": "ReduceMean",
    "reduce_min": "ReduceMin",
    "reduce_product": "ReduceProd",
    "reduce_sum": "ReduceSum",
    "reduce_sum_square": "ReduceSumSquare",
}
_OF_ONE_VALUE: Final = {"reduce_l1": "Abs", "reduce_l2": "Abs", "reduce_log_sum": "Log"}
"""The operator for a reduction of one value, where the result is not the value itself."""

_NOT_NEGATIVE: Final = frozenset({"abs", "exp", "open_sigmoid", "relu", "sigmoid", "softmax", "softplus", "sqrt"})
"""Operators whose results have no NaN in their sum unless one of them is NaN."""
_MOVING: Final = frozenset({"expand", "identity", "reshape", "slice", "transpose"})
_HARDLY_NEGATIVE: Final = frozenset({"gelu", "hard_swish"})
"""Likewise in float32, where no sum of the least values overflows."""
_OPEN: Final = (
    *("reduce_l1", "reduce_l2", "reduce_log_sum_exp", "reduce_max", "reduce_min", "reduce_product"),
    "reduce_sum_square",
)
_SHORT_ROWS: Final = {"int32": 24, "uint32": 24, "int64": 8, "uint64": 8}
"""Up to this length, rows of integers are added up in less time if they are transposed first."""
_INT64_MIN: Final = -(2**63)


@lowerings.lowers("reduce_l2", "reduce_log_sum", "reduce_log_sum_exp", "reduce_mean")
def reduce(node: Node, model: Model) -> None:
    """One node, of floats."""
    if node.attributes["axes"]:
        model.set(node.output, _reduced(node, _OP_TYPES[node.op], model[node["input"]], model))
    else:
        _reduce_nothing(node, model)


@lowerings.lowers("reduce_max", "reduce_min")
def reduce_extreme(node: Node, model: Model) -> None:
    """One node for integers; of floats, the sum of the absolute values tells whether there is a NaN among them.

    It is NaN only then. It takes a quarter of the time of `ReduceL1` in onnxruntime.
    """
    name = model[node["input"]]
    if not node.attributes["axes"]:
        _reduce_nothing(node, model)
        return
    extreme = _reduced(node, _OP_TYPES[node.op], _sortable(name, model), model)
    if model.data_type(name) in FLOATS:
        norm = _reduced(node, "ReduceSum", name if _keeps_sums(node["input"]) else model.emit("Abs", [name]), model)
        extreme = model.emit("Where", [model.emit("IsNaN", [norm]), norm, extreme])
    elif model.data_type(name) == "uint64":
        extreme = model.emit("BitwiseXor", [extreme, model.constant(_INT64_MIN)])
    model.set(node.output, extreme)


@lowerings.lowers(*(f"open_{op}" for op in _OPEN))
def open_reduce(node: Node, model: Model) -> None:
    """One node."""
    op_type = _OP_TYPES[node.op.removeprefix("open_")]
    model.set(node.output, _reduced(node, op_type, model[node["input"]], model))


def _keeps_sums(operand: MLOperand) -> bool:
    """Whether a sum over `operand` is NaN only if an element is: it does not come to infinity minus infinity."""
    node = operand.node
    while node is not None and node.op in _MOVING:
        node = node["input"].node
    if node is None:
        return False
    op = node.op
    return op in _NOT_NEGATIVE or (op in _HARDLY_NEGATIVE and operand.data_type == "float32")


@lowerings.lowers("reduce_l1", "reduce_product", "reduce_sum", "reduce_sum_square")
def reduce_arithmetic(node: Node, model: Model) -> None:
    """One node for floats; of integers, the exact result, which wraps around."""
    operand, axes = node["input"], node.attributes["axes"]
    if not axes or operand.data_type in FLOATS:
        reduce(node, model)
        return
    name = model[operand]
    if node.op == "reduce_l1":
        name = model.emit("Abs", [name])
    elif node.op == "reduce_sum_square":
        name = model.emit("Mul", [name, name])
    if node.op == "reduce_product":
        kept = [axis for axis in range(operand.rank) if axis not in axes]
        count = prod(operand.shape[axis] for axis in axes)
        name = model.reshape(
            model.transpose(name, [*kept, *sorted(axes)]), (operand.descriptor.element_count // count, count)
        )
        name = _product(name, count, model)
    else:
        name = _sum(name, operand.shape, axes, model)
    model.reshape(name, node.output.shape, to=node.output)


@lowerings.lowers("arg_min", "arg_max")
def arg(node: Node, model: Model) -> None:
    """One node; both take the first of equal values."""
    model.emit(
        "ArgMin" if node.op == "arg_min" else "ArgMax",
        [_sortable(model[node["input"]], model)],
        to=node.output,
        axis=node.attributes["axis"],
        keepdims=int(node.attributes["keep_dimensions"]),
    )


@lowerings.lowers("top_k")
def top_k(node: Node, model: Model) -> None:
    """One TopK."""
    name, k = model[node["input"]], model.constant([node.attributes["k"]])
    axis, largest = node.attributes["axis"], int(node.attributes["largest"])
    inputs, outputs = [_sortable(name, model), k], [None, node.outputs[1]]
    values, _ = model.emit_many("TopK", inputs, outputs, axis=axis, largest=largest, sorted=1)
    if model.data_type(name) == "uint64":
        values = model.emit("BitwiseXor", [values, model.constant(_INT64_MIN)])
    model.set(node.output, values)


@lowerings.lowers("cumulative_sum", "open_cumulative_sum")
def cumulative_sum(node: Node, model: Model) -> None:
    """One CumSum."""
    name = model[node["input"]]
    if model.data_type(name) == "uint64":
        name = model.cast(name, "int64")  # the bits of a sum that wraps around are the same
    name = model.emit(
        "CumSum",
        [name, model.constant(node.attributes["axis"])],
        exclusive=int(node.attributes["exclusive"]),
        reverse=int(node.attributes["reversed"]),
    )
    model.set(node.output, name)


def _reduced(node: Node, op_type: str, name: str, model: Model) -> str:
    axes = model.constant(node.attributes["axes"])
    return model.emit(op_type, [name, axes], keepdims=int(node.attributes["keep_dimensions"]))


def _reduce_nothing(node: Node, model: Model) -> None:
    """Without axes, each value by itself; runtimes do not agree on ONNX's own reductions without axes."""
    name = model[node["input"]]
    if node.op == "reduce_sum_square":
        model.emit("Mul", [name, name], to=node.output)
    else:
        model.emit(_OF_ONE_VALUE.get(node.op, "Identity"), [name], to=node.output)


def _sum(name: str, shape: Sequence[int], axes: Collection[int], model: Model) -> str:
    """The sums of integers: neighbouring axes together, each by a product with ones.

    It needs no transposition, but the kernel starts anew for each row, which takes longer than to transpose short rows.
    """
    axis = max(axes)
    first = axis
    while first - 1 in axes:
        first -= 1
    before, count, after = prod(shape[:first]), prod(shape[first : axis + 1]), prod(shape[axis + 1 :])
    data_type = model.data_type(name)
    ones = model.full(1, (count,), data_type)
    if after == 1 and count <= _SHORT_ROWS.get(data_type, 0):
        name = model.emit("MatMul", [ones, model.transpose(model.reshape(name, (before, count)), (1, 0))])
    elif after == 1:
        name = model.emit("MatMul", [model.reshape(name, (before, count)), ones])
    else:
        name = model.emit("MatMul", [ones, model.reshape(name, (before, count, after))])
    left = [each for each in axes if each < first]
    return _sum(name, [*shape[:first], *[1] * (axis + 1 - first), *shape[axis + 1 :]], left, model) if left else name


def _product(name: str, count: int, model: Model) -> str:
    """The product of each row of `[rows, count]` integers: filled up to a power of two, then one half by the other."""
    width = 1 << (count - 1).bit_length()
    if width > count:
        one = model.constant(1, model.data_type(name))
        name = model.emit("Pad", [name, model.constant([0, 0, 0, width - count]), one])
    while width > 1:
        name = model.emit("Mul", model.emit_many("Split", [name], [None, None], axis=1, num_outputs=2))
        width //= 2
    return name


def _sortable(name: str, model: Model) -> str:
    """The values as a type that the runtime can compare: uint64 becomes int64, moved down to keep its order."""
    if model.data_type(name) != "uint64":
        return name
    return model.emit("BitwiseXor", [model.cast(name, "int64"), model.constant(_INT64_MIN)])
