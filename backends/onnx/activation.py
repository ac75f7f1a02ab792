"""The activation functions in ONNX."""

import math
from typing import Final

from webnn.backends.onnx.lowerings import lowerings, one_to_one
from webnn.backends.onnx.model import Model
from webnn.graph.dtypes import FLOATS, cast_number
from webnn.graph.ir import Node

__all__ = ["EMULATED"]

EMULATED: Final = frozenset({"linear", "prelu"})
"""ONNX has no affine function of scalars, and runtimes have no `PRelu` of integers."""

one_to_one(
    {
        "hard_swish": "HardSwish",
        "sigmoid": "Sigmoid",
        "softplus": "Softplus",
        "softsign": "Softsign",
        "tanh": "Tanh",
    }
)


@lowerings.lowers("open_sigmoid")
def open_sigmoid(node: Node, model: Model) -> None:
    """`Sigmoid`."""
    model.emit("Sigmoid", [model[node["input"]]], to=node.output)


_WITH_OPTIONS: Final = {
    "elu": "Elu",
    "hard_sigmoid": "HardSigmoid",
    "leaky_relu": "LeakyRelu",
    "softmax": "Softmax",
}


@lowerings.lowers(*_WITH_OPTIONS)
def with_options(node: Node, model: Model) -> None:
    """The options have the same names in both standards."""
    model.emit(_WITH_OPTIONS[node.op], [model[node["input"]]], to=node.output, **node.attributes)


@lowerings.lowers("gelu")
def gelu(node: Node, model: Model) -> None:
    """The exact one; a backend's pass may have asked for the approximation that a graph had written out."""
    model.emit("Gelu", [model[node["input"]]], to=node.output, **node.attributes)


@lowerings.lowers("clamp")
def clamp(node: Node, model: Model) -> None:
    """`Clip`, always with both bounds: runtimes take a missing bound for the largest finite value."""
    x, data_type = model[node["input"]], node.output.data_type
    bounds = node.attributes["min_value"], node.attributes["max_value"]
    if bounds == (cast_number(-math.inf, data_type), cast_number(math.inf, data_type)):
        model.set(node.output, x)
        return
    low, high = (model.constant(bound, data_type) for bound in bounds)
    if any(isinstance(bound, float) and math.isnan(bound) for bound in bounds):  # Clip may overlook it
        model.emit("Min", [model.emit("Max", [x, low]), high], to=node.output)
    else:
        model.emit("Clip", [x, low, high], to=node.output)


@lowerings.lowers("linear")
def linear(node: Node, model: Model) -> None:
    """`alpha * x + beta`."""
    data_type = node.output.data_type
    product = model.emit("Mul", [model[node["input"]], model.constant(node.attributes["alpha"], data_type)])
    model.emit("Add", [product, model.constant(node.attributes["beta"], data_type)], to=node.output)


@lowerings.lowers("prelu")
def prelu(node: Node, model: Model) -> None:
    """`PRelu` for floats. It stretches the slope only, so the input is stretched for it."""
    x, slope, shape = model[node["input"]], model[node["slope"]], node.output.shape
    if node.output.data_type not in FLOATS:
        zero = model.constant(0, node.output.data_type)
        product = model.emit("Mul", [slope, model.emit("Min", [x, zero])])
        model.emit("Add", [model.emit("Max", [x, zero]), product], to=node.output)
        return
    if node["input"].shape != shape:
        x = model.emit("Expand", [x, model.constant(list(shape))])
    model.emit("PRelu", [x, slope], to=node.output)


@lowerings.lowers("relu")
def relu(node: Node, model: Model) -> None:
    """`Relu` for floats; `Max` for integers, as runtimes lack kernels of `Relu` or take all of them for floats."""
    x, data_type = model[node["input"]], node.output.data_type
    if data_type not in FLOATS:
        model.emit("Max", [x, model.constant(0, data_type)], to=node.output)
    else:
        model.emit("Relu", [x], to=node.output)
