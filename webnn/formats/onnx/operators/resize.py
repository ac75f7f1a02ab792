"""Resize and Upsample, with all modes of ONNX.

`resample2d` is used where it computes the same. Otherwise each axis is resized by itself, with weights that depend on
sizes only: by `gather` for the nearest element, else by a product with a constant matrix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.graph.dtypes import FLOATS
from webnn.graph.operand import MLOperand

__all__: list[str] = []

Array: TypeAlias = np.ndarray[Any, Any]

_WEIGHTS = 1 << 24
"""The most weights of one axis."""
_HALF = 1e-6
"""How far from a half a coordinate counts as a half. It is computed in float32; onnxruntime 1.32 does the same."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """How one axis is resized."""

    axis: int
    size: int
    target: int
    scale: float
    start: float = 0.0
    """With `end`, the region of the input that is resized, where 0 to 1 is all of it."""
    end: float = 1.0


@dataclass(frozen=True, slots=True)
class _Resampling:
    """The options that all axes share."""

    mode: str
    coordinates: str
    nearest: str
    cubic: float
    exclude_outside: bool
    antialias: bool
    extrapolation: float

    def places(self, axis: _Axis, dtype: Any = np.float64) -> Array:
        """The coordinate of each output element in the input."""
        out = np.arange(axis.target, dtype=dtype)
        scale = dtype(axis.scale)
        match self.coordinates:
            case "half_pixel":
                return np.asarray((out + 0.5) / scale - 0.5)
            case "half_pixel_symmetric":
                # The size of the output is rounded down; the difference is shared by both ends.
                adjustment = dtype(axis.target) / (scale * dtype(axis.size))
                offset = dtype(axis.size / 2) * (1 - adjustment)
                # The sum in double precision, as onnxruntime computes it.
                return np.asarray(float(offset) + (out.astype(np.float64) + 0.5) / float(scale) - 0.5, dtype)
            case "pytorch_half_pixel":
                return (out + 0.5) / scale - 0.5 if axis.target > 1 else np.zeros_like(out)
            case "align_corners":
                return out * (axis.size - 1) / (axis.target - 1) if axis.target > 1 else np.zeros_like(out)
            case "asymmetric":
                return np.asarray(out / scale)
            case "tf_half_pixel_for_nn":
                return np.asarray((out + 0.5) / scale)
            case "tf_crop_and_resize":
                last = axis.size - 1
                if axis.target == 1:
                    return np.full_like(out, 0.5 * (axis.start + axis.end) * last)
                return axis.start * last + out * (axis.end - axis.start) * last / (axis.target - 1)
        raise DataError(f"coordinate_transformation_mode {self.coordinates!r} is not defined by ONNX")

    def rounded(self, places: Array) -> Array:
        """The index of the nearest input element of each coordinate."""
        places = np.asarray(places, np.float64)  # in which halves are added exactly
        match self.nearest:
            case "round_prefer_floor":
                return np.asarray(np.ceil(places - 0.5 - _HALF))
            case "round_prefer_ceil":
                return np.asarray(np.floor(places + 0.5 + _HALF))
            case "floor":
                return np.asarray(np.floor(places))
            case "ceil":
                return np.asarray(np.ceil(places))
        raise DataError(f"nearest_mode {self.nearest!r} is not defined by ONNX")

    def kernel(self, distance: Array) -> Array:
        """The weight of an input element at a distance."""
        x = np.abs(distance)
        if self.mode == "linear":
            return np.asarray(np.maximum(1 - x, 0))
        a = self.cubic
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
        return np.where(x <= 1, near, np.where(x < 2, far, 0))

    def weights(self, axis: _Axis) -> Array:
        """The weight of each input element for each output element, `[output, input]`."""
        places = self.places(axis)
        shrink = min(axis.scale, 1.0) if self.antialias else 1.0
        reach = math.ceil((1 if self.mode == "linear" else 2) / shrink)
        if axis.target * axis.size > _WEIGHTS or axis.target * reach > _WEIGHTS:
            raise UnsupportedNodeError(
                f"an axis of {axis.size} elements resized to {axis.target} takes too many weights"
            )
        first = np.floor(places).astype(np.int64)[:, None] + np.arange(1 - reach, reach + 1)
        values = self.kernel((first - places[:, None]) * shrink)
        inside = (first >= 0) & (first < axis.size)
        if self.exclude_outside:
            values = np.where(inside, values, 0)
        total = values.sum(axis=1, keepdims=True)
        values /= np.where(total == 0, 1, total)  # it is 0 where all elements are outside, which is extrapolated
        matrix = np.zeros((axis.target, axis.size))
        rows = np.broadcast_to(np.arange(axis.target)[:, None], first.shape)
        np.add.at(matrix, (rows, np.clip(first, 0, axis.size - 1)), values)
        return matrix

    def matches_resample2d(self, axis: _Axis) -> bool:
        """Whether `resample2d` computes the same along this axis."""
        if self.antialias or self.mode == "cubic":
            return False
        theirs = (np.arange(axis.target) + 0.5) * axis.size / axis.target - 0.5
        if self.mode == "linear":
            clamped = [np.clip(places, 0, axis.size - 1) for places in (theirs, self.places(axis))]
            return bool(np.abs(clamped[0] - clamped[1]).max() < 1e-9 * axis.size)
        # Exactly, as the specification has it, and in float32, as runtimes compute it.
        runtimes = _RESAMPLE2D.indices(axis)
        exact = np.clip(np.ceil(theirs - 0.5), 0, axis.size - 1)
        return np.array_equal(exact, runtimes) and np.array_equal(runtimes, self.indices(axis))

    def indices(self, axis: _Axis) -> Array:
        """The index of the input element that each output element takes."""
        if axis.target > _WEIGHTS:
            raise UnsupportedNodeError(f"an axis resized to {axis.target} elements takes too many indices")
        # In float32, as runtimes compute it: the nearest element may depend on the last bit.
        places = self.places(axis, np.float32)
        return np.asarray(np.clip(self.rounded(places), 0, axis.size - 1), np.int64)


_RESAMPLE2D = _Resampling("nearest", "half_pixel", "round_prefer_floor", 0.0, False, False, 0.0)
"""The nearest elements of `resample2d`."""


@imports("Upsample")
def upsample(node: OnnxNode) -> Imported:
    """The predecessor of Resize, which enlarges only and uses asymmetric coordinates."""
    scales = node.get_floats("scales") if node.version < 9 else _floats(node, 1)
    return _resized(node, _axes(node, list(range(node.rank(0))), scales, None, []), "asymmetric", "floor")


@imports("Resize")
def resize_10(node: OnnxNode) -> Imported:
    """Resize of opset 10, which works like Upsample."""
    return _resized(node, _axes(node, list(range(node.rank(0))), _floats(node, 1), None, []), "asymmetric", "floor")


@imports("Resize", since=11)
def resize(node: OnnxNode) -> Imported:
    """Resizing by scales or to sizes, along all axes or some."""
    rank = node.rank(0)
    axes = node.axes(node.get_ints("axes", list(range(rank))), rank)
    roi = _floats(node, 1) if node.has(1) else []
    sizes = node.integers(3, "sizes") if node.has(3) and node.shape(3) != (0,) else None
    scales = _floats(node, 2) if sizes is None and node.has(2) else []
    coordinates = node.get_string("coordinate_transformation_mode", "half_pixel")
    nearest = node.get_string("nearest_mode", "round_prefer_floor")
    plan = _axes(node, axes, scales, sizes, roi if coordinates == "tf_crop_and_resize" else [])
    return _resized(node, plan, coordinates, nearest)


def _floats(node: OnnxNode, index: int) -> list[float]:
    return [float(value) for value in node.array(index, "scales").reshape(-1)[:16]]


def _axes(
    node: OnnxNode, axes: Sequence[int], scales: Sequence[float], sizes: Sequence[int] | None, roi: Sequence[float]
) -> list[_Axis]:
    """How each axis is resized; `sizes` may be bounds if the aspect ratio is kept."""
    shape = node.shape(0)
    inputs = [shape[axis] for axis in axes]
    if sizes is not None:
        if len(sizes) != len(axes):
            raise DataError(f"sizes {list(sizes)} must have {len(axes)} numbers, one for each axis")
        targets = list(sizes)
        policy = node.get_string("keep_aspect_ratio_policy", "stretch")
        ratios = [target / size for target, size in zip(targets, inputs, strict=True)]
        if policy != "stretch":
            one = min(ratios) if policy == "not_larger" else max(ratios)
            targets = [math.floor(size * one + 0.5) for size in inputs]
            ratios = [one] * len(axes)
    else:
        if len(scales) != len(axes):
            raise DataError(f"scales {list(scales)} must have {len(axes)} numbers, one for each axis")
        ratios = list(scales)
        if not all(0 < ratio < math.inf for ratio in ratios):
            raise DataError(f"scales {ratios} must be above 0")
        # The product in float32, as onnxruntime computes it and PyTorch's exports expect: 20 * 0.7 is 14, not 13.
        targets = [math.floor(np.float32(size) * np.float32(ratio)) for size, ratio in zip(inputs, ratios, strict=True)]
    if min(targets, default=1) < 1 or math.prod(targets) > 2**31:
        raise UnsupportedNodeError(f"it resizes {inputs} to {targets}, which is empty or too large")
    if roi and len(roi) != 2 * len(axes):
        raise DataError(f"roi has {len(roi)} numbers, expected {2 * len(axes)} for {len(axes)} axes")
    regions = [(roi[i], roi[i + len(axes)]) if roi else (0.0, 1.0) for i in range(len(axes))]
    rows = zip(axes, inputs, targets, ratios, regions, strict=True)
    return [_Axis(axis, size, target, ratio, *region) for axis, size, target, ratio, region in rows]


def _resized(node: OnnxNode, plan: Sequence[_Axis], coordinates: str, nearest: str) -> MLOperand:
    b = node.builder
    x = node.operand(0)
    mode = node.get_string("mode", "nearest")
    if mode not in {"nearest", "linear", "cubic"}:
        raise DataError(f"mode must be nearest, linear or cubic, got {mode!r}")
    resampling = _Resampling(
        mode,
        coordinates,
        nearest,
        node.get_float("cubic_coeff_a", -0.75),
        bool(node.get_int("exclude_outside", 0)),
        bool(node.get_int("antialias", 0)),
        node.get_float("extrapolation_value", 0.0),
    )
    if all(axis.size == axis.target for axis in plan):
        return b.identity(x)  # whatever the scales are: onnxruntime copies an input whose size does not change
    # As in onnxruntime, an axis whose scale is 1 is not cropped either.
    changed = [a for a in plan if a.size != a.target or (a.scale != 1 and not resampling.antialias)]
    is_crop = coordinates == "tf_crop_and_resize"
    has_type = x.data_type in FLOATS or (mode == "nearest" and x.data_type in {"int8", "uint8"})
    if (
        x.rank == 4
        and has_type
        and len(changed) <= 2
        and not is_crop
        and all(map(resampling.matches_resample2d, changed))
    ):
        spare = [i for i in (2, 3, 1, 0) if i not in [axis.axis for axis in changed]]
        both = sorted([*(axis.axis for axis in changed), *spare][:2])
        targets = {axis.axis: axis.target for axis in changed}
        sizes = [targets.get(axis, x.shape[axis]) for axis in both]
        return b.resample2d(x, mode="linear" if mode == "linear" else "nearest-neighbor", sizes=sizes, axes=both)
    data_type = x.data_type
    if mode != "nearest" and data_type not in FLOATS:
        x = b.cast(x, "float32")
    for axis in changed:
        x = _resized_along(node, x, resampling, axis)
    if is_crop:
        x = _with_extrapolation(node, x, resampling, changed)
    return x if x.data_type == data_type else b.cast(b.round_even(x), data_type)


def _resized_along(node: OnnxNode, x: MLOperand, resampling: _Resampling, axis: _Axis) -> MLOperand:
    """`x`, resized along one axis."""
    b = node.builder
    if resampling.mode == "nearest":
        return b.gather(x, node.constant(resampling.indices(axis)), axis=axis.axis)
    weights = resampling.weights(axis).astype(x.descriptor.dtype)
    if axis.axis == x.rank - 1 and x.rank > 1:
        return b.matmul(x, node.constant(np.ascontiguousarray(weights.T)))
    if axis.axis == x.rank - 2:
        return b.matmul(node.constant(weights), x)
    shape = list(x.shape)
    flat = b.reshape(x, [math.prod(shape[: axis.axis]), shape[axis.axis], math.prod(shape[axis.axis + 1 :])])
    shape[axis.axis] = axis.target
    return b.reshape(b.matmul(node.constant(weights), flat), shape)


def _with_extrapolation(node: OnnxNode, x: MLOperand, resampling: _Resampling, changed: Sequence[_Axis]) -> MLOperand:
    """`x` with the extrapolation value where a coordinate lies outside the input."""
    b = node.builder
    outside: MLOperand | None = None
    for axis in changed:
        places = resampling.places(axis)
        beyond = ((places < 0) | (places > axis.size - 1)).astype(np.uint8)
        if beyond.any():
            mask = node.constant(beyond.reshape([-1 if i == axis.axis else 1 for i in range(x.rank)]))
            outside = mask if outside is None else b.logical_or(outside, mask)
    return x if outside is None else b.where(outside, node.scalar(x, resampling.extrapolation), x)
