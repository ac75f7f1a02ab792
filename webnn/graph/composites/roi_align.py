"""Averages or maxima of the samples in the cells of regions of images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Final

import numpy as np

from webnn.errors import NotSupportedError
from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.composites.samples import Images, Tap, linear_taps
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["aligned_regions"]

_SAMPLES: Final = 1 << 22
"""The most samples of regions along one axis."""


def aligned_regions(
    b: Builder,
    x: MLOperand,
    rois: MLOperand,
    images: MLOperand,
    *,
    size: tuple[int, int],
    mode: str,
    ratio: int,
    scale: float,
    pixels: str,
) -> MLOperand:
    """`[regions, channels, *size]`, from images `[images, channels, height, width]`.

    Args:
        b: takes the node.
        x: the images.
        rois: the corners of each region, `[regions, 4]`.
        images: the image of each region, `[regions]`.
        size: the rows and columns of cells of a region.
        mode: "avg" or "max" of the samples in a cell.
        ratio: the samples of a cell along each axis; 0 for one per pixel, rounded up.
        scale: from the coordinates of regions to those of the images.
        pixels: "half_pixel" for coordinates that are shifted by half a pixel, or "output_half_pixel".
    """
    operands = {"input": x, "rois": rois, "batch_indices": images}
    output = MLOperandDescriptor(x.data_type, [rois.shape[0], x.shape[1], *size])
    return compose(
        b,
        "roi_align",
        operands,
        [output],
        output_height=size[0],
        output_width=size[1],
        mode=mode,
        sampling_ratio=ratio,
        spatial_scale=scale,
        coordinate_transformation_mode=pixels,
    )[0]


@composite
def roi_align(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Weighted sums of the pixels around each sample."""
    x, images = node["input"], node["batch_indices"]
    count = images.shape[0]
    axes, cells = [], []
    for axis, (size, steps) in enumerate(zip(x.shape[2:], node.output.shape[2:], strict=True)):
        places, weights = _samples(b, node, axis, steps)
        low, high = _number(b, -1), _number(b, size)
        outside = b.logical_or(b.lesser(places, low), b.greater(places, high))
        weights = b.where(outside, _number(b, 0), weights)
        number = b.clamp(places, min_value=0, max_value=size - 1)
        shape = [count, *((places.shape[1], 1) if axis == 0 else (1, places.shape[1]))]
        axes.append(
            [
                Tap(
                    b.reshape(b.min(neighbour, _number(b, size - 1)), shape),
                    b.reshape(b.mul(weight, weights), shape),
                )
                for neighbour, weight in linear_taps(b, number)
            ]
        )
        cells += [steps, places.shape[1] // steps]
    values = Images(b, x).around(b.reshape(images, [count, 1, 1]), axes)
    join, pool = (b.add, b.reduce_sum) if _is_average(node) else (b.max, b.reduce_max)
    joined = b.reshape(reduce(join, values), [count, *cells, x.shape[1]])
    return [b.transpose(pool(joined, axes=[2, 4]), permutation=[0, 3, 1, 2])]


def _number(b: Builder, value: float) -> MLOperand:
    return b.constant("float32", value)


def _samples(b: Builder, node: Node, axis: int, steps: int) -> tuple[MLOperand, MLOperand]:
    """The coordinates and weights of the samples of each region along an axis of `steps` cells."""
    ratio = node.attributes["sampling_ratio"]
    if not ratio:
        return _samples_by_size(b, node, axis, steps)
    count = node["rois"].shape[0]
    if count * steps * ratio > _SAMPLES:
        raise NotSupportedError(
            f"{node.where}: {count} regions of {steps} cells with {ratio} samples along an axis take too much memory"
        )
    scale, shift = _scale(node)
    rois = b.cast(node["rois"], "float32")
    start, end = (b.linear(b.slice(rois, [0, i], [count, 1]), alpha=scale, beta=shift) for i in (1 - axis, 3 - axis))
    length = b.sub(end, start) if shift else b.max(b.sub(end, start), _number(b, 1))
    parts = (np.arange(steps * ratio, dtype=np.float32) + 0.5) / (steps * ratio)
    places = b.add(start, b.mul(length, b.constant(parts.reshape(1, -1))))
    return places, _number(b, 1 / ratio if _is_average(node) else 1)


def _is_average(node: Node) -> bool:
    return bool(node.attributes["mode"] == "avg")


def _scale(node: Node) -> tuple[float, float]:
    """The factor and the shift from coordinates of regions to those of the image."""
    half = node.attributes["coordinate_transformation_mode"] == "half_pixel"
    return node.attributes["spatial_scale"], -0.5 if half else 0.0


def _samples_by_size(b: Builder, node: Node, axis: int, steps: int) -> tuple[MLOperand, MLOperand]:
    """One sample for each pixel of a cell along the axis, rounded up.

    All cells get as many samples as the largest one. Smaller cells repeat their last sample with a weight of zero.
    """
    if node["rois"].constant is None:
        raise NotSupportedError(f"{node.where}: its regions are computed, and sampling_ratio is 0")
    scale, shift = _scale(node)
    rois = np.asarray(node["rois"].constant, np.float64)
    start, end = (rois[:, i, None, None] * scale + shift for i in (1 - axis, 3 - axis))
    length = end - start if shift else np.maximum(end - start, 1)
    counts = np.ceil(length / steps)
    if not np.isfinite(counts).all() or len(rois) * steps * counts.max() > _SAMPLES:
        raise NotSupportedError(f"{node.where}: its regions are so large that they have too many samples")
    samples = np.arange(max(int(counts.max()), 1))
    several = np.maximum(counts, 1)
    parts = (np.minimum(samples, several - 1) + 0.5) / several
    places = start + (np.arange(steps)[:, None] + parts) * length / steps
    weights = np.where(samples < counts, 1 / several, 0) if _is_average(node) else np.ones_like(parts)
    rows = [row.reshape(len(rois), -1).astype(np.float32) for row in np.broadcast_arrays(places, weights)]
    return b.constant(rows[0]), b.constant(rows[1])
