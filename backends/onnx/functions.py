"""Functions that are composites in WebNN, and one operator each in ONNX."""

from __future__ import annotations

from typing import Final

from webnn.backends.onnx.lowerings import lowerings
from webnn.backends.onnx.model import Model
from webnn.graph.ir import Node

_NAMES: Final = {
    "acos": "Acos",
    "acosh": "Acosh",
    "asin": "Asin",
    "asinh": "Asinh",
    "atan": "Atan",
    "atanh": "Atanh",
    "celu": "Celu",
    "cosh": "Cosh",
    "hardmax": "Hardmax",
    "log_softmax": "LogSoftmax",
    "selu": "Selu",
    "shrink": "Shrink",
    "sinh": "Sinh",
    "thresholded_relu": "ThresholdedRelu",
}


@lowerings.lowers(*_NAMES)
def function(node: Node, model: Model) -> None:
    """The options have the same names in both."""
    x, data_type = model[node["input"]], node.output.data_type
    if node.op == "celu" and data_type == "float16":  # ONNX has it for float32 alone
        model.set(node.output, model.cast(model.emit("Celu", [model.cast(x, "float32")], **node.attributes), data_type))
        return
    model.emit(_NAMES[node.op], [x], to=node.output, **node.attributes)
