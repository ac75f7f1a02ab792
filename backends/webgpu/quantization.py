"""Quantization on the device, which has no `QuantizeLinear`, and `DequantizeLinear` for weights of 8 and 4 bits only.

Numbers of 8 bits that are computed are kept in 32 bits (`KEPT_AS`), so they are multiplied as floats. Weights stay as
small as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from webnn.backends.onnx import quantization as standard
from webnn.backends.onnx.model import Model
from webnn.graph.broadcasting import plain_broadcast
from webnn.graph.dtypes import cast_number
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement

__all__ = ["dequantize_linear", "dequantize_weights", "needs_nibbles", "quantize_linear"]

_SMALL: Final = ("int8", "uint8")
_NIBBLES: Final = ("int4", "uint4")


def needs_nibbles(graph: Graph) -> bool:
    """Whether a weight has 4 bits, or scales in blocks, for which the operator set must be a later one."""
    return any(node.op == "dequantize_linear" and _is_weight(node) and _is_late(node) for node in graph.nodes)


def _is_weight(node: Node) -> bool:
    """Whether a `DequantizeLinear` on the device can read the numbers: they are constants of few bits."""
    small = node["input"].data_type in (*_SMALL, *_NIBBLES)
    return small and node["input"].constant is not None and node["zero_point"].constant is not None


def _is_late(node: Node) -> bool:
    form = standard._form(node["scale"].shape, node["input"].shape, movable=True)
    return node["input"].data_type in _NIBBLES or form.block_size is not None


def dequantize_linear(node: Node) -> Sequence[MLOperand] | None:
    """As floats, for numbers of 8 bits that are computed."""
    x, scale, zero_point = (node[name] for name in ("input", "scale", "zero_point"))
    if x.data_type not in _SMALL or _is_weight(node):
        return None
    builder = Replacement(node)
    blocks, values = plain_broadcast(scale.shape, x.shape)
    numbers, zero = (
        builder.cast(builder.reshape(operand, shape), scale.data_type)
        for operand, shape in ((x, values), (zero_point, blocks))
    )
    result = builder.mul(builder.sub(numbers, zero), builder.reshape(scale, blocks))
    return [builder.reshape(result, x.shape)]


def quantize_linear(node: Node) -> Sequence[MLOperand] | None:
    """As floats, to 8 bits; NaN becomes the lowest number."""
    x, scale, zero_point = (node[name] for name in ("input", "scale", "zero_point"))
    if zero_point.data_type not in _SMALL:
        return None
    builder = Replacement(node)
    blocks, values = plain_broadcast(scale.shape, x.shape)
    quotient = builder.div(builder.reshape(x, values), builder.reshape(scale, blocks))
    zero = builder.cast(builder.reshape(zero_point, blocks), x.data_type)
    sum = builder.add(builder.round_even(quotient), zero)
    low, high = (float(cast_number(limit, zero_point.data_type)) for limit in (-math.inf, math.inf))
    lowest = builder.constant(x.data_type, low)
    bounded = builder.clamp(
        builder.where(builder.greater_or_equal(sum, lowest), sum, lowest), min_value=low, max_value=high
    )
    return [builder.reshape(builder.cast(bounded, zero_point.data_type), x.shape)]


def dequantize_weights(node: Node, model: Model) -> None:
    """One `DequantizeLinear` of the weights as they are stored; of other integers as for every runtime."""
    if not _is_weight(node):
        standard.dequantize_linear(node, model)
        return
    numbers, zero_point = node["input"].constant, node["zero_point"].constant
    assert numbers is not None
    assert zero_point is not None
    form = standard._form(node["scale"].shape, node["input"].shape, movable=True)
    scale = standard._reshaped(node["scale"], model, form.blocks, form.repeated, form.scales)
    zeros = np.broadcast_to(zero_point.reshape(form.blocks), form.repeated).reshape(form.scales)
    values, axis = form.values, form.axis
    if form.block_size is not None and len(values) == 1:  # the kernel is wrong in one dimension
        values, axis = (1, *values), 1
        scale, zeros = model.reshape(scale, (1, *form.scales)), zeros.reshape(1, *form.scales)
    inputs = [model.as_stored(numbers.reshape(values)), scale, model.as_stored(zeros)]
    result = model.emit("DequantizeLinear", inputs, axis=axis, block_size=form.block_size)
    standard._give(result, values, node, model)
