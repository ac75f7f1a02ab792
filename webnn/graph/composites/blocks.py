"""Blocks of channels as blocks of pixels, and back: transpositions of six dimensions, which runtimes do slowly."""

from __future__ import annotations

from collections.abc import Sequence

from webnn.graph.composites.composite import Builder, compose, composite, spelled_out
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import FLOATS
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["blocks_of_channels", "blocks_of_pixels"]


def blocks_of_pixels(b: Builder, x: MLOperand, block: int, *, depth_last: bool) -> MLOperand:
    """`[n, block * block * c, h, w]` as `[n, c, h * block, w * block]`.

    Args:
        b: takes the node.
        x: its channels can be divided by `block * block`.
        block: the height and the width of a block.
        depth_last: the channels are `[block, block, c]` (ONNX calls it DCR), else `[c, block, block]` (CRD).
    """
    n, channels, h, w = x.shape
    output = MLOperandDescriptor(x.data_type, [n, channels // (block * block), h * block, w * block])
    options = {"blocksize": block, "mode": "DCR" if depth_last else "CRD"}
    return _made(b, "depth_to_space", x, output, options)


def blocks_of_channels(b: Builder, x: MLOperand, block: int) -> MLOperand:
    """`[n, c, h * block, w * block]` as `[n, block * block * c, h, w]`, whose channels are `[block, block, c]`."""
    n, channels, h, w = x.shape
    output = MLOperandDescriptor(x.data_type, [n, channels * block * block, h // block, w // block])
    return _made(b, "space_to_depth", x, output, {"blocksize": block})


def _made(b: Builder, name: str, x: MLOperand, output: MLOperandDescriptor, options: dict[str, int | str]) -> MLOperand:
    has_kernel = x.data_type in FLOATS  # and of most integers, runtimes have none
    return (compose if has_kernel else spelled_out)(b, name, {"input": x}, [output], **options)[0]


@composite
def depth_to_space(b: Builder, node: Node) -> Sequence[MLOperand]:
    """A transposition of the parts of the channels and of the pixels."""
    x, block = node["input"], node.attributes["blocksize"]
    n, depth, _, _ = node.output.shape
    _, _, h, w = x.shape
    if node.attributes["mode"] == "DCR":
        parts = b.transpose(b.reshape(x, [n, block, block, depth, h, w]), permutation=[0, 3, 4, 1, 5, 2])
    else:
        parts = b.transpose(b.reshape(x, [n, depth, block, block, h, w]), permutation=[0, 1, 4, 2, 5, 3])
    return [b.reshape(parts, node.output.shape)]


@composite
def space_to_depth(b: Builder, node: Node) -> Sequence[MLOperand]:
    """A transposition of the parts of the pixels and of the channels."""
    x, block = node["input"], node.attributes["blocksize"]
    n, c, h, w = x.shape
    parts = b.transpose(b.reshape(x, [n, c, h // block, block, w // block, block]), permutation=[0, 3, 5, 1, 2, 4])
    return [b.reshape(parts, node.output.shape)]
