"""The activation functions in Core ML."""

from __future__ import annotations

import math
from typing import Final

from webnn.backends.coreml.lowerings import lowerings, one_to_one
from webnn.backends.coreml.program import Program
from webnn.graph.dtypes import FLOATS
from webnn.graph.ir import Node

__all__: list[str] = []

one_to_one({"gelu": "gelu", "sigmoid": "sigmoid", "softplus": "softplus", "softsign": "softsign", "tanh": "tanh"})

_WITH_OPTIONS: Final = {
    "elu": "elu",
    "hard_sigmoid": "sigmoid_hard",
    "leaky_relu": "leaky_relu",
    "linear": "linear_activation",
}


@lowerings.lowers(*_WITH_OPTIONS)
def activation(node: Node, program: Program) -> None:
    """One operation, whose options have the same names."""
    x = program[node["input"]]
    options = {name: program.number(value, program.type_of(x)) for name, value in node.attributes.items()}
    program.set(node.output, program.emit(_WITH_OPTIONS[node.op], x=x, **options))


@lowerings.lowers("clamp")
def clamp(node: Node, program: Program) -> None:
    """`clip` takes floats and bounds that differ; other bounds are a minimum and a maximum."""
    x = program[node["input"]]
    held = program.type_of(x)
    low, high = node.attributes["min_value"], node.attributes["max_value"]
    if node.output.data_type in FLOATS and -math.inf < low < high < math.inf:
        bounds = {"alpha": program.number(low, held), "beta": program.number(high, held)}
        return program.set(node.output, program.emit("clip", x=x, **bounds))
    if held == "int32":
        low, high = max(low, -(2**31)), min(high, 2**31 - 1)  # an int64 is held in 32 bits
    # In this order, NaN stays: `maximum` is `x > y ? x : y`, and `minimum` is `x > y ? y : x`.
    result = program.emit("maximum", x=program.number(low, held), y=x)
    return program.set(node.output, program.emit("minimum", x=result, y=program.number(high, held)))


@lowerings.lowers("hard_swish")
def hard_swish(node: Node, program: Program) -> None:
    """`x * max(0, min(6, x + 3)) / 6`, divided first: the product may be more than the type holds.

    `sigmoid_hard` would be one operation less, but near -3 nothing of `x / 6 + 0.5` is left in float16.
    """
    x = program[node["input"]]
    held = program.type_of(x)
    above = program.emit("add", x=x, y=program.number(3, held))
    bounded = program.emit("clip", x=above, alpha=program.number(0, held), beta=program.number(6, held))
    share = program.emit("real_div", x=bounded, y=program.number(6, held))
    program.set(node.output, program.emit("mul", x=x, y=share))


@lowerings.lowers("prelu")
def prelu(node: Node, program: Program) -> None:
    """A product where `x` is negative."""
    x, slope = program[node["input"]], program[node["slope"]]
    negative = program.emit("less", x=x, y=program.number(0, program.type_of(x)))
    product = program.emit("mul", x=x, y=slope)
    if node.output.data_type not in FLOATS:
        product = program.wrapped(product, node.output.data_type)
    program.set(node.output, program.select(negative, product, x, node.output.shape))


@lowerings.lowers("relu")
def relu(node: Node, program: Program) -> None:
    """`relu` takes floats only."""
    x = program[node["input"]]
    if node.output.data_type in FLOATS:
        return program.set(node.output, program.emit("relu", x=x))
    return program.set(node.output, program.emit("maximum", x=x, y=program.number(0, "int32")))


@lowerings.lowers("softmax")
def softmax(node: Node, program: Program) -> None:
    """One operation."""
    program.set(node.output, program.emit("softmax", x=program[node["input"]], axis=node.attributes["axis"]))
