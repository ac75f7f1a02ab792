"""Quantization on arrays.

In float64, which holds every 32-bit integer, every difference of two, and the product of two float32 exactly.
"""

import math
from typing import Any

from webnn.backends.arrays.kernels import Array, Arrays, dtype_of, kernels
from webnn.graph.broadcasting import plain_broadcast
from webnn.graph.dtypes import cast_number
from webnn.graph.ir import Node


@kernels.lowers("dequantize_linear")
def dequantize_linear(xp: Any, node: Node, operands: Arrays) -> Array:
    """`(input - zero_point) * scale`."""
    blocks, values = plain_broadcast(node["scale"].shape, node["input"].shape)
    scale, zero_point = (xp.astype(xp.reshape(operands[name], blocks), xp.float64) for name in ("scale", "zero_point"))
    output = (xp.astype(xp.reshape(operands["input"], values), xp.float64) - zero_point) * scale
    return xp.astype(xp.reshape(output, node.output.shape), dtype_of(xp, node.output))


@kernels.lowers("quantize_linear")
def quantize_linear(xp: Any, node: Node, operands: Arrays) -> Array:
    """`clamp(round_even(input / scale) + zero_point)`; the quotient is a float32, so that ties are those of float32."""
    blocks, values = plain_broadcast(node["scale"].shape, node["input"].shape)
    scale, zero_point = (xp.reshape(operands[name], blocks) for name in ("scale", "zero_point"))
    quotient = xp.astype(xp.reshape(operands["input"], values), xp.float32) / xp.astype(scale, xp.float32)
    output = xp.astype(xp.round(quotient), xp.float64) + xp.astype(zero_point, xp.float64)
    lowest, highest = (cast_number(limit, node.output.data_type) for limit in (-math.inf, math.inf))
    output = xp.where(output >= lowest, xp.minimum(output, float(highest)), float(lowest))  # NaN: lowest
    integers = xp.astype(xp.reshape(output, node.output.shape), xp.int64)
    return xp.astype(integers, dtype_of(xp, node.output))
