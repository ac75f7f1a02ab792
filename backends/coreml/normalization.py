"""Normalization in Core ML.

Its own operations take scale and bias as constants only, and `layer_norm` fails with a bias and no scale. Where they do
not fit, the normalization is composed, in float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from webnn.backends.coreml.lowerings import lowerings
from webnn.backends.coreml.program import Program, Value
from webnn.graph.ir import Node

__all__: list[str] = []


@lowerings.lowers("batch_normalization")
def batch_normalization(node: Node, program: Program) -> None:
    """One `batch_norm` of constants in channels-first layout; or a difference and a product."""
    names = ("mean", "variance", "scale", "bias")
    operand, axis = node["input"], node.attributes["axis"]
    constant = all(node.get(name) is None or node[name].constant is not None for name in names)
    if constant and axis == 1 and operand.rank in (3, 4, 5):
        x = program[operand]
        result = program.emit(
            "batch_norm",
            x=x,
            mean=program[node["mean"]],
            variance=program[node["variance"]],
            gamma=_value(node, "scale", program),
            beta=_value(node, "bias", program),
            epsilon=program.number(node.attributes["epsilon"], program.type_of(x)),
        )
        return program.set(node.output, result)
    mean, variance = (_along(node, name, [axis], program) for name in ("mean", "variance"))
    x = program.cast(program[operand], "fp32")
    return _compose(node, program, program.emit("sub", x=x, y=mean), variance, [axis])


@lowerings.lowers("instance_normalization")
def instance_normalization(node: Node, program: Program) -> None:
    """With the mean and variance of height and width."""
    channels, *axes = (1, 2, 3) if node.attributes["layout"] == "nchw" else (3, 1, 2)
    _compose(node, program, *_statistics(node, program, axes), [channels])


@lowerings.lowers("layer_normalization")
def layer_normalization(node: Node, program: Program) -> None:
    """One `layer_norm` over the last axes, with a scale; or composed."""
    axes, operand = node.attributes["axes"], node["input"]
    ascending = sorted(range(len(axes)), key=axes.__getitem__)
    factors = {}
    for name, default in (("scale", 1), ("bias", 0)):
        given = node.get(name)
        if given is None:
            sizes = [operand.shape[axis] for axis in sorted(axes)]
            factors[name] = np.full(sizes, default, operand.dtype)
        elif given.constant is not None:
            factors[name] = given.constant.transpose(ascending)
    if len(factors) == 2 and axes and sorted(axes) == list(range(operand.rank - len(axes), operand.rank)):
        x = program[operand]
        result = program.emit(
            "layer_norm",
            x=x,
            axes=sorted(axes),
            gamma=program.constant(factors["scale"]),
            beta=program.constant(factors["bias"]),
            epsilon=program.number(node.attributes["epsilon"], program.type_of(x)),
        )
        return program.set(node.output, result)
    return _compose(node, program, *_statistics(node, program, axes), axes)


def _compose(node: Node, program: Program, difference: Value, variance: Value, axes: Sequence[int]) -> None:
    """`scale * difference / sqrt(variance + epsilon) + bias`, with scale and bias along `axes`."""
    held = program.type_of(program[node["input"]])
    epsilon = program.number(node.attributes["epsilon"], "fp32")
    deviation = program.emit("sqrt", x=program.emit("add", x=variance, y=epsilon))
    result = program.emit("real_div", x=difference, y=deviation)
    if (scale := _along(node, "scale", axes, program)) is not None:
        result = program.emit("mul", x=result, y=scale)
    if (bias := _along(node, "bias", axes, program)) is not None:
        result = program.emit("add", x=result, y=bias)
    program.set(node.output, program.cast(result, held))


def _statistics(node: Node, program: Program, axes: Sequence[int]) -> tuple[Value, Value]:
    """The differences from the mean over `axes`, and the variance, in float32.

    Where the mean is far from 0, it is rounded by more than the differences may be off. So it is subtracted again.
    """
    x = program.cast(program[node["input"]], "fp32")
    if not axes:  # each value is its own mean
        return program.emit("sub", x=x, y=x), program.number(0, "fp32")
    difference = x
    for _ in range(2):
        mean = program.emit("reduce_mean", x=difference, axes=list(axes), keep_dims=True)
        difference = program.emit("sub", x=difference, y=mean)
    square = program.emit("mul", x=difference, y=difference)
    return difference, program.emit("reduce_mean", x=square, axes=list(axes), keep_dims=True)


def _value(node: Node, name: str, program: Program) -> Value | None:
    operand = node.get(name)
    return None if operand is None else program[operand]


def _along(node: Node, name: str, axes: Sequence[int], program: Program) -> Value | None:
    """An operand whose dimensions are those of the input along `axes`, so that it broadcasts with the input."""
    operand = node.get(name)
    if operand is None:
        return None
    value = program[operand]
    if operand.rank > 1:
        value = program.transpose(value, sorted(range(len(axes)), key=axes.__getitem__))
    shape = [size if i in axes else 1 for i, size in enumerate(node["input"].shape)]
    return program.cast(program.reshape(value, shape), "fp32")
