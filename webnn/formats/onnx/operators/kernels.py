"""Operators that have kernels of their own in ONNX, and take many operators of WebNN."""

from __future__ import annotations

import math

import numpy as np

from webnn.errors import DataError, NotSupportedError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.patterns.sliding_windows import Windows
from webnn.graph.composites.columns import images_of_columns
from webnn.graph.composites.determinant import determinants
from webnn.graph.composites.reverse_sequence import sequences_reversed
from webnn.graph.composites.top_k import largest_or_smallest

__all__: list[str] = []


@imports("Col2Im")
def columns_to_images(node: OnnxNode) -> Imported:
    """Sums of overlapping blocks, each given as a column."""
    x = node.operand(0)
    sizes, kernel = node.integers(1, "the shape of the images"), node.integers(2, "the shape of the blocks")
    elements = math.prod(kernel)
    if x.rank != 3 or not kernel or min(kernel) < 1 or x.shape[1] % elements:
        raise DataError(f"{list(x.shape)} does not hold columns of blocks of {kernel}")
    windows = Windows.of(node, [*x.shape[:2], *sizes], kernel)
    counts = windows.counts(ceil=False)
    if math.prod(counts) != x.shape[2]:
        raise DataError(f"{x.shape[2]} blocks of {kernel} are given, images of {sizes} have {counts}")
    try:
        return images_of_columns(
            node.builder,
            x,
            sizes,
            kernel,
            strides=windows.strides,
            dilations=windows.dilations,
            pads=[*windows.before, *windows.after],
        )
    except NotSupportedError as error:
        raise UnsupportedNodeError(str(error).partition(": ")[2], "ConvTranspose") from None


@imports("Det")
def determinant(node: OnnxNode) -> Imported:
    """The determinant of each matrix."""
    x = node.operand(0)
    if x.rank < 2 or x.shape[-1] != x.shape[-2]:
        raise DataError(f"{list(x.shape)} does not hold square matrices")
    try:
        return determinants(node.builder, x)
    except NotSupportedError as error:
        raise UnsupportedNodeError(str(error).partition(": ")[2]) from None


@imports("ReverseSequence")
def reverse_sequence(node: OnnxNode) -> Imported:
    """Each sequence reversed up to its length; later elements stay."""
    x = node.operand(0)
    time = node.axis(node.get_int("time_axis", 0), x.rank, "time_axis")
    batch = node.axis(node.get_int("batch_axis", 1), x.rank, "batch_axis")
    return sequences_reversed(node.builder, x, node.operand(1), time=time, batch=batch)


@imports("TopK")
def top_k(node: OnnxNode) -> Imported:
    """The k largest or smallest elements and their indices; of equal ones the first."""
    x = node.operand(0)
    k = int(node.number(1, "k")) if node.version >= 10 else node.get_int("k")
    axis = node.axis(node.get_int("axis", -1), x.rank)
    if not 0 <= k <= x.shape[axis]:
        raise DataError(f"k must be 0 to {x.shape[axis]}, got {k}")
    if not k:
        shape = [0 if i == axis else size for i, size in enumerate(x.shape)]
        return [np.empty(shape, dtype) for dtype in (x.descriptor.dtype, np.int64)]
    return largest_or_smallest(node.builder, x, k=k, axis=axis, largest=bool(node.get_int("largest", 1)))
