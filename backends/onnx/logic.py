"""Comparisons, logic and selection in ONNX, whose truth values are `bool`; the model casts them to our `uint8`."""

from typing import Final

from webnn.backends.onnx.lowerings import lowerings, one_to_one
from webnn.backends.onnx.model import Model
from webnn.graph.ir import Node

__all__ = ["EMULATED"]

EMULATED: Final = frozenset({"not_equal"})
"""ONNX has no such comparison: `Not` of `Equal`, or a cast to bool."""

one_to_one(
    {
        "equal": "Equal",
        "greater": "Greater",
        "greater_or_equal": "GreaterOrEqual",
        "lesser": "Less",
        "lesser_or_equal": "LessOrEqual",
        "is_nan": "IsNaN",
        "is_infinite": "IsInf",
    }
)

_LOGIC: Final = {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor", "logical_not": "Not"}


@lowerings.lowers("not_equal")
def not_equal(node: Node, model: Model) -> None:
    """True for NaN, as `Equal` is not; of 0 a cast."""
    number = node["b"].constant
    if number is not None and not number.any() and node["a"].shape == node.output.shape:
        model.set(node.output, model.cast(model[node["a"]], "bool"))
        return
    model.emit("Not", [model.emit("Equal", [model[node["a"]], model[node["b"]]])], to=node.output)


@lowerings.lowers(*_LOGIC)
def logical(node: Node, model: Model) -> None:
    """Every value but 0 is true."""
    model.emit(_LOGIC[node.op], [model.cast(model[operand], "bool") for operand in node.inputs()], to=node.output)


@lowerings.lowers("where")
def where(node: Node, model: Model) -> None:
    """Every condition but 0 is true."""
    condition = model.cast(model[node["condition"]], "bool")
    model.emit("Where", [condition, model[node["true_value"]], model[node["false_value"]]], to=node.output)
