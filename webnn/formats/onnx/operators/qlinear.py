"""Operators on quantized tensors (QLinearConv and others): dequantize, compute with floats, quantize.

Backends recognize this form and compute with integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import MICROSOFT, Imported, imports
from webnn.formats.onnx.patterns.channel_layout import channels_first, channels_last
from webnn.formats.onnx.patterns.folded_movement import reshaped
from webnn.formats.onnx.patterns.linear_quantization import (
    dequantized,
    dequantized_input,
    quantized,
)
from webnn.formats.onnx.patterns.onnx_operator import onnx_operator, onnx_operator_outputs
from webnn.formats.onnx.patterns.sliding_windows import Windows
from webnn.graph.composites.quantization import dynamically_quantized, floats_of_gates, lstm_of_quantized_weights
from webnn.graph.operand import MLOperand
from webnn.graph.operators.recurrent import MLRecurrentNetworkDirection

__all__: list[str] = []


def _requantized(node: OnnxNode, y: MLOperand, index: int, like: int = 0, *, axis: int = 0) -> MLOperand:
    """`y`, quantized by inputs `index` and `index + 1`; without a zero point, to the type of input `like`."""
    zero_point = node.optional(index + 1)
    if zero_point is None:
        zero_point = node.builder.constant(node.data_type(like), 0)
    return quantized(node, y, node.operand(index), zero_point, axis=axis)


def _product_of_scales(node: OnnxNode, a: MLOperand, b: MLOperand, alpha: float = 1.0) -> MLOperand:
    """`a * b * alpha`, as a constant if both are constants."""
    if a.constant is not None and b.constant is not None:
        return node.constant(np.asarray(a.constant * b.constant * a.constant.dtype.type(alpha)))
    product = node.builder.mul(a, b)
    return product if alpha == 1 else node.builder.linear(product, alpha=alpha)


@imports("QLinearMatMul")
def qlinear_matmul(node: OnnxNode) -> Imported:
    """A matrix product with scales by row of the first matrix, by column of the second, or by tensor."""
    rows = max(node.rank(0) - 2, 0)
    y = onnx_operator(
        node,
        "MatMul",
        [dequantized_input(node, 0, axis=rows), dequantized_input(node, 3, axis=max(node.rank(3) - 1, 0))],
    )
    return _requantized(node, y, 6, axis=max(y.rank - 2, 0))


@imports("QLinearConv")
@imports("QLinearConv", domain=MICROSOFT)
def qlinear_conv(node: OnnxNode) -> Imported:
    """A convolution; its bias is int32 in the scale of the products."""
    b = node.builder
    x, w, bias = dequantized_input(node, 0), dequantized_input(node, 3), None
    if node.has(8):
        scale = _product_of_scales(node, reshaped(node, node.operand(1), []), _vector(node, node.operand(4)))
        bias = dequantized(node, node.operand(8), scale)
    last = node.get_int("channels_last", 0)
    y = onnx_operator(node, "Conv", [channels_first(b, x) if last else x, w, bias], node.attributes)
    return _requantized(node, channels_last(b, y) if last else y, 6)


def _vector(node: OnnxNode, x: MLOperand) -> MLOperand:
    return reshaped(node, x, [int(np.prod(x.shape))])


@imports("QLinearAdd", "QLinearMul", domain=MICROSOFT)
def qlinear_binary(node: OnnxNode) -> Imported:
    """A sum or product of two operands that broadcast."""
    x, y = dequantized_input(node, 0), dequantized_input(node, 3)
    result = node.builder.add(x, y) if node.op_type == "QLinearAdd" else node.builder.mul(x, y)
    return _requantized(node, result, 6)


@imports("QLinearSigmoid", "QLinearLeakyRelu", domain=MICROSOFT)
def qlinear_activation(node: OnnxNode) -> Imported:
    """An activation."""
    x = dequantized_input(node, 0)
    if node.op_type == "QLinearSigmoid":
        y = node.builder.sigmoid(x)
    else:
        y = node.builder.leaky_relu(x, alpha=node.get_float("alpha", 0.01))
    return _requantized(node, y, 3)


@imports("QLinearAveragePool", "QLinearGlobalAveragePool", domain=MICROSOFT)
def qlinear_average_pool(node: OnnxNode) -> Imported:
    """An average pooling, with channels first or last."""
    b, x, last = node.builder, dequantized_input(node, 0), node.get_int("channels_last", 0)
    x = channels_first(b, x) if last else x
    attributes: dict[str, Any] = dict(node.attributes)
    if node.get_int("count_include_pad", 0) and node.get_int("ceil_mode", 0):
        attributes |= _whole_windows(node, x)
    y = onnx_operator(node, node.op_type.removeprefix("QLinear"), [x], attributes)
    return _requantized(node, channels_last(b, y) if last else y, 3)


def _whole_windows(node: OnnxNode, x: MLOperand) -> dict[str, Any]:
    """Padding after which all windows fit: what is beyond the end counts here, though not in `AveragePool`."""
    windows = Windows.of(node, x.shape, node.get_ints("kernel_shape"))
    windows.pad_automatically(node.get_string("auto_pad", "NOTSET"))
    rows = zip(
        windows.counts(ceil=True), windows.strides, windows.spans, windows.sizes, windows.before, windows.after,
        strict=True,
    )  # fmt: skip
    after = [max((count - 1) * stride + span - size - before, end) for count, stride, span, size, before, end in rows]
    return {"pads": [*windows.before, *after], "auto_pad": "NOTSET", "ceil_mode": 0}


@imports("QLinearSoftmax", domain=MICROSOFT)
def qlinear_softmax(node: OnnxNode) -> Imported:
    """Softmax as in the opset that an attribute names."""
    axis = {"axis": node.get_int("axis", -1)}
    y = onnx_operator(node, "Softmax", [dequantized_input(node, 0)], axis, version=node.get_int("opset"))
    return _requantized(node, y, 3)


@imports("QLinearReduceMean", domain=MICROSOFT)
def qlinear_reduce_mean(node: OnnxNode) -> Imported:
    """A mean over the axes of an attribute."""
    return _requantized(
        node, onnx_operator(node, "ReduceMean", [dequantized_input(node, 0)], node.attributes, version=13), 3
    )


@imports("QLinearConcat", domain=MICROSOFT)
def qlinear_concat(node: OnnxNode) -> Imported:
    """Inputs joined along an axis. The scale and zero point of the output come first."""
    if len(node.inputs) < 5 or len(node.inputs) % 3 != 2:
        raise DataError(f"expected a scale, a zero point and three inputs for each part, got {len(node.inputs)} inputs")
    parts = [dequantized_input(node, i) for i in range(2, len(node.inputs), 3)]
    y = node.builder.concat(parts, node.axis(node.get_int("axis"), parts[0].rank)) if len(parts) > 1 else parts[0]
    return _requantized(node, y, 0, 2)


@imports("QLinearWhere", domain=MICROSOFT)
def qlinear_where(node: OnnxNode) -> Imported:
    """Elements of one operand or the other, by a condition."""
    y = node.builder.where(node.operand(0), dequantized_input(node, 1), dequantized_input(node, 4))
    return _requantized(node, y, 7, 1)


@imports("QGemm", domain=MICROSOFT)
def qgemm(node: OnnxNode) -> Imported:
    """Gemm with a quantized output, or floats if it has no scale. `C` is int32 in the scale of the products."""
    transposed = bool(node.get_int("transB", 0))
    alpha = node.get_float("alpha", 1.0)
    a, b, c = dequantized_input(node, 0), dequantized_input(node, 3, axis=0 if transposed else 1), None
    if node.has(6):
        scale = _product_of_scales(node, reshaped(node, node.operand(1), []), _vector(node, node.operand(4)), alpha)
        c = dequantized(node, node.operand(6), scale, axis=node.rank(6) - 1)
    y = node.builder.gemm(a, b, c=c, alpha=alpha, a_transpose=bool(node.get_int("transA", 0)), b_transpose=transposed)
    return _requantized(node, y, 7) if node.has(7) else y


@imports("QAttention", domain=MICROSOFT)
def qattention(node: OnnxNode) -> Imported:
    """Attention with dequantized input and weights."""
    x = dequantized(node, node.operand(0), node.operand(3), node.optional(6))
    w = dequantized(node, node.operand(1), node.operand(4), node.optional(7), axis=1)
    inputs = [x, w, node.optional(2), node.optional(5), node.optional(8)]
    return onnx_operator_outputs(
        node, "Attention", inputs, node.attributes, outputs=len(node.outputs), domain=MICROSOFT
    )


@imports("DynamicQuantizeLSTM", domain=MICROSOFT)
def dynamic_quantize_lstm(node: OnnxNode) -> Imported:
    """A composite, or with options that it lacks, an LSTM of the weights as floats over the input rounded to 8 bits.

    ONNX Runtime rounds the hidden state, too, after each step; the LSTM does not.
    """
    x = node.operand(0)
    weights = [_weight_of_gates(node, 1, 8), _weight_of_gates(node, 2, 10)]
    if _is_plain(node, *(each[0].shape for each in weights)) and all(_suits_kernels(*each) for each in weights):
        (weight, *first), (recurrent, *second) = ([node.constant(array) for array in each] for each in weights)
        return lstm_of_quantized_weights(
            node.builder,
            x,
            weight,
            recurrent,
            scales=(first[0], second[0]),
            zero_points=(first[1], second[1]),
            direction=_DIRECTIONS[node.get_string("direction", "forward")],
            bias=node.optional(3),
            initial_hidden_state=node.optional(5),
            initial_cell_state=node.optional(6),
        )
    levels, scale, zero_point = dynamically_quantized(node.builder, x)
    others = [node.optional(i) if node.known(i) is None else node.known(i) for i in range(3, 8)]
    floats = [node.constant(floats_of_gates(*each)) for each in weights]
    inputs = [dequantized(node, levels, scale, zero_point), *floats, *others]
    return onnx_operator_outputs(node, "LSTM", inputs, node.attributes, outputs=len(node.outputs))


_DIRECTIONS: Final[Mapping[str, MLRecurrentNetworkDirection]] = {
    "forward": "forward",
    "reverse": "backward",
    "bidirectional": "both",
}
_Array: TypeAlias = np.ndarray[Any, Any]


def _weight_of_gates(node: OnnxNode, index: int, scale: int) -> tuple[_Array, _Array, _Array]:
    """Input `index`, `[directions, inputs, gates]`, with its scales and their zero points."""
    weight = node.array(index, "the weights")
    scales, zeros = node.array(scale, "the scale of the weights"), node.array(scale + 1, "their zero point")
    if weight.ndim != 3 or any(a.shape not in ((1,), weight.shape[:1], weight.shape[::2]) for a in (scales, zeros)):
        raise DataError(f"scales {list(scales.shape)} and {list(zeros.shape)} do not fit weights {list(weight.shape)}")
    return weight, scales, zeros


def _suits_kernels(weight: _Array, scales: _Array, zeros: _Array) -> bool:
    """Whether the kernel of ONNX Runtime has these scales: those by gate want one zero point, which is 0 for int8."""
    if scales.shape != zeros.shape or scales.shape[0] != weight.shape[0]:
        return False
    return scales.ndim == 1 or bool((zeros == (0 if zeros.dtype == np.int8 else zeros.flat[0])).all())


def _is_plain(node: OnnxNode, weight: tuple[int, ...], recurrent: tuple[int, ...]) -> bool:
    """Whether an LSTM has only the default activations, its two states and a bias, and all shapes fit each other."""
    direction, lengths = node.get_string("direction", "forward"), node.known(4)
    directions, hidden = 2 if direction == "bidirectional" else 1, recurrent[1]
    if node.rank(0) != 3 or direction not in _DIRECTIONS:
        return False
    steps, batch, size = node.shape(0)
    state = (directions, batch, hidden)
    shapes = {3: (directions, 8 * hidden), 5: state, 6: state}
    activations = [name.lower() for name in node.get_strings("activations", ())]
    return (
        weight == (directions, size, 4 * hidden)
        and recurrent == (directions, hidden, 4 * hidden)
        and all(node.shape(i) == shape for i, shape in shapes.items() if node.has(i))
        and activations in ([], ["sigmoid", "tanh", "tanh"] * directions)
        and not node.get_float("clip", 0.0)
        and not node.get_int("input_forget", 0)
        and not node.has(7)
        and (not node.has(4) or (lengths is not None and bool((lengths == steps).all())))
    )
