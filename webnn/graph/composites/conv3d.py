"""Convolutions over three axes, by WebNN's over two.

Runtimes convolve over three axes themselves. Most convolutions are faster over two, since the kernels for images are
better; not so those of single elements, whose images runtimes reorder for them, and of single channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from webnn.errors import NotSupportedError
from webnn.graph.composites.composite import Builder, compose, composite, spelled_out
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["convolved_volumes", "depths_as_images", "volumes_of_images"]

_DEPTH: Final = 64
"""The largest depth of a filter."""


def convolved_volumes(
    b: Builder,
    x: MLOperand,
    filters: MLOperand,
    bias: MLOperand | None,
    *,
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int],
    groups: int,
) -> MLOperand:
    """The convolution of `x`, `[volumes, channels, depth, height, width]`.

    Args:
        b: takes the node.
        x: of floats.
        filters: `[filters, channels / groups, depth, height, width]`.
        bias: one number for each filter, or none.
        strides: from one window to the next.
        dilations: from one element of a window to the next.
        pads: zeros before the first element of each axis, then behind the last one.
        groups: of channels and filters.

    Raises:
        NotSupportedError: the filters are too deep.
    """
    kernel = filters.shape[2:]
    rows = zip(x.shape[2:], kernel, strides, dilations, pads[:3], pads[3:], strict=True)
    counts = [(size + first + last - (k - 1) * d - 1) // stride + 1 for size, k, stride, d, first, last in rows]
    output = MLOperandDescriptor(x.data_type, [x.shape[0], filters.shape[0], *counts])
    operands = {"input": x, "filter": filters, **({} if bias is None else {"bias": bias})}
    options: dict[str, Any] = {"strides": tuple(strides), "dilations": tuple(dilations), "pads": tuple(pads)}
    of_single_channels = groups > 1 and filters.shape[1] == 1
    make = compose if of_single_channels or _is_pointwise(kernel, strides, pads) else spelled_out
    return make(b, "conv3d", operands, [output], **options, groups=groups)[0]


def _is_pointwise(kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int]) -> bool:
    return {*kernel, *strides} == {1} and not any(pads)


@composite
def conv3d(b: Builder, node: Node) -> Sequence[MLOperand]:
    """A convolution of images: of the height and the width in one axis, or of all depths of a window as channels."""
    x, filters, bias = node["input"], node["filter"], node.get("bias")
    strides, dilations, pads, groups = (node.attributes[name] for name in ("strides", "dilations", "pads", "groups"))
    if _is_pointwise(filters.shape[2:], strides, pads):
        images = b.reshape(x, [*x.shape[:3], x.shape[3] * x.shape[4]])
        kernel = _reshaped(b, filters, [*filters.shape[:2], 1, 1])
        return [b.reshape(b.conv2d(images, kernel, groups=groups, bias=bias), node.output.shape)]
    if any(pads):
        x = b.pad(x, [0, 0, *pads[:3]], [0, 0, *pads[3:]])
    depth, count = filters.shape[2], node.output.shape[2]
    images = depths_as_images(b, x, depth, count, stride=strides[0], dilation=dilations[0])
    kernel = _reshaped(b, filters, [filters.shape[0], filters.shape[1] * depth, *filters.shape[3:]])
    result = b.conv2d(images, kernel, strides=strides[1:], dilations=dilations[1:], groups=groups, bias=bias)
    return [volumes_of_images(b, result, count)]


def _reshaped(b: Builder, filters: MLOperand, shape: Sequence[int]) -> MLOperand:
    return b.reshape(filters, shape) if filters.constant is None else b.constant(filters.constant.reshape(shape))


def depths_as_images(b: Builder, x: MLOperand, window: int, count: int, *, stride: int, dilation: int) -> MLOperand:
    """Images `[volumes * count, channels * window, height, width]`, each with all depths of a window as channels.

    Raises:
        NotSupportedError: the windows are too deep.
    """
    if window > _DEPTH:
        raise NotSupportedError(f"conv3d: its kernel has a depth of {window}, the limit is {_DEPTH}")
    n, c, _, h, w = x.shape
    length = (count - 1) * stride + 1
    layers = [
        b.reshape(
            b.slice(x, [0, 0, i * dilation, 0, 0], [n, c, length, h, w], strides=[1, 1, stride, 1, 1]),
            [n, c, 1, count, h * w],  # not in six dimensions, which Core ML and some browsers lack
        )
        for i in range(window)
    ]
    stack = b.concat(layers, 2) if window > 1 else layers[0]
    return b.reshape(b.transpose(stack, permutation=[0, 3, 1, 2, 4]), [n * count, c * window, h, w])


def volumes_of_images(b: Builder, images: MLOperand, count: int) -> MLOperand:
    """Volumes of `count` images each, `[volumes, channels, count, height, width]`."""
    volumes = b.reshape(images, [images.shape[0] // count, count, *images.shape[1:]])
    return b.transpose(volumes, permutation=[0, 2, 1, 3, 4])
