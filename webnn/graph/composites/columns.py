"""Images of overlapping blocks, which are added up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from webnn.errors import NotSupportedError
from webnn.graph.composites.composite import Builder, compose, composite, spelled_out
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import FLOATS
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["images_of_columns"]

_WEIGHTS: Final = 1 << 24
"""The most elements of a matrix that places blocks along an axis."""


def images_of_columns(
    b: Builder,
    x: MLOperand,
    sizes: Sequence[int],
    kernel: Sequence[int],
    *,
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int],
) -> MLOperand:
    """Images `[images, channels, *sizes]` of columns `[images, channels * prod(kernel), blocks]`.

    Args:
        b: takes the node.
        x: has a column for each block of each channel, in row-major order.
        sizes: of the images.
        kernel: the sizes of a block.
        strides: from one block to the next.
        dilations: from one element of a block to the next.
        pads: what the first blocks reach over the beginning of each axis, then the last ones over the end.
    """
    output = MLOperandDescriptor(x.data_type, [x.shape[0], x.shape[1] // math.prod(kernel), *sizes])
    options: dict[str, tuple[int, ...]] = {"image_shape": tuple(sizes), "block_shape": tuple(kernel)}
    options |= {"strides": tuple(strides), "dilations": tuple(dilations), "pads": tuple(pads)}
    mixed_up = len(sizes) != 2 and max(dilations) > 1  # the channels, by onnxruntime 1.32
    has_kernel = x.data_type in FLOATS and not mixed_up
    return (compose if has_kernel else spelled_out)(b, "col2im", {"input": x}, [output], **options)[0]


@composite
def col2im(b: Builder, node: Node) -> Sequence[MLOperand]:
    """A product with a matrix of 0 and 1 along each axis."""
    x, names = node["input"], ("image_shape", "block_shape", "strides", "dilations", "pads")
    sizes, kernel, strides, dilations, pads = (node.attributes[name] for name in names)
    axes = len(sizes)
    counts = [
        (size + pads[i] + pads[i + axes] - (kernel[i] - 1) * dilations[i] - 1) // strides[i] + 1
        for i, size in enumerate(sizes)
    ]
    channels = node.output.shape[1]
    result = b.reshape(x, [x.shape[0] * channels, *kernel, *counts])
    for axis, size in enumerate(sizes):
        if kernel[axis] * counts[axis] * size > _WEIGHTS:
            raise NotSupportedError(
                f"{node.where}: placing {counts[axis]} blocks of {kernel[axis]} in {size} elements takes too much"
                " memory"
            )
        starts = np.arange(counts[axis]) * strides[axis] - pads[axis]
        places = np.arange(kernel[axis])[:, None] * dilations[axis] + starts
        weights = (places.reshape(-1, 1) == np.arange(size)).astype(x.descriptor.dtype)
        # Finished axes are last; before them, the remaining axes of block elements and of blocks.
        left = axes - axis
        order = [0, *range(2, 1 + left), *range(2 + left, result.rank), 1, 1 + left]
        moved = b.transpose(result, permutation=order)
        shape = moved.shape[:-2]
        flat = b.reshape(moved, [math.prod(shape), kernel[axis] * counts[axis]])
        result = b.reshape(b.matmul(flat, b.constant(weights)), [*shape, size])
    return [b.reshape(result, node.output.shape)]
