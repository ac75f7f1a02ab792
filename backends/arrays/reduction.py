"""Reductions on arrays: floats in a wider type, integers in their own, where they wrap around."""

from __future__ import annotations

from typing import Any

from webnn.backends.arrays.kernels import Array, Arrays, dtype_of, kernels
from webnn.graph.dtypes import FLOATS
from webnn.graph.ir import Node


@kernels.lowers(
    "reduce_l1",
    "reduce_l2",
    "reduce_log_sum",
    "reduce_log_sum_exp",
    "reduce_max",
    "reduce_mean",
    "reduce_min",
    "reduce_product",
    "reduce_sum",
    "reduce_sum_square",
)
def reduce(xp: Any, node: Node, operands: Arrays) -> Array:
    """The reduction function, over all the values along the axes."""
    dtype = dtype_of(xp, node.output)
    wide = xp.float64 if node.output.data_type in FLOATS else dtype
    x = xp.astype(operands["input"], wide)
    axis, keepdims = node.attributes["axes"], node.attributes["keep_dimensions"]

    def total(values: Array) -> Array:
        return xp.sum(values, axis=axis, dtype=wide, keepdims=keepdims)

    match node.op:
        case "reduce_l1":
            output = total(xp.abs(x))
        case "reduce_l2":
            output = xp.sqrt(total(x * x))
        case "reduce_log_sum":
            output = xp.log(total(x))
        case "reduce_log_sum_exp":
            # exp(x) may be too large, exp(x - the largest) is not; an infinite one must not give inf - inf.
            largest = xp.max(x, axis=axis, keepdims=True)
            largest = xp.where(xp.isfinite(largest), largest, 0.0)
            logarithm = xp.log(xp.sum(xp.exp(x - largest), axis=axis, keepdims=True)) + largest
            output = xp.reshape(logarithm, node.output.shape)
        case "reduce_max":
            output = xp.max(x, axis=axis, keepdims=keepdims)
        case "reduce_mean":
            output = xp.mean(x, axis=axis, keepdims=keepdims)
        case "reduce_min":
            output = xp.min(x, axis=axis, keepdims=keepdims)
        case "reduce_product":
            output = xp.prod(x, axis=axis, dtype=wide, keepdims=keepdims)
        case "reduce_sum":
            output = total(x)
        case "reduce_sum_square":
            output = total(x * x)
    return xp.astype(output, dtype)


@kernels.lowers("arg_min", "arg_max")
def arg(xp: Any, node: Node, operands: Arrays) -> Array:
    """The first index of the smallest or largest value."""
    function = xp.argmin if node.op == "arg_min" else xp.argmax
    index = function(operands["input"], axis=node.attributes["axis"], keepdims=node.attributes["keep_dimensions"])
    return xp.astype(index, dtype_of(xp, node.output))


@kernels.lowers("cumulative_sum")
def cumulative_sum(xp: Any, node: Node, operands: Arrays) -> Array:
    """Running sums, from the end if reversed, one place later if exclusive."""
    dtype, axis = dtype_of(xp, node.output), node.attributes["axis"]
    x = xp.moveaxis(operands["input"], axis, 0)
    if node.attributes["reversed"]:
        x = xp.flip(x, axis=0)
    output = xp.cumulative_sum(x, axis=0, dtype=xp.float64 if node.output.data_type in FLOATS else dtype)
    if node.attributes["exclusive"]:
        output = xp.concat([xp.zeros_like(output[:1, ...]), output[:-1, ...]], axis=0)
    if node.attributes["reversed"]:
        output = xp.flip(output, axis=0)
    return xp.astype(xp.moveaxis(output, 0, axis), dtype)
