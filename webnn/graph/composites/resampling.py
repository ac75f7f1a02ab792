"""Where each element of a resized axis is in the original one, and which elements it is computed from."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from webnn.errors import NotSupportedError
from webnn.graph.quick_dataclass import dataclass

__all__ = ["Axis", "Resampling"]

Array: TypeAlias = np.ndarray[Any, Any]

_WEIGHTS = 1 << 24
"""The most weights of one axis."""
_HALF = 1e-6
"""How far from a half a coordinate counts as a half. It is computed in float32; onnxruntime 1.32 does the same."""


@dataclass(frozen=True, slots=True)
class Axis:
    """How one axis is resized."""

    axis: int
    size: int
    target: int
    scale: float
    start: float = 0.0
    """With `end`, the region of the input that is resized, where 0 to 1 is all of it."""
    end: float = 1.0


@dataclass(frozen=True, slots=True)
class Resampling:
    """The options that all axes share."""

    mode: str
    coordinates: str
    nearest: str
    cubic: float
    exclude_outside: bool
    antialias: bool
    extrapolation: float

    def places(self, axis: Axis, dtype: Any = np.float64) -> Array:
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
        raise AssertionError(self.coordinates)

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
        raise AssertionError(self.nearest)

    def kernel(self, distance: Array) -> Array:
        """The weight of an input element at a distance."""
        x = np.abs(distance)
        if self.mode == "linear":
            return np.asarray(np.maximum(1 - x, 0))
        a = self.cubic
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
        return np.where(x <= 1, near, np.where(x < 2, far, 0))

    def weights(self, axis: Axis) -> Array:
        """The weight of each input element for each output element, `[output, input]`."""
        places = self.places(axis)
        shrink = min(axis.scale, 1.0) if self.antialias else 1.0
        reach = math.ceil((1 if self.mode == "linear" else 2) / shrink)
        if axis.target * axis.size > _WEIGHTS or axis.target * reach > _WEIGHTS:
            raise NotSupportedError(
                f"resize: an axis of {axis.size} elements resized to {axis.target} takes too many weights"
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

    def matches_resample2d(self, axis: Axis) -> bool:
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

    def indices(self, axis: Axis) -> Array:
        """The index of the input element that each output element takes."""
        if axis.target > _WEIGHTS:
            raise NotSupportedError(f"resize: an axis resized to {axis.target} elements takes too many indices")
        # In float32, as runtimes compute it: the nearest element may depend on the last bit.
        places = self.places(axis, np.float32)
        return np.asarray(np.clip(self.rounded(places), 0, axis.size - 1), np.int64)


_RESAMPLE2D = Resampling("nearest", "half_pixel", "round_prefer_floor", 0.0, False, False, 0.0)
"""The nearest elements of `resample2d`."""
