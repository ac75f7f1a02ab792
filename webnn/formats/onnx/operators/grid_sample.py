"""Interpolation of images at computed coordinates, and grids of them."""

from __future__ import annotations

import math

import numpy as np

from webnn.errors import DataError, NotSupportedError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.patterns.sliding_windows import Windows
from webnn.graph.composites.deform_conv import deformably_convolved
from webnn.graph.composites.grid_sample import sampled_at
from webnn.graph.composites.roi_align import aligned_regions

__all__: list[str] = []


@imports("GridSample")
def grid_sample(node: OnnxNode) -> Imported:
    """Samples of images at the coordinates of a grid, from -1 to 1, with the last axis of the image first."""
    x, grid = node.operand(0), node.operand(1)
    count = x.rank - 2
    if not 1 <= count <= 3 or grid.rank != x.rank or grid.shape[-1] != count or grid.shape[0] != x.shape[0]:
        raise DataError(f"images {list(x.shape)} do not fit a grid {list(grid.shape)}")
    mode = node.get_string("mode", "linear").removeprefix("bi")
    padding = node.get_string("padding_mode", "zeros")
    if mode not in {"linear", "nearest", "cubic"} or padding not in {"zeros", "border", "reflection"}:
        raise DataError(f"mode {mode!r} with padding_mode {padding!r} is not defined by ONNX")
    aligned = bool(node.get_int("align_corners", 0))
    return sampled_at(node.builder, x, grid, mode=mode, padding=padding, aligned=aligned)


@imports("AffineGrid")
def affine_grid(node: OnnxNode) -> Imported:
    """The coordinates of a grid from -1 to 1 after an affine map, with the last axis of the image first.

    The standard's own decomposition takes a batch of one away.
    """
    b = node.builder
    theta, sizes = node.operand(0), node.integers(1, "size")
    count = len(sizes) - 2
    if count not in (2, 3) or min(sizes) < 1 or theta.shape != (sizes[0], count, count + 1):
        raise DataError(f"matrices {list(theta.shape)} do not map grids of {sizes}")
    lines = []
    for size in sizes[2:]:
        if node.get_int("align_corners", 0):
            lines.append(np.linspace(1 if size == 1 else -1, 1, size))  # a single one as in onnxruntime
        else:
            lines.append((np.arange(size) + 0.5) * 2 / size - 1)
    grid = np.stack([*np.meshgrid(*lines, indexing="ij")[::-1], np.ones(sizes[2:])], -1).reshape(-1, count + 1)
    places = b.matmul(node.constant(grid.astype(theta.descriptor.dtype)), b.transpose(theta, permutation=[0, 2, 1]))
    return b.reshape(places, [sizes[0], *sizes[2:], count])


@imports("RoiAlign")
def roi_align(node: OnnxNode) -> Imported:
    """The average or maximum of the samples in each cell of a region.

    With `sampling_ratio` 0 the number of samples depends on the sizes of regions, which WebNN's operators must know.
    """
    x, rois, images = node.operand(0), node.operand(1), node.operand(2)
    height, width = node.get_int("output_height", 1), node.get_int("output_width", 1)
    mode = node.get_string("mode", "avg")
    count = node.shape(1)[0]
    if x.rank != 4 or rois.shape != (count, 4) or images.shape != (count,) or mode not in {"avg", "max"}:
        raise DataError(f"mode {mode!r}, regions {list(rois.shape)} and images {list(x.shape)} do not fit RoiAlign")
    if min(height, width) < 1:
        raise DataError(f"output_height and output_width must be at least 1, got {height} x {width}")
    default = "output_half_pixel" if node.version < 16 else "half_pixel"
    ratio = max(node.get_int("sampling_ratio", 0), 0)
    try:
        return aligned_regions(
            node.builder,
            x,
            rois,
            images,
            size=(height, width),
            mode=mode,
            ratio=ratio,
            scale=node.get_float("spatial_scale", 1.0),
            pixels=node.get_string("coordinate_transformation_mode", default),
        )
    except NotSupportedError as error:
        if not ratio:
            node.array(1, "rois with sampling_ratio=0")
        raise UnsupportedNodeError(str(error).partition(": ")[2], "" if ratio else "sampling_ratio=2") from None


@imports("DeformConv")
def deformable_convolution(node: OnnxNode) -> Imported:
    """A convolution in which each element of a filter reads at its own two-dimensional offset."""
    x, filters, offset = node.operand(0), node.operand(1), node.operand(2)
    if x.rank != 4:
        raise UnsupportedNodeError(f"it is a deformable convolution of {list(x.shape)}", "one over 2 spatial axes")
    windows = Windows.of(node, x.shape, node.get_ints("kernel_shape", filters.shape[2:]))
    n, c, *_ = x.shape
    groups, shifted = node.get_int("group", 1), node.get_int("offset_group", 1)
    steps = windows.counts(ceil=False)
    taps = math.prod(windows.kernel)
    if offset.shape != (n, shifted * taps * 2, *steps) or c % shifted or c % groups or filters.shape[0] % groups:
        raise DataError(f"offsets {list(offset.shape)} in {shifted} groups do not fit an input {list(x.shape)}")
    names = ("input", "filter", "offset", "bias", "mask")
    operands = {name: node.operand(i) for i, name in enumerate(names) if node.has(i)}
    return deformably_convolved(
        node.builder,
        operands,
        steps,
        strides=windows.strides,
        dilations=windows.dilations,
        pads=[*windows.before, *windows.after],
        groups=groups,
        offset_groups=shifted,
    )
