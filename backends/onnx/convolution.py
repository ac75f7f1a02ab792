"""Convolution in ONNX: one `Conv` or `ConvTranspose` each, in the layouts "nchw" and "oihw" or "iohw".

Transposed constant filters cost nothing at run time: the runtime folds them when it loads the model.
"""

from typing import Any

import numpy as np

from webnn.backends.onnx.lowerings import lowerings
from webnn.backends.onnx.model import Model
from webnn.errors import NotSupportedError
from webnn.graph.ir import Node
from webnn.graph.windows import permutation


@lowerings.lowers("conv2d")
def conv2d(node: Node, model: Model) -> None:
    """One `Conv`."""
    _convolve("Conv", "oihw", node, model)


@lowerings.lowers("conv_transpose2d")
def conv_transpose2d(node: Node, model: Model) -> None:
    """One `ConvTranspose`."""
    options: Any = node.attributes
    _convolve("ConvTranspose", "iohw", node, model, output_padding=list(options["output_padding"]))


def _convolve(op_type: str, filter_layout: str, node: Node, model: Model, **attributes: Any) -> None:
    options: Any = node.attributes
    layout = options["input_layout"]
    channels, groups = node["input"].shape[layout.index("c")], options["groups"]
    if channels % groups:
        raise NotSupportedError(f"{node.where}: {channels} input channels do not make {groups} equal groups")
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
        group=groups,
        **attributes,
    )
    model.set(node.output, model.transpose(result, permutation("nchw", layout)))


@lowerings.lowers("col2im")
def col2im(node: Node, model: Model) -> None:
    """`Col2Im`."""
    sizes = [model.constant(list(node.attributes[name])) for name in ("image_shape", "block_shape")]
    options: dict[str, Any] = {name: list(node.attributes[name]) for name in ("strides", "dilations", "pads")}
    model.emit("Col2Im", [model[node["input"]], *sizes], to=node.output, **options)


@lowerings.lowers("conv_integer")
def conv_integer(node: Node, model: Model) -> None:
    """`ConvInteger` with filters in uint8, of which onnxruntime has faster kernels than of int8."""
    x, filters, zero = model[node["input"]], node["filter"], node.get("filter_zero_point")
    x_zero = model[node["input_zero_point"]] if "input_zero_point" in node.operands else ""
    known = np.zeros((), np.int8) if zero is None else zero.constant
    if filters.data_type == "int8" and known is not None:
        weights, offset = model.derived([filters], "unsigned", _unsigned), model.constant(known.item() + 128, "uint8")
    else:
        weights, offset = model[filters], "" if zero is None else model[zero]
    top, bottom, left, right = node.attributes["padding"]
    options: dict[str, Any] = {name: list(node.attributes[name]) for name in ("strides", "dilations")}
    inputs = [x, weights, x_zero, offset]
    model.emit("ConvInteger", inputs, to=node.output, pads=[top, left, bottom, right], **options)


def _unsigned(integers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Numbers in int8, moved up by 128."""
    return (integers.view(np.uint8) ^ 0x80).reshape(integers.shape)


@lowerings.lowers("conv3d")
def conv3d(node: Node, model: Model) -> None:
    """`Conv`."""
    given = [node["input"], node["filter"], node.get("bias")]
    inputs = [model[operand] for operand in given if operand is not None]
    options: dict[str, Any] = {name: list(node.attributes[name]) for name in ("strides", "dilations", "pads")}
    model.emit("Conv", inputs, to=node.output, group=node.attributes["groups"], **options)


@lowerings.lowers("deform_conv")
def deform_conv(node: Node, model: Model) -> None:
    """`DeformConv`."""
    given = [node.get(name) for name in ("input", "filter", "offset", "bias", "mask")]
    inputs = ["" if operand is None else model[operand] for operand in given]
    options: dict[str, Any] = {name: list(node.attributes[name]) for name in ("strides", "dilations", "pads")}
    options |= {name: node.attributes[name] for name in ("group", "offset_group")}
    model.emit("DeformConv", inputs, to=node.output, kernel_shape=list(node["filter"].shape[2:]), **options)
