"""Quantization in Core ML."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from webnn.backends.coreml.elementwise import truncated
from webnn.backends.coreml.lowerings import lowerings
from webnn.backends.coreml.program import Program, Value
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__: list[str] = []


@lowerings.lowers("dequantize_linear")
def dequantize_linear(node: Node, program: Program) -> None:
    """`constexpr_affine_dequantize` of constants, which stay small in the file; or `(input - zero_point) * scale`.

    The difference is taken in int32, and is exact for all but large 32-bit integers.
    """
    operand = node["input"]
    if (axis := _constant_axis(node)) is not None:
        return program.set(node.output, _constant_weights(node, axis, program))
    scale, zero_point = (_block_values(node[name], operand.shape, program) for name in ("scale", "zero_point"))
    difference = program.emit("sub", x=program[operand], y=zero_point)
    held = program.type_of(program[node["scale"]])
    product = program.emit("mul", x=program.cast(difference, "fp32"), y=program.cast(scale, "fp32"))
    return program.set(node.output, program.cast(product, held))


def _constant_axis(node: Node) -> int | None:
    """The axis along which constant weights of 8 or 4 bits have scales, if they are along one; 0 for one scale."""
    operands = [node[name] for name in ("input", "scale", "zero_point")]
    if any(operand.constant is None for operand in operands) or node["input"].rank == 0:
        return None
    if node["input"].data_type not in ("int8", "uint8", "int4", "uint4"):
        return None
    scale, input = node["scale"].shape, node["input"].shape
    several = [axis for axis, size in enumerate(scale) if size > 1]
    if not several:
        return 0
    return several[0] if len(several) == 1 and scale[several[0]] == input[several[0]] else None


def _constant_weights(node: Node, axis: int, program: Program) -> Value:
    arrays: list[Any] = [node[name].constant for name in ("input", "scale", "zero_point")]
    input, scale, zero_point = arrays
    bytes_ = np.uint8 if node["input"].data_type.startswith("u") else np.int8
    values: dict[str, Any] = {"scale": scale, "zero_point": zero_point.astype(bytes_)}
    for name, array in values.items():
        # One for all is a scalar.
        values[name] = program.literal(array.reshape(-1)[0]) if array.size == 1 else program.constant(array.reshape(-1))
    if scale.size == 1 and input.shape[axis] == 1:
        axis = 0
    return program.emit(
        "constexpr_affine_dequantize", quantized_data=program.constant(input.astype(bytes_)), axis=axis, **values
    )


@lowerings.lowers("quantize_linear")
def quantize_linear(node: Node, program: Program) -> None:
    """`clamp(round_even(input / scale) + zero_point)`, in float32, which holds sums of 8 bits; NaN is the lowest."""
    operand, data_type = node["input"], node.output.data_type
    if data_type in ("int32", "uint32") and (node["zero_point"].constant is None or node["zero_point"].constant.any()):
        raise program.refusal("no type holds sums of 32-bit integers; a constant zero point of 0 will do")
    scale, zero_point = (_block_values(node[name], operand.shape, program) for name in ("scale", "zero_point"))
    x = program.cast(program[operand], "fp32")
    quotient = program.emit("real_div", x=x, y=program.cast(scale, "fp32"))
    total = program.emit("add", x=program.emit("round", x=quotient), y=program.cast(zero_point, "fp32"))
    is_number = program.emit("equal", x=total, y=total)
    lowest = program.number(-math.inf, "fp32")
    total = program.select(is_number, total, lowest, operand.shape)
    program.set(node.output, truncated(total, data_type, program))


def _block_values(operand: MLOperand, shape: tuple[int, ...], program: Program) -> Value:
    """The scale or zero point of each value of `shape`, repeated no more than broadcasting needs."""
    value = program[operand]
    target = [size if blocks > 1 else 1 for blocks, size in zip(operand.shape, shape, strict=True)]
    return program.repeated(value, tuple(target)) if target else value
