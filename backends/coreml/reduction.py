"""Reductions in Core ML."""

from __future__ import annotations

from typing import Final

import numpy as np

from webnn.backends.coreml.lowerings import lowerings
from webnn.backends.coreml.program import Program, Value
from webnn.graph.ir import Node

__all__: list[str] = []

_REDUCTIONS: Final = {
    "reduce_l1": "reduce_l1_norm",
    "reduce_l2": "reduce_l2_norm",
    "reduce_log_sum": "reduce_sum",
    "reduce_log_sum_exp": "reduce_log_sum_exp",
    "reduce_max": "reduce_max",
    "reduce_mean": "reduce_mean",
    "reduce_min": "reduce_min",
    "reduce_product": "reduce_prod",
    "reduce_sum": "reduce_sum",
    "reduce_sum_square": "reduce_sum_square",
}

_WIDE: Final = ("reduce_l2", "reduce_log_sum")
"""In float32, since sums may overflow float16 where the results do not."""


@lowerings.lowers(*_REDUCTIONS)
def reduce(node: Node, program: Program) -> None:
    """One reduction, which keeps the dimensions: without any, it would give a scalar."""
    x, axes = program[node["input"]], list(node.attributes["axes"])
    if not axes:
        return program.set(node.output, _alone(node, x, program))
    held = program.type_of(x)
    if node.op in _WIDE:
        x = program.cast(x, "fp32")
    result = program.emit(_REDUCTIONS[node.op], x=x, axes=axes, keep_dims=True)
    if node.op == "reduce_log_sum":
        result = program.emit("log", x=result, epsilon=program.number(0, "fp32"))
    return program.set(node.output, program.reshape(program.cast(result, held), node.output.shape))


def _alone(node: Node, x: Value, program: Program) -> Value:
    """The reduction of each value by itself."""
    match node.op:
        case "reduce_l1" | "reduce_l2":
            return program.emit("abs", x=x)
        case "reduce_log_sum":
            return program.emit("log", x=x, epsilon=program.number(0, program.type_of(x)))
        case "reduce_sum_square":
            return program.emit("mul", x=x, y=x)
    return x


@lowerings.lowers("arg_min", "arg_max")
def arg(node: Node, program: Program) -> None:
    """The first index of the smallest or largest value, which `reduce_argmin` and `reduce_argmax` do not promise."""
    x, axis = program[node["input"]], node.attributes["axis"]
    size, shape = x.shape[axis], [1] * len(x.shape)
    shape[axis] = size
    op_type = "reduce_min" if node.op == "arg_min" else "reduce_max"
    extreme = program.emit(op_type, x=x, axes=[axis], keep_dims=True)
    # Where it is another value, the index is above all others.
    other = program.cast(program.emit("not_equal", x=x, y=extreme), "int32")
    places = program.constant(np.arange(size, dtype=np.int32).reshape(shape))
    index = program.emit("add", x=program.emit("mul", x=other, y=program.number(size, "int32")), y=places)
    first = program.emit("reduce_min", x=index, axes=[axis], keep_dims=True)
    last = program.number(size - 1, "int32")  # for NaN, which equals nothing
    first = program.emit("minimum", x=first, y=last)
    program.set(node.output, program.reshape(first, node.output.shape))


@lowerings.lowers("cumulative_sum")
def cumulative_sum(node: Node, program: Program) -> None:
    """One `cumsum`. Without the value itself, it is moved by one place: coremltools raises for `exclusive`."""
    x, axis, reverse = program[node["input"]], node.attributes["axis"], node.attributes["reversed"]
    result = program.emit("cumsum", x=x, axis=axis, reverse=reverse)
    if node.attributes["exclusive"]:
        size = x.shape[axis]
        nothing = program.full(0, (*x.shape[:axis], 1, *x.shape[axis + 1 :]), program.type_of(x))
        if size == 1:
            result = nothing
        elif reverse:
            result = program.concat([program.part(result, axis, 1, size), nothing], axis)
        else:
            result = program.concat([nothing, program.part(result, axis, 0, size - 1)], axis)
    program.set(node.output, result)
