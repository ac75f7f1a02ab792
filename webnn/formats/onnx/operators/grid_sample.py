"""Interpolation of images at computed coordinates: GridSample, RoiAlign and DeformConv.

Images become a table with one row of channels per pixel, so that one `gather` reads all channels of many pixels. Each
sample is a weighted sum of its neighbours. Coordinates are float32, whatever the type of the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.patterns.channel_layout import channels_last
from webnn.formats.onnx.patterns.sliding_windows import Windows
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.operand import MLOperand

__all__: list[str] = []

Array: TypeAlias = np.ndarray[Any, Any]
_Builder: TypeAlias = MLGraphBuilder[Any]

_CUBIC: Final = -0.75
"""The coefficient of the cubic convolution kernel."""
_SAMPLES: Final = 1 << 22
"""The most samples of regions along one axis."""


@dataclass(frozen=True, slots=True)
class _Tap:
    """One neighbour of each sample along one axis, and its weight."""

    number: MLOperand
    """Its index along the axis, as a float."""
    weight: MLOperand | None
    """None for 1."""


class _Images:
    """Images `[images, channels, ...]` as a table of pixels."""

    def __init__(self, b: _Builder, x: MLOperand) -> None:
        self._b = b
        self._sizes = x.shape[2:]
        self._rows = b.reshape(channels_last(b, x), [x.shape[0] * math.prod(self._sizes), x.shape[1]])

    def around(self, images: MLOperand, axes: Sequence[Sequence[_Tap]]) -> list[MLOperand]:
        """The weighted pixels of each combination of taps of the axes, with the channels in a new last axis.

        `images` are the indices of the images; they broadcast with the taps.
        """
        b = self._b
        stride = math.prod(self._sizes)
        first = self._times(images, stride)
        rows: list[list[tuple[MLOperand, MLOperand | None]]] = []
        for taps, size in zip(axes, self._sizes, strict=True):
            stride //= size
            rows.append([(self._times(tap.number, stride), tap.weight) for tap in taps])
        values = []
        for combination in product(*rows):
            row = reduce(b.add, [offset for offset, _ in combination], first)
            weights = [weight for _, weight in combination if weight is not None]
            value = b.gather(self._rows, row)
            if weights:
                weight = b.cast(reduce(b.mul, weights), value.data_type)
                value = b.mul(value, b.reshape(weight, [*weight.shape, 1]))
            values.append(value)
        return values

    def _times(self, number: MLOperand, stride: int) -> MLOperand:
        whole = self._b.cast(number, "int32")
        return self._b.mul(whole, self._b.constant("int32", stride)) if stride > 1 else whole


def _float(b: _Builder, number: float) -> MLOperand:
    return b.constant("float32", number)


def _linear(b: _Builder, place: MLOperand) -> list[tuple[MLOperand, MLOperand]]:
    """The two neighbours of each coordinate, with their weights."""
    first = b.floor(place)
    part = b.sub(place, first)
    return [(first, b.linear(part, alpha=-1, beta=1)), (b.linear(first, beta=1), part)]


def _cubic(b: _Builder, place: MLOperand) -> list[tuple[MLOperand, MLOperand]]:
    """The four neighbours of each coordinate, with their weights."""
    first = b.floor(place)
    part = b.sub(place, first)

    def near(t: MLOperand) -> MLOperand:
        inner = b.mul(b.linear(t, alpha=_CUBIC + 2, beta=-_CUBIC - 3), b.mul(t, t))
        return b.linear(inner, beta=1)

    def far(t: MLOperand) -> MLOperand:
        inner = b.mul(b.linear(b.mul(b.linear(t, beta=-5), t), beta=8), t)
        return b.linear(inner, alpha=_CUBIC, beta=-4 * _CUBIC)

    rest = b.linear(part, alpha=-1, beta=1)
    weights = [far(b.linear(part, beta=1)), near(part), near(rest), far(b.linear(rest, beta=1))]
    return [(b.linear(first, beta=i - 1), weight) for i, weight in enumerate(weights)]


def _inside(b: _Builder, number: MLOperand, size: int) -> MLOperand:
    """1 where the index `number` is inside the axis, else 0."""
    above = b.greater_or_equal(number, _float(b, 0))
    return b.cast(b.logical_and(above, b.lesser_or_equal(number, _float(b, size - 1))), "float32")


# GridSample.


@imports("GridSample")
def grid_sample(node: OnnxNode) -> Imported:
    """Samples of images at the coordinates of a grid, from -1 to 1, with the last axis of the image first."""
    b = node.builder
    x, grid = node.operand(0), node.operand(1)
    count = x.rank - 2
    if not 1 <= count <= 3 or grid.rank != x.rank or grid.shape[-1] != count or grid.shape[0] != x.shape[0]:
        raise DataError(f"images {list(x.shape)} do not fit a grid {list(grid.shape)}")
    mode = node.get_string("mode", "linear").removeprefix("bi")
    padding = node.get_string("padding_mode", "zeros")
    aligned = bool(node.get_int("align_corners", 0))
    if mode not in {"linear", "nearest", "cubic"} or padding not in {"zeros", "border", "reflection"}:
        raise DataError(f"mode {mode!r} with padding_mode {padding!r} is not defined by ONNX")
    places = math.prod(grid.shape[1:-1])
    flat = b.reshape(b.cast(grid, "float32"), [grid.shape[0], places, count])
    axes = []
    for i, size in enumerate(x.shape[2:]):
        coordinate = b.reshape(b.slice(flat, [0, 0, count - 1 - i], [*flat.shape[:2], 1]), list(flat.shape[:2]))
        half = (size - 1 if aligned else size) / 2
        place = b.linear(coordinate, alpha=half, beta=(size - 1) / 2)
        axes.append(_taps_of_grid(b, place, size, mode, padding, aligned))
    images = node.constant(np.arange(x.shape[0], dtype=np.int32).reshape(-1, 1))
    values = reduce(b.add, _Images(b, x).around(images, axes))
    last = b.transpose(values, permutation=[0, 2, 1])
    return b.reshape(last, [*x.shape[:2], *grid.shape[1:-1]])


def _taps_of_grid(  # noqa: PLR0917 (the options of the operator)
    b: _Builder, place: MLOperand, size: int, mode: str, padding: str, aligned: bool
) -> list[_Tap]:
    low, high = (0.0, size - 1.0) if aligned else (-0.5, size - 0.5)
    if mode == "nearest":
        place = b.round_even(place)
    if padding == "reflection":
        place = _reflected(b, place, low, high)
    else:  # coordinates far outside give the same sample, and must not overflow an integer
        place = b.clamp(place, min_value=-3, max_value=size + 2)
    if mode == "nearest":
        neighbours: list[tuple[MLOperand, MLOperand | None]] = [(place, None)]
    else:
        neighbours = list(_linear(b, place) if mode == "linear" else _cubic(b, place))
    return [_tap_of_grid(b, number, weight, size, padding, low, high) for number, weight in neighbours]


def _tap_of_grid(  # noqa: PLR0917 (the options of the operator)
    b: _Builder, number: MLOperand, weight: MLOperand | None, size: int, padding: str, low: float, high: float
) -> _Tap:
    if padding == "zeros":
        inside = _inside(b, number, size)
        weight = inside if weight is None else b.mul(weight, inside)
    elif padding == "reflection":
        number = _reflected(b, number, low, high)
    return _Tap(b.clamp(number, min_value=0, max_value=size - 1), weight)


def _reflected(b: _Builder, place: MLOperand, low: float, high: float) -> MLOperand:
    """The coordinate, reflected at two bounds as often as needed."""
    span = high - low
    if span == 0:
        return b.clamp(place, min_value=low, max_value=low)
    turns = b.floor(b.linear(place, alpha=1 / (2 * span), beta=-low / (2 * span)))
    along = b.sub(b.linear(place, beta=-low), b.linear(turns, alpha=2 * span))
    return b.linear(b.abs(b.linear(along, beta=-span)), alpha=-1, beta=low + span)


# RoiAlign.


@imports("RoiAlign")
def roi_align(node: OnnxNode) -> Imported:
    """The average or maximum of the samples in each cell of a region.

    With `sampling_ratio` 0 the number of samples depends on the sizes of regions, which must then be known.
    """
    b = node.builder
    x, images = node.operand(0), node.operand(2)
    height, width = node.get_int("output_height", 1), node.get_int("output_width", 1)
    count = node.shape(1)[0]
    mode = node.get_string("mode", "avg")
    if x.rank != 4 or node.shape(1) != (count, 4) or images.shape != (count,) or mode not in {"avg", "max"}:
        raise DataError(f"mode {mode!r}, regions {list(node.shape(1))} and images {list(x.shape)} do not fit RoiAlign")
    if min(height, width) < 1:
        raise DataError(f"output_height and output_width must be at least 1, got {height} x {width}")
    axes, cells = [], []
    for axis, (size, steps) in enumerate(((x.shape[2], height), (x.shape[3], width))):
        places, weights = _samples_of_regions(node, axis, steps)
        low, high = _float(b, -1), _float(b, size)
        outside = b.logical_or(b.lesser(places, low), b.greater(places, high))
        weights = b.where(outside, _float(b, 0), weights)
        number = b.clamp(places, min_value=0, max_value=size - 1)
        shape = [count, *((places.shape[1], 1) if axis == 0 else (1, places.shape[1]))]
        axes.append(
            [
                _Tap(
                    b.reshape(b.min(neighbour, _float(b, size - 1)), shape),
                    b.reshape(b.mul(weight, weights), shape),
                )
                for neighbour, weight in _linear(b, number)
            ]
        )
        cells += [steps, places.shape[1] // steps]
    values = _Images(b, x).around(b.reshape(images, [count, 1, 1]), axes)
    join, pool = (b.add, b.reduce_sum) if mode == "avg" else (b.max, b.reduce_max)
    joined = b.reshape(reduce(join, values), [count, *cells, x.shape[1]])
    return b.transpose(pool(joined, axes=[2, 4]), permutation=[0, 3, 1, 2])


def _samples_of_regions(node: OnnxNode, axis: int, steps: int) -> tuple[MLOperand, MLOperand]:
    """The coordinates and weights of the samples of each region along an axis of `steps` cells."""
    b = node.builder
    ratio = node.get_int("sampling_ratio", 0)
    if ratio <= 0:
        return _samples_by_size(node, axis, steps)
    count = node.shape(1)[0]
    if count * steps * ratio > _SAMPLES:
        raise UnsupportedNodeError(
            f"{count} regions of {steps} cells with {ratio} samples along an axis take too much memory"
        )
    scale, shift = _scale_of_regions(node)
    rois = b.cast(node.operand(1), "float32")
    start, end = (b.linear(b.slice(rois, [0, i], [count, 1]), alpha=scale, beta=shift) for i in (1 - axis, 3 - axis))
    length = b.sub(end, start) if shift else b.max(b.sub(end, start), _float(b, 1))
    parts = (np.arange(steps * ratio, dtype=np.float32) + 0.5) / (steps * ratio)
    places = b.add(start, b.mul(length, node.constant(parts.reshape(1, -1))))
    return places, _float(b, 1 / ratio if _is_average(node) else 1)


def _is_average(node: OnnxNode) -> bool:
    return node.get_string("mode", "avg") == "avg"


def _scale_of_regions(node: OnnxNode) -> tuple[float, float]:
    """The factor and the shift from coordinates of regions to those of the image."""
    default = "output_half_pixel" if node.version < 16 else "half_pixel"
    half = node.get_string("coordinate_transformation_mode", default) == "half_pixel"
    return node.get_float("spatial_scale", 1.0), -0.5 if half else 0.0


def _samples_by_size(node: OnnxNode, axis: int, steps: int) -> tuple[MLOperand, MLOperand]:
    """One sample for each pixel of a cell along the axis, rounded up.

    All cells get as many samples as the largest one. Smaller cells repeat their last sample with a weight of zero.
    """
    scale, shift = _scale_of_regions(node)
    rois = np.asarray(node.array(1, "rois with sampling_ratio=0"), np.float64)
    start, end = (rois[:, i, None, None] * scale + shift for i in (1 - axis, 3 - axis))
    length = end - start if shift else np.maximum(end - start, 1)
    counts = np.ceil(length / steps)
    if not np.isfinite(counts).all() or len(rois) * steps * counts.max() > _SAMPLES:
        raise UnsupportedNodeError("its regions are so large that they have too many samples", "sampling_ratio=2")
    samples = np.arange(max(int(counts.max()), 1))
    several = np.maximum(counts, 1)
    parts = (np.minimum(samples, several - 1) + 0.5) / several
    places = start + (np.arange(steps)[:, None] + parts) * length / steps
    weights = np.where(samples < counts, 1 / several, 0) if _is_average(node) else np.ones_like(parts)
    rows = [row.reshape(len(rois), -1).astype(np.float32) for row in np.broadcast_arrays(places, weights)]
    return node.constant(rows[0]), node.constant(rows[1])


# DeformConv.


@imports("DeformConv")
def deformable_convolution(node: OnnxNode) -> Imported:
    """A convolution in which each element of a filter reads at its own two-dimensional offset."""
    b = node.builder
    x, filters, offset = node.operand(0), node.operand(1), node.operand(2)
    if x.rank != 4:
        raise UnsupportedNodeError(f"it is a deformable convolution of {list(x.shape)}", "one over 2 spatial axes")
    windows = Windows.of(node, x.shape, node.get_ints("kernel_shape", filters.shape[2:]))
    n, c, *_ = x.shape
    groups, shifted = node.get_int("group", 1), node.get_int("offset_group", 1)
    steps = windows.counts(ceil=False)
    places, taps = math.prod(steps), math.prod(windows.kernel)
    if offset.shape != (n, shifted * taps * 2, *steps) or c % shifted or c % groups or filters.shape[0] % groups:
        raise DataError(f"offsets {list(offset.shape)} in {shifted} groups do not fit an input {list(x.shape)}")
    by_axis = b.reshape(offset, [n * shifted, taps, 2, places])
    axes = []
    for axis, size in enumerate(windows.sizes):
        shift = b.cast(b.slice(by_axis, [0, 0, axis, 0], [n * shifted, taps, 1, places]), "float32")
        base = node.constant(_base_places(windows, axis, steps))
        place = b.clamp(b.add(b.reshape(shift, [n * shifted, taps, places]), base), min_value=-2, max_value=size + 1)
        axes.append(
            [
                _Tap(b.clamp(number, min_value=0, max_value=size - 1), b.mul(weight, _inside(b, number, size)))
                for number, weight in _linear(b, place)
            ]
        )
    images = node.constant(np.arange(n * shifted, dtype=np.int32).reshape(-1, 1, 1))
    values = reduce(b.add, _Images(b, b.reshape(x, [n * shifted, c // shifted, *x.shape[2:]])).around(images, axes))
    if node.has(4):
        values = b.mul(values, b.reshape(node.operand(4), [n * shifted, taps, places, 1]))
    columns = b.transpose(values, permutation=[0, 3, 1, 2])
    columns = b.reshape(columns, [n, groups, c // groups * taps, places])
    kernel = b.reshape(filters, [1, groups, filters.shape[0] // groups, c // groups * taps])
    result = b.reshape(b.matmul(kernel, columns), [n, filters.shape[0], *steps])
    return b.add(result, b.reshape(node.operand(3), [1, filters.shape[0], 1, 1])) if node.has(3) else result


def _base_places(windows: Windows, axis: int, steps: Sequence[int]) -> Array:
    """The coordinate of each element of the filter without its offset, `[taps, places]`."""
    inner = np.arange(windows.kernel[axis]) * windows.dilations[axis]
    outer = np.arange(steps[axis]) * windows.strides[axis] - windows.before[axis]
    shape = (-1, 1) if axis == 0 else (1, -1)
    taps = np.broadcast_to(inner.reshape(shape), windows.kernel).reshape(-1, 1)
    return np.asarray(taps + np.broadcast_to(outer.reshape(shape), steps).reshape(1, -1), np.float32)
