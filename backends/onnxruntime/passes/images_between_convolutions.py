"""Operators between convolutions over one axis, computed in the form that they have over two.

WebNN convolves over two axes, so a signal is reshaped from `[batch, channels, width]` to `[batch, channels, 1, width]`
or `[batch, channels, width, 1]`, and back, for each convolution. onnxruntime neither fuses a bias or an activation with
a convolution across a reshape, nor keeps its own layout of images from one convolution to the next. So element-wise
operators between them are computed of the images, and the reshapes go behind them, where those that nothing reads are
dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, rewritten

__all__ = ["images_between_convolutions"]

_CONVOLUTIONS: Final = frozenset({"conv2d", "conv_transpose2d"})
_ELEMENTWISE: Final = frozenset(
    {"abs", "add", "ceil", "clamp", "cos", "div", "elu", "erf", "exp", "floor", "gelu", "hard_sigmoid", "hard_swish"}
    | {
        "leaky_relu",
        "linear",
        "log",
        "max",
        "min",
        "mul",
        "neg",
        "pow",
        "open_sigmoid",
        "reciprocal",
        "relu",
        "sigmoid",
        "sin",
    }
    | {"softplus", "softsign", "sqrt", "sub", "tan", "tanh"}
)
"""All that a fusion may be made of: with half of it on images and half of it on rows there would be no fusion."""
_CHANNEL_AXIS: Final = 1


def images_between_convolutions(graph: Graph) -> Graph:
    """`graph` with element-wise operators on images, of one row or column, wherever their operands come from these."""
    if not any(_makes_rows(node) for node in graph.nodes):
        return graph
    return rewritten(graph, graph.nodes, _Rows().rule)


class _Rows:
    """The operands that are rows of pixels, and the images that they were reshaped from."""

    def __init__(self) -> None:
        self._images: dict[MLOperand, MLOperand] = {}

    def rule(self, node: Node) -> Sequence[MLOperand] | None:
        """The rows or image that stand for the output of `node`; None to keep it."""
        if _makes_rows(node):
            self._images[node.output] = node["input"]
            return None
        if node.op == "reshape":
            image = self._images.get(node["input"])
            return [image] if image is not None and image.shape == node.output.shape else None
        operands = self._operands(node)
        if operands is None:
            return None
        (axis,) = self._axes(node)
        descriptor = MLOperandDescriptor(node.output.data_type, _image_shape(node.output.shape, axis))
        image = node.replace(operands=operands, outputs=[descriptor]).output
        rows = Replacement(node).reshape(image, node.output.shape)
        self._images[rows] = image
        return [rows]

    def _operands(self, node: Node) -> Mapping[str, MLOperand | tuple[MLOperand, ...]] | None:
        """The operands of `node` for images, or None if it is not computed of images."""
        if len(self._axes(node)) != 1:  # none is an image, or some are rows and some are columns
            return None
        shape = node.output.shape
        if node.op == "batch_normalization" and node.attributes["axis"] == _CHANNEL_AXIS:
            return {**node.operands, "input": self._images[node["input"]]}
        if node.op == "concat" and node.attributes["axis"] == _CHANNEL_AXIS:
            joined = [self._images.get(operand) for operand in node.many("inputs")]
            return {"inputs": tuple(image for image in joined if image is not None)} if None not in joined else None
        if node.op not in _ELEMENTWISE:
            return None
        images = {name: self._image(node, node[name], shape) for name in node.operands}
        found = {name: image for name, image in images.items() if image is not None}
        return found if len(found) == len(images) else None

    def _image(self, node: Node, operand: MLOperand, shape: tuple[int, ...]) -> MLOperand | None:
        image = self._images.get(operand)
        if image is not None:
            return image if operand.shape == shape else None
        if operand.constant is None or operand.rank > len(shape):
            return None
        if operand.descriptor.element_count == 1:
            return operand
        if operand.shape[-1] != 1:
            return None
        # One number for each channel, such as a bias, which onnxruntime makes part of the convolution.
        return Replacement(node).constant(operand.constant[..., None])

    def _axes(self, node: Node) -> set[int]:
        """The axes of size 1 that images have and the rows of `node`, made of these, do not: 2, 3 or both."""
        return {self._images[operand].shape.index(1, 2) for operand in node.inputs() if operand in self._images}


def _image_shape(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], 1, *shape[axis:])


def _makes_rows(node: Node) -> bool:
    """Whether `node` takes a convolution's result, one pixel high or wide, for rows."""
    if node.op != "reshape" or node.output.rank != 3:
        return False
    if node["input"].shape not in (_image_shape(node.output.shape, 2), _image_shape(node.output.shape, 3)):
        return False
    made_by = node["input"].node
    while made_by is not None and made_by.op == "identity":  # importers leave some in place of what has no effect
        made_by = made_by["input"].node
    return made_by is not None and made_by.op in _CONVOLUTIONS and made_by.attributes["input_layout"] == "nchw"
