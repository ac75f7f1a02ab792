"""QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear, by tensor, by axis and by block.

WebNN lacks integers of 16 and 2 bits. They are computed as floats, which hold them exactly, and as int32 and int8 for
other operators. Constants of 2 bits are held by 4 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from webnn.forking import import_whole
from webnn.formats.onnx.importing.data_types import data_type_for, is_held_as_another
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import MICROSOFT, Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.importing.values import Levels, Value
from webnn.formats.onnx.patterns.linear_quantization import (
    UINT8,
    broadcastable,
    dequantized,
    quantized,
)
from webnn.graph.composites.quantization import dynamically_quantized, fake_quantized, levels_of
from webnn.graph.dtypes import numpy_dtype
from webnn.graph.operand import MLOperand

__all__: list[str] = []


@imports("DequantizeLinear")
@imports("DequantizeLinear", domain=MICROSOFT)
def dequantize_linear(node: OnnxNode) -> Imported:
    """One operator; a missing zero point is 0."""
    x, scale, zero_point = node.operand(0), node.operand(1), node.optional(2)
    axis, block, floats = node.get_int("axis", 1), node.get_int("block_size", 0), node.value(0).floats
    levels = node.value(0).levels
    if levels is not None and levels[1:3] == _parameters(node):
        y = fake_quantized(node.builder, *levels)
    elif floats is not None and scale.data_type == floats.data_type:
        zero = _zero(node, floats, zero_point, axis, block)
        y = floats if zero is None else node.builder.sub(floats, zero)
        y = node.builder.mul(y, broadcastable(node, scale, x.shape, axis, block))
    else:
        y = dequantized(node, x, scale, zero_point, axis=axis, block=block)
    wanted = node.get_int("output_dtype", 0)
    return node.builder.cast(y, data_type_for(wanted)) if wanted and data_type_for(wanted) != y.data_type else y


@imports("QuantizeLinear")
@imports("QuantizeLinear", domain=MICROSOFT)
def quantize_linear(node: OnnxNode) -> Imported:
    """One operator, except for integers of 16 and 2 bits."""
    b, x, scale = node.builder, node.operand(0), node.operand(1)
    if x.data_type != scale.data_type:
        x, scale = (v if v.data_type == "float32" else b.cast(v, "float32") for v in (x, scale))
    axis, block = node.get_int("axis", 1), node.get_int("block_size", 0)
    dtype = _quantized_dtype(node)
    zero_point = node.optional(2)
    if zero_point is None:
        zero_point = node.constant(np.zeros(scale.shape, dtype))
    if is_held_as_another(dtype):
        divisor = broadcastable(node, scale, x.shape, axis, block)
        zero = _zero(node, x, zero_point, axis, block)
        floats = levels_of(b, x, divisor, zero, import_whole("ml_dtypes").iinfo(dtype))
        if dtype.itemsize == 1:
            return [Value(operand=b.cast(floats, "int8"), floats=floats)]
        parameters = _parameters(node) if x.data_type == "float32" else None
        levels = None if parameters is None else Levels(x, *parameters, dtype.name)
        return [Value(operand=b.cast(floats, "int32"), floats=floats, levels=levels)]
    return quantized(node, x, scale, zero_point, axis=axis, block=block)


def _parameters(node: OnnxNode) -> tuple[float, int] | None:
    """The scale and the zero point; None unless both are known, in float32, and one for the whole tensor."""
    scale, zero_point = node.known(1), node.known(2)
    if scale is None or scale.dtype != np.float32 or scale.size != 1 or (zero_point is None and node.has(2)):
        return None
    if zero_point is None:
        return scale.item(), 0
    return (scale.item(), int(zero_point.item())) if zero_point.size == 1 else None


def _zero(node: OnnxNode, x: MLOperand, zero_point: MLOperand | None, axis: int, block: int) -> MLOperand | None:
    """The zero point in the float type of `x`, or None if it is 0."""
    if zero_point is None or (zero_point.constant is not None and not zero_point.constant.any()):
        return None
    zero = broadcastable(node, zero_point, x.shape, axis, block)
    if zero.constant is None:
        return node.builder.cast(zero, x.data_type)
    return node.builder.constant(zero.constant.astype(x.descriptor.dtype))


def _quantized_dtype(node: OnnxNode) -> np.dtype[Any]:
    """The integer type in the model, which may differ from the WebNN type that holds it."""
    known = node.known(2)
    if known is not None:
        dtype: np.dtype[Any] = known.dtype
        return dtype
    if node.get_int("output_dtype", 0):
        return node.element_dtype(node.get_int("output_dtype"))
    if not node.has(2):
        return UINT8
    if node.data_type(2) == "int32":
        raise UnsupportedNodeError(
            "its zero point is computed when the model runs, and it is not known whether its 16 bits are signed",
            "a zero point that is an initializer, or the attribute output_dtype",
        )
    return numpy_dtype(node.data_type(2))


@imports("DynamicQuantizeLinear")
def dynamic_quantize_linear(node: OnnxNode) -> Imported:
    """Quantization by the largest and smallest element."""
    return list(dynamically_quantized(node.builder, node.operand(0)))
