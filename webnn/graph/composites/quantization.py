"""Quantization in forms that WebNN lacks: by the range of a tensor, in the steps of an LSTM, and by other integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand
from webnn.graph.operators.recurrent import MLRecurrentNetworkDirection

__all__ = ["dynamically_quantized", "fake_quantized", "floats_of_gates", "levels_of", "lstm_of_quantized_weights"]


def dynamically_quantized(b: Builder, x: MLOperand) -> list[MLOperand]:
    """`x` in float32 quantized to uint8 over its range and 0; with its scale and its zero point, both scalars."""
    outputs = [
        MLOperandDescriptor("uint8", x.shape),
        MLOperandDescriptor("float32", ()),
        MLOperandDescriptor("uint8", ()),
    ]
    return compose(b, "dynamic_quantize_linear", {"input": x}, outputs)


@composite
def dynamic_quantize_linear(b: Builder, node: Node) -> Sequence[MLOperand]:
    """By the largest and smallest element."""
    x = node["input"]

    def number(value: float) -> MLOperand:
        return b.constant("float32", value)

    largest = b.clamp(b.reduce_max(x), min_value=0.0)
    smallest = b.clamp(b.reduce_min(x), max_value=0.0)
    span = b.sub(largest, smallest)
    scale = b.where(b.equal(span, number(0.0)), number(1.0), b.div(span, number(255.0)))
    zero = b.round_even(b.clamp(b.neg(b.div(smallest, scale)), min_value=0.0, max_value=255.0))
    zero_point = b.cast(zero, "uint8")
    aligned = [b.reshape(parameter, [1] * x.rank) for parameter in (scale, zero_point)]
    return [b.quantize_linear(x, *aligned), scale, zero_point]


def lstm_of_quantized_weights(
    b: Builder,
    x: MLOperand,
    weight: MLOperand,
    recurrent_weight: MLOperand,
    *,
    scales: Sequence[MLOperand],
    zero_points: Sequence[MLOperand],
    direction: MLRecurrentNetworkDirection,
    bias: MLOperand | None,
    initial_hidden_state: MLOperand | None,
    initial_cell_state: MLOperand | None,
) -> list[MLOperand]:
    """An LSTM whose input and hidden state are rounded to 8 bits by their range; the state only where a backend can.

    Args:
        b: the builder of the operands.
        x: float32, `[steps, batch, inputs]`.
        weight: constant integers of 8 bits, `[directions, inputs, 4 * hidden]`, the gates in the order i, o, f, g.
        recurrent_weight: the same of the hidden state, `[directions, hidden, 4 * hidden]`.
        scales: of the two weights, constants of float32, `[directions]` or `[directions, 4 * hidden]`.
        zero_points: of the two weights, constants in the shapes of their scales.
        direction: forward, backward or both.
        bias: `[directions, 8 * hidden]`, for the input and for the hidden state.
        initial_hidden_state: `[directions, batch, hidden]`.
        initial_cell_state: the same.

    Returns:
        The hidden state of each step, `[steps, directions, batch, hidden]`, and the last hidden and cell states.
    """
    directions, hidden, _ = recurrent_weight.shape
    steps, batch, _ = x.shape
    operands = {"input": x, "weight": weight, "recurrent_weight": recurrent_weight}
    operands |= {"weight_scale": scales[0], "weight_zero_point": zero_points[0]}
    operands |= {"recurrent_scale": scales[1], "recurrent_zero_point": zero_points[1]}
    states = {"initial_hidden_state": initial_hidden_state, "initial_cell_state": initial_cell_state}
    operands |= {name: given for name, given in {"bias": bias, **states}.items() if given is not None}
    sequence = MLOperandDescriptor("float32", [steps, directions, batch, hidden])
    last = MLOperandDescriptor("float32", [directions, batch, hidden])
    outputs = [sequence, last, last]
    return compose(b, "dynamic_quantize_lstm", operands, outputs, hidden_size=hidden, steps=steps, direction=direction)


@composite
def dynamic_quantize_lstm(b: Builder, node: Node) -> Sequence[MLOperand]:
    """An LSTM of the floats that the weights stand for, over the rounded input; its hidden state is not rounded."""
    x, scale, zero_point = dynamically_quantized(b, node["input"])
    aligned = [b.reshape(parameter, [1] * x.rank) for parameter in (scale, zero_point)]
    hidden, bias = node.attributes["hidden_size"], node.get("bias")
    parts = [None, None] if bias is None else b.split(bias, 2, axis=1)
    last, cell, sequence = b.lstm(
        b.dequantize_linear(x, *aligned),
        _floats(b, node, "weight", "weight_scale", "weight_zero_point"),
        _floats(b, node, "recurrent_weight", "recurrent_scale", "recurrent_zero_point"),
        node.attributes["steps"],
        hidden,
        bias=parts[0],
        recurrent_bias=parts[1],
        initial_hidden_state=node.get("initial_hidden_state"),
        initial_cell_state=node.get("initial_cell_state"),
        return_sequence=True,
        direction=node.attributes["direction"],
        layout="iofg",
    )
    return [sequence, last, cell]


def _floats(b: Builder, node: Node, *names: str) -> MLOperand:
    arrays = [node[name].constant for name in names]
    return b.constant(floats_of_gates(*(array for array in arrays if array is not None)))


def floats_of_gates(
    weight: np.ndarray[Any, Any], scale: np.ndarray[Any, Any], zero_point: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Weights of a recurrent network, `[directions, inputs, gates]`, as floats, `[directions, gates, inputs]`.

    `scale` and `zero_point` have a number for each direction, or one for each gate of it.
    """
    scale, zero_point = (each.reshape(each.shape[0], 1, -1).astype(np.float32) for each in (scale, zero_point))
    return np.ascontiguousarray(((weight.astype(np.float32) - zero_point) * scale).transpose(0, 2, 1))


class Bounds(Protocol):
    """The least and the greatest integer of a type, as in `numpy.iinfo` and `ml_dtypes.iinfo`."""

    @property
    def min(self) -> int: ...

    @property
    def max(self) -> int: ...


def fake_quantized(b: Builder, x: MLOperand, scale: float, zero_point: int, data_type: str) -> MLOperand:
    """`x`, float32, quantized to `data_type`, int16 or uint16, with one scale and zero point for all, and dequantized.

    NaN becomes one of the integers where a runtime has a kernel for it, and stays NaN elsewhere.
    """
    output = [x.descriptor]
    return compose(b, "fake_quantize", {"input": x}, output, scale=scale, zero_point=zero_point, data_type=data_type)[0]


@composite
def fake_quantize(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The levels in float32, which holds them exactly, and what they stand for."""
    scale = b.constant("float32", node.attributes["scale"])
    zero = float(node.attributes["zero_point"])
    offset = b.constant("float32", zero) if zero else None
    levels = levels_of(b, node["input"], scale, offset, np.iinfo(node.attributes["data_type"]))
    return [b.mul(levels if offset is None else b.sub(levels, offset), scale)]


def levels_of(b: Builder, x: MLOperand, scale: MLOperand, zero: MLOperand | None, bounds: Bounds) -> MLOperand:
    """`x` in steps of `scale` from `zero`, as whole floats within the bounds of an integer type."""
    levels = b.round_even(b.div(x, scale))
    levels = levels if zero is None else b.add(levels, zero)
    return b.clamp(levels, min_value=float(bounds.min), max_value=float(bounds.max))
