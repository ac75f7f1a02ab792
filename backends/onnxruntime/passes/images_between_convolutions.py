"""Operators between convolutions over one axis, computed in the form that they have over two.

WebNN convolves over two axes, so a signal is reshaped from `[batch, channels, width]` to `[batch, channels, 1, width]`
and back for each convolution. onnxruntime neither fuses an activation with a convolution across a reshape, nor keeps
its own layout of images from one convolution to the next. So element-wise operators between them are computed of the
images, and the reshapes go behind them, where those that nothing reads are dropped.
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
    | {"leaky_relu", "linear", "log", "max", "min", "mul", "neg", "pow", "reciprocal", "relu", "sigmoid", "sin"}
    | {"softplus", "softsign", "sqrt", "sub", "tan", "tanh"}
)
"""All that a fusion may be made of: with half of it on images and half of it on rows there would be no fusion."""
_CHANNEL_AXIS: Final = 1


def images_between_convolutions(graph: Graph) -> Graph:
    """`graph` with element-wise operators on images wherever their operands come from images, one pixel high."""
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
        descriptor = MLOperandDescriptor(node.output.data_type, _image_shape(node.output.shape))
        image = node.replace(operands=operands, outputs=[descriptor]).output
        rows = Replacement(node).reshape(image, node.output.shape)
        self._images[rows] = image
        return [rows]

    def _operands(self, node: Node) -> Mapping[str, MLOperand | tuple[MLOperand, ...]] | None:
        """The operands of `node` for images, or None if it is not computed of images."""
        if not any(operand in self._images for operand in node.inputs()):
            return None
        shape = node.output.shape
        if node.op == "batch_normalization" and node.attributes["axis"] == _CHANNEL_AXIS:
            return {**node.operands, "input": self._images[node["input"]]}
        if node.op == "concat" and node.attributes["axis"] == _CHANNEL_AXIS:
            joined = [self._images.get(operand) for operand in node.many("inputs")]
            return {"inputs": tuple(image for image in joined if image is not None)} if None not in joined else None
        if node.op not in _ELEMENTWISE:
            return None
        images = {name: self._image(node[name], shape) for name in node.operands}
        found = {name: image for name, image in images.items() if image is not None}
        return found if len(found) == len(images) else None

    def _image(self, operand: MLOperand, shape: tuple[int, ...]) -> MLOperand | None:
        image = self._images.get(operand)
        if image is not None:
            return image if operand.shape == shape else None
        is_number = operand.constant is not None and operand.descriptor.element_count == 1
        return operand if is_number and operand.rank <= len(shape) else None


def _image_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[:-1], 1, shape[-1])


def _makes_rows(node: Node) -> bool:
    """Whether `node` takes a convolution's result, one pixel high, for rows."""
    if node.op != "reshape" or node.output.rank != 3 or node["input"].shape != _image_shape(node.output.shape):
        return False
    made_by = node["input"].node
    return made_by is not None and made_by.op in _CONVOLUTIONS and made_by.attributes["input_layout"] == "nchw"
