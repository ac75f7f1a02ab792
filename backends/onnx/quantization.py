"""Quantization in ONNX.

ONNX knows one scale per tensor, one per index of an axis, and one per block of one axis. WebNN's blocks may lie along
every axis. Most of them become one of ONNX's forms when the data is reshaped, which moves nothing; for the others, the
scales are repeated until they do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from webnn.backends.onnx.lowerings import lowerings
from webnn.backends.onnx.model import Model
from webnn.graph.broadcasting import Shape, plain_broadcast
from webnn.graph.dtypes import cast_number
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand
from webnn.graph.quick_dataclass import dataclass
from webnn.graph.rewriting import MADE_BYTES

__all__ = ["EMULATED"]

EMULATED: Final = frozenset({"dequantize_linear", "quantize_linear"})
"""For `_WIDE` integers, which ONNX cannot quantize to, nor dequantize from with a zero point, and for `rounds_last`."""
_WIDE: Final = ("int32", "uint32")
"""They are quantized with several operators in float64, which holds them."""


@dataclass(frozen=True, slots=True)
class _Form:
    """How ONNX can say which scale holds for which value.

    The data is reshaped to `values`; the scales to `blocks`, repeated to `repeated`, and reshaped to `scales`.
    """

    values: Shape
    blocks: Shape
    repeated: Shape
    scales: Shape
    axis: int | None = None
    block_size: int | None = None


def _form(scale: Shape, input: Shape, *, movable: bool) -> _Form:
    several = [i for i, size in enumerate(scale) if size > 1]
    if not several:
        return _Form(input, scale, scale, ())
    if len(several) == 1 and scale[several[0]] == input[several[0]]:
        return _Form(input, scale, scale, (scale[several[0]],), axis=several[0])
    blocked = [i for i, size in enumerate(scale) if size < input[i]] or [0]
    if len(blocked) == 1:
        return _Form(input, scale, scale, scale, axis=blocked[0], block_size=input[blocked[0]] // scale[blocked[0]])
    if not movable:
        return _in_place(scale, input, blocked)
    blocks, values = plain_broadcast(scale, input)
    several = [i for i, size in enumerate(blocks) if size > 1]
    if len(several) == 1:
        return _Form(values, blocks, blocks, (blocks[several[0]],), axis=several[0])
    kept = max((size, i) for i, size in enumerate(values) if blocks[i] == 1)[1]
    repeated = tuple(1 if i == kept else size for i, size in enumerate(values))
    before, after = math.prod(repeated[:kept]), math.prod(repeated[kept:])
    return _Form((before, values[kept], after), blocks, repeated, (before, 1, after), axis=1, block_size=values[kept])


def _in_place(scale: Shape, input: Shape, blocked: Sequence[int]) -> _Form:
    """The data as it is, and scales in blocks along one axis alone: the one that saves most of them."""
    axis = max(blocked, key=lambda i: input[i] // scale[i])
    scales = (*input[:axis], scale[axis], *input[axis + 1 :])
    blocks, repeated = plain_broadcast(scale, scales)
    return _Form(input, blocks, repeated, scales, axis=axis, block_size=input[axis] // scale[axis])


def _reshaped(
    operand: MLOperand, model: Model, shape: Shape, repeated: Shape | None = None, final: Shape | None = None
) -> str:
    """`operand` with `shape`, then repeated to `repeated`, then with the shape `final`."""
    wider = shape if repeated is None else repeated
    last = wider if final is None else final
    if shape == wider == last == operand.shape:
        return model[operand]
    # A small constant that is repeated to a large one is left to the runtime.
    if operand.constant is not None and (wider == shape or operand.constant.itemsize * math.prod(wider) <= MADE_BYTES):

        def reshape(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            return np.broadcast_to(array.reshape(shape), wider).reshape(last)

        return model.derived([operand], ("blocks", shape, wider, last), reshape)
    name = model[operand]
    if wider != shape:
        name = model.emit("Expand", [model.reshape(name, shape), model.constant(wider)])
    return model.reshape(name, last)


def _one_node(op_type: str, node: Node, model: Model, operands: list[MLOperand]) -> None:
    """The node, on `input`, `scale` and the rest of `operands`, in the form that the shapes allow."""
    input, *parameters = operands
    # Numbers of 4 bits that are computed stay as they are: neither WebNN nor most runtimes reshape them.
    movable = input.constant is not None or not {input.data_type, node.output.data_type} & {"int4", "uint4"}
    form = _form(node["scale"].shape, input.shape, movable=movable)
    names = [_reshaped(input, model, form.values)]
    names += [_reshaped(operand, model, form.blocks, form.repeated, form.scales) for operand in parameters]
    _give(model.emit(op_type, names, axis=form.axis, block_size=form.block_size), form.values, node, model)


def _give(name: str, shape: Shape, node: Node, model: Model) -> None:
    """The value called `name`, which has `shape`, is the node's output."""
    if shape == node.output.shape:
        model.set(node.output, name)
    else:
        model.reshape(name, node.output.shape, to=node.output)


@lowerings.lowers("dequantize_linear")
def dequantize_linear(node: Node, model: Model) -> None:
    """One `DequantizeLinear`, but for 32-bit integers with a zero point."""
    input, scale, zero_point = (node[name] for name in ("input", "scale", "zero_point"))
    if input.data_type not in _WIDE:
        _one_node("DequantizeLinear", node, model, [input, scale, zero_point])
    elif input.data_type == "int32" and zero_point.constant is not None and not zero_point.constant.any():
        _one_node("DequantizeLinear", node, model, [input, scale])
    else:
        blocks, values = plain_broadcast(scale.shape, input.shape)
        x = model.cast(_reshaped(input, model, values), "float64")
        factor, zero = (model.cast(_reshaped(operand, model, blocks), "float64") for operand in (scale, zero_point))
        output = model.cast(model.emit("Mul", [model.emit("Sub", [x, zero]), factor]), scale.data_type)
        _give(output, values, node, model)


def _may_be_odd(zero_point: MLOperand) -> bool:
    return zero_point.constant is None or bool((zero_point.constant.astype(np.int32) & 1).any())


@lowerings.lowers("quantize_linear")
def quantize_linear(node: Node, model: Model) -> None:
    """One `QuantizeLinear`, but for 32-bit integers, and for odd zero points where the runtime rounds last."""
    input, scale, zero_point = (node[name] for name in ("input", "scale", "zero_point"))
    if zero_point.data_type not in _WIDE and not (model.kernels.rounds_last and _may_be_odd(zero_point)):
        _one_node("QuantizeLinear", node, model, [input, scale, zero_point])
        return
    blocks, values = plain_broadcast(scale.shape, input.shape)
    exact = "float64" if zero_point.data_type in _WIDE else "float32"
    lowest, highest = (
        model.constant(cast_number(limit, zero_point.data_type), exact) for limit in (-math.inf, math.inf)
    )
    x, divisor = (
        model.cast(_reshaped(operand, model, shape), "float32") for operand, shape in ((input, values), (scale, blocks))
    )
    zero = model.cast(_reshaped(zero_point, model, blocks), exact)
    quotient = model.cast(model.emit("Round", [model.emit("Div", [x, divisor])]), exact)
    sum = model.emit("Add", [quotient, zero])
    # NaN becomes the lowest value, as QuantizeLinear makes it.
    within = model.emit("Clip", [sum, lowest, highest])
    clamped = model.emit("Where", [model.emit("IsNaN", [sum]), lowest, within])
    _give(model.cast(clamped, zero_point.data_type), values, node, model)


@lowerings.lowers("fake_quantize")
def fake_quantize(node: Node, model: Model) -> None:
    """`QuantizeLinear` and `DequantizeLinear`."""
    scale = model.constant(node.attributes["scale"], "float32")
    zero_point = model.constant(node.attributes["zero_point"], node.attributes["data_type"])
    levels = model.emit("QuantizeLinear", [model[node["input"]], scale, zero_point])
    model.emit("DequantizeLinear", [levels, scale, zero_point], to=node.output)


@lowerings.lowers("dynamic_quantize_linear")
def dynamic_quantize_linear(node: Node, model: Model) -> None:
    """One `DynamicQuantizeLinear`."""
    model.emit_many("DynamicQuantizeLinear", [model[node["input"]]], node.outputs)


@lowerings.lowers("matmul_integer")
def matmul_integer(node: Node, model: Model) -> None:
    """One `MatMulInteger`, which runtimes combine with the operators around it."""
    operands = (node.get(name) for name in ("a", "b", "a_zero_point", "b_zero_point"))
    model.emit("MatMulInteger", ["" if x is None else model[x] for x in operands], to=node.output)
