"""Convolution in ONNX: one `Conv` each, which is in the layouts "nchw" and "oihw".

Transposed constant filters cost nothing at run time: the runtime folds them when it loads the model.
"""

from typing import Any

from webnn.backends.onnx.lowerings import lowerings
from webnn.backends.onnx.model import Model
from webnn.graph.ir import Node
from webnn.graph.windows import permutation


@lowerings.lowers("conv2d")
def conv2d(node: Node, model: Model) -> None:
    """One `Conv`."""
    _convolve("Conv", "oihw", node, model)


def _convolve(op_type: str, filter_layout: str, node: Node, model: Model, **attributes: Any) -> None:
    options: Any = node.attributes
    layout = options["input_layout"]
    top, bottom, left, right = options["padding"]
    bias = node.get("bias")
    inputs = [
        model.transpose(model[node["input"]], permutation(layout, "nchw")),
        model.transpose(model[node["filter"]], permutation(options["filter_layout"], filter_layout)),
        *([model[bias]] if bias is not None else []),
    ]
    result = model.emit(
        op_type,
        inputs,
        pads=[top, left, bottom, right],
        strides=list(options["strides"]),
        dilations=list(options["dilations"]),
        group=options["groups"],
        **attributes,
    )
    model.set(node.output, model.transpose(result, permutation("nchw", layout)))
