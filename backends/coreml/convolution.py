"""Convolution in Core ML, whose operations are in the layout "nchw"."""

from __future__ import annotations

from typing import Any

import numpy as np

from webnn.backends.coreml.lowerings import lowerings
from webnn.backends.coreml.program import Program, Value
from webnn.graph.ir import Node
from webnn.graph.windows import permutation, sweeps

__all__: list[str] = []


def _filter(node: Node, layout: str, program: Program) -> Value:
    operand, order = node["filter"], permutation(node.attributes["filter_layout"], layout)
    if operand.constant is not None:
        return program.constant(operand.constant.transpose(order))
    return program.transpose(program[operand], order)


def _input(node: Node, program: Program) -> Value:
    return program.transpose(program[node["input"]], permutation(node.attributes["input_layout"], "nchw"))


def _finish(node: Node, program: Program, y: Value) -> None:
    program.set(node.output, program.transpose(y, permutation("nchw", node.attributes["input_layout"])))


def _bias(node: Node, program: Program) -> Value | None:
    operand = node.get("bias")
    return None if operand is None else program[operand]


@lowerings.lowers("conv2d")
def conv2d(node: Node, program: Program) -> None:
    """One `conv`; a filter that is computed is spread by zeros, since its dilations must be 1."""
    options: Any = node.attributes
    weight, dilations = _filter(node, "oihw", program), options["dilations"]
    if node["filter"].constant is None and set(dilations) != {1}:
        for axis, dilation in zip((2, 3), dilations, strict=True):
            weight = _spread(weight, axis, dilation, program)
        dilations = (1, 1)
    y = program.emit(
        "conv",
        x=_input(node, program),
        weight=weight,
        bias=_bias(node, program),
        strides=list(options["strides"]),
        pad_type="custom",
        pad=list(options["padding"]),
        dilations=list(dilations),
        groups=options["groups"],
    )
    _finish(node, program, y)


def _spread(weight: Value, axis: int, dilation: int, program: Program) -> Value:
    """The filter with zeros between its values along `axis`."""
    size = weight.shape[axis]
    if dilation == 1 or size == 1:
        return weight
    before, after = int(np.prod(weight.shape[:axis])), int(np.prod(weight.shape[axis + 1 :]))
    column = program.reshape(weight, (before, size, 1, after))
    zeros = program.full(0, (before, size, dilation - 1, after), program.type_of(weight))
    spread = program.reshape(
        program.concat([column, zeros], 2), (*weight.shape[:axis], size * dilation, *weight.shape[axis + 1 :])
    )
    return program.part(spread, axis, 0, (size - 1) * dilation + 1)


@lowerings.lowers("conv_transpose2d")
def conv_transpose2d(node: Node, program: Program) -> None:
    """One `conv_transpose`; where its padding cannot give the output's sizes, it is cut, or padded before the bias.

    coremltools raises for a bias that is computed, which is added afterwards too.
    """
    options: Any = node.attributes
    x, weight, bias = _input(node, program), _filter(node, "iohw", program), _bias(node, program)
    outputs = options["output_sizes"]
    both = sweeps(x.shape[2:], weight.shape[2:], options["padding"], options["strides"], options["dilations"])
    # The padding at the end, less the values that the output has beyond it.
    ends = [sweep.transposed_size + sweep.end - size for sweep, size in zip(both, outputs, strict=True)]
    fits = all(end >= 0 for end in ends)
    inside = fits and node.get("bias") is not None and node["bias"].constant is not None
    pad = [number for sweep, end in zip(both, ends, strict=True) for number in (sweep.begin, end)]
    y = program.emit(
        "conv_transpose",
        x=x,
        weight=weight,
        bias=bias if inside else None,
        pad_type="custom",
        pad=pad if fits else [0] * 4,
        strides=list(options["strides"]),
        dilations=list(options["dilations"]),
        groups=options["groups"],
    )
    if not fits:
        for axis, sweep, size, end in zip((2, 3), both, outputs, ends, strict=True):
            y = program.part(y, axis, sweep.begin, min(y.shape[axis], sweep.begin + size))
            if end < 0:
                after = [0] * 4
                after[axis] = -end
                y = program.padded(y, [0] * 4, after, 0)
    if bias is not None and not inside:
        y = program.emit("add", x=y, y=program.reshape(bias, (1, -1, 1, 1)))
    _finish(node, program, y)
