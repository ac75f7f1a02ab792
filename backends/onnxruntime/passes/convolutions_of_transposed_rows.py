"""Rows `[batch, width, channels]` that are transposed for a convolution over one axis, as channels-last images.

onnxruntime lays images out in blocks of channels for its convolutions. It does so in one step from images with the
channels last, but only where the transposition has the form of images: of 512 rows with 256 channels, one step takes
14 us on one thread, and the transposition of rows with the step after it 46 us.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, rewritten

__all__ = ["convolutions_of_transposed_rows"]

_TO_CHANNELS_FIRST: Final = (0, 3, 1, 2)


def convolutions_of_transposed_rows(graph: Graph) -> Graph:
    """`graph` with rows that are reshaped to images before they are transposed."""
    return rewritten(graph, [node for node in graph.nodes if node.op == "conv2d"], _of_images)


def _of_images(node: Node) -> Sequence[MLOperand] | None:
    if node.attributes["input_layout"] != "nchw":
        return None
    image = node["input"]
    rows = _rows_of(image)
    if rows is None:
        return None
    batch, channels, height, width = image.shape
    builder = Replacement(node)
    channels_last = builder.reshape(rows, [batch, height, width, channels])
    images = builder.transpose(channels_last, permutation=_TO_CHANNELS_FIRST)
    return [node.replace(operands={**node.operands, "input": images}).output]


def _rows_of(image: MLOperand) -> MLOperand | None:
    """The rows `[batch, width, channels]`, or those with a last axis of 1, that `image` was transposed from."""
    node = image.node
    if node is not None and node.op == "transpose" and tuple(node.attributes["permutation"]) == (0, 2, 1, 3):
        return node["input"] if image.shape[3] == 1 else None
    if node is None or node.op != "reshape" or 1 not in image.shape[2:] or image.shape[:2] != node["input"].shape[:2]:
        return None
    made_by = node["input"].node
    if made_by is None or made_by.op != "transpose" or tuple(made_by.attributes["permutation"]) != (0, 2, 1):
        return None
    return made_by["input"]
