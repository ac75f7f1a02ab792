"""What lies between convolutions over one axis, computed in the form that they have over two.

WebNN convolves over two axes, so a signal is reshaped from `[batch, channels, width]` to `[batch, channels, 1, width]`
and back for each convolution. A runtime neither fuses an activation with a convolution across a reshape, nor keeps its
own layout of images from one convolution to the next. So what is element-wise between them is computed of the images,
and the reshapes go behind it: those that nothing reads are dropped from the model in the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from webnn.backends.onnx.model import Model
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["Rows"]

_CONVOLUTIONS: Final = frozenset({"conv2d", "conv_transpose2d"})
_ELEMENTWISE: Final = frozenset(
    {"abs", "add", "ceil", "clamp", "cos", "div", "elu", "erf", "exp", "floor", "gelu", "hard_sigmoid", "hard_swish"}
    | {"leaky_relu", "linear", "log", "max", "min", "mul", "neg", "pow", "reciprocal", "relu", "sigmoid", "sin"}
    | {"softplus", "softsign", "sqrt", "sub", "tan", "tanh"}
)
"""All that a fusion may be made of: half of it on images and half of it on rows would be none."""
_CHANNEL_AXIS: Final = 1

_Operand: TypeAlias = "MLOperand | tuple[MLOperand, ...]"


class Rows:
    """The values of a model that are rows of pixels, by their images, which are one pixel high."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._images: dict[int, MLOperand] = {}

    def meet(self, node: Node) -> Node:
        """What to lower for `node`: itself, or the same operator on images; to be followed by `finish`."""
        operands = self._operands(node)
        if operands is None:
            return node
        descriptor = MLOperandDescriptor(node.output.data_type, _image_shape(node.output.shape))
        image = node.replace(operands=operands, outputs=[descriptor])
        self._images[id(node.output)] = image.output
        self._model.stand_in(image.output, node.output)
        return image

    def finish(self, node: Node) -> None:
        """Remember what `node` has made of an image, or give it the form that others expect."""
        image = self._images.get(id(node.output))
        if image is not None:
            self._model.reshape(self._model[image], node.output.shape, to=node.output)
        elif _makes_rows(node):
            self._images[id(node.output)] = node["input"]

    def is_image(self, node: Node) -> bool:
        """Whether `node` makes an image of rows that come from one, which becomes its output."""
        if node.op != "reshape":
            return False
        image = self._images.get(id(node["input"]))
        if image is None or image.shape != node.output.shape:
            return False
        self._model.set(node.output, self._model[image])
        return True

    def _operands(self, node: Node) -> Mapping[str, _Operand] | None:
        """The operands of `node` for images, or None if it is not computed of images."""
        if not any(id(operand) in self._images for operand in node.inputs()):
            return None
        shape = node.output.shape
        if node.op == "batch_normalization" and node.attributes["axis"] == _CHANNEL_AXIS:
            return {**node.operands, "input": self._images[id(node["input"])]}
        if node.op == "concat" and node.attributes["axis"] == _CHANNEL_AXIS:
            joined = [self._images.get(id(operand)) for operand in node.many("inputs")]
            return {"inputs": tuple(image for image in joined if image is not None)} if None not in joined else None
        if node.op not in _ELEMENTWISE:
            return None
        images = {name: self._image(node[name], shape) for name in node.operands}
        found = {name: image for name, image in images.items() if image is not None}
        return found if len(found) == len(images) else None

    def _image(self, operand: MLOperand, shape: tuple[int, ...]) -> MLOperand | None:
        image = self._images.get(id(operand))
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
    options: Mapping[str, object] = made_by.attributes if made_by is not None else {}
    return made_by is not None and made_by.op in _CONVOLUTIONS and options["input_layout"] == "nchw"
