"""Operators of `image_resizing.py`."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from tests.coreml.interpreter.datatypes import Array, wide
from tests.coreml.interpreter.signatures import FLOAT, NUMBER, ProgramError, UndocumentedError, operator, require


def _grid(size: int, wanted: int, mode: str) -> Array:
    """The places in the input at which an axis is sampled, as in the notes of `resize_bilinear`."""
    i = np.arange(wanted, dtype=np.float64)
    match mode:
        case "STRICT_ALIGN_CORNERS" | "ALIGN_CORNERS":
            if wanted == 1:
                if mode == "STRICT_ALIGN_CORNERS" and size > 1:
                    raise UndocumentedError("STRICT_ALIGN_CORNERS of one element divides by zero")
                return np.array([(size - 1) / 2])
            points = i * (size - 1) / (wanted - 1)
        case "DEFAULT":
            # (size - size / wanted) / (wanted - 1) is size / wanted, which is also defined for one element.
            points = i * size / wanted
        case "OFFSET_CORNERS":
            delta = max(1, size - 1) / wanted
            points = 0.5 * delta + i * delta
        case "UNALIGN_CORNERS":
            points = (i + 0.5) * size / wanted - 0.5
        case _:
            raise ProgramError(f"there is no sampling mode {mode}")
    return np.clip(points, 0, size - 1)


def _linear(x: Array, axis: int, points: Array) -> Array:
    low = np.minimum(np.floor(points).astype(np.int64), x.shape[axis] - 1)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    weight = (points - low).reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
    return np.take(x, low, axis) * (1 - weight) + np.take(x, high, axis) * weight


def _nearest(x: Array, axis: int, points: Array) -> Array:
    if np.any(np.abs(points - np.floor(points) - 0.5) < 1e-6):
        raise UndocumentedError("which of two pixels is the nearest when both are equally far")
    return np.take(x, np.floor(points + 0.5).astype(np.int64), axis)


def _resized(x: Array, sizes: dict[int, int], sampling: str, nearest: bool) -> Array:
    result = wide(x)
    for axis, wanted in sizes.items():
        require(wanted > 0, f"the size {wanted}")
        points = _grid(x.shape[axis], wanted, sampling)
        result = _nearest(result, axis, points) if nearest else _linear(result, axis, points)
    return result


def _rank(x: Array) -> None:
    require(x.ndim >= 3, f"x has the rank {x.ndim}, not 3 or more")


@operator(
    "resize_bilinear(x: T, target_size_height: const int32 = 1, target_size_width: const int32 = 1,"
    " sampling_mode: const string = 'DEFAULT') -> T",
    T=FLOAT,
)
def resize_bilinear(x: Array, target_size_height: int, target_size_width: int, sampling_mode: str) -> Array:
    _rank(x)
    return _resized(x, {-2: target_size_height, -1: target_size_width}, sampling_mode, nearest=False)


@operator(
    "upsample_bilinear(x: T, scale_factor_height: const U = 1, scale_factor_width: const U = 1,"
    " align_corners: const bool = True, half_pixel_centers: const bool = None) -> T",
    T=FLOAT,
    U=("fp32", "int32"),
)
def upsample_bilinear(
    x: Array,
    scale_factor_height: float,
    scale_factor_width: float,
    align_corners: bool,
    half_pixel_centers: bool | None,
) -> Array:
    _rank(x)
    sizes = _scaled(x, scale_factor_height, scale_factor_width)
    if half_pixel_centers is not None and half_pixel_centers == align_corners:
        raise UndocumentedError("half_pixel_centers that is not the contrary of align_corners")
    return _resized(x, sizes, "STRICT_ALIGN_CORNERS" if align_corners else "UNALIGN_CORNERS", nearest=False)


def _scaled(x: Array, height: float, width: float) -> dict[int, int]:
    return {-2: math.floor(x.shape[-2] * height), -1: math.floor(x.shape[-1] * width)}


@operator(
    "upsample_nearest_neighbor(x: T, scale_factor_height: const U = 1, scale_factor_width: const U = 1) -> T",
    T=FLOAT,
    U=("fp32", "int32"),
)
def upsample_nearest_neighbor(x: Array, scale_factor_height: float, scale_factor_width: float) -> Array:
    """By integers, each pixel is repeated; how others are sampled is not said."""
    _rank(x)
    if scale_factor_height != int(scale_factor_height) or scale_factor_width != int(scale_factor_width):
        raise UndocumentedError("which pixels are taken for a factor that is no integer")
    return _resized(x, _scaled(x, scale_factor_height, scale_factor_width), "UNALIGN_CORNERS", nearest=True)


@operator(
    "resize_nearest_neighbor(x: T, target_size_height: const int32, target_size_width: const int32) -> T", T=FLOAT
)
def resize_nearest_neighbor(x: Array, target_size_height: int, target_size_width: int) -> Array:
    """By integers, each pixel is repeated; how others are sampled is not said."""
    _rank(x)
    if target_size_height % x.shape[-2] or target_size_width % x.shape[-1]:
        raise UndocumentedError("which pixels are taken for a factor that is no integer")
    return _resized(x, {-2: target_size_height, -1: target_size_width}, "UNALIGN_CORNERS", nearest=True)


_INTERPOLATIONS: Final = ("LINEAR", "NEAREST_NEIGHBOR")


@operator(
    "resize(x: T, shape: U, resized_dims: const uint32, interpolation_mode: const string = 'LINEAR',"
    " sampling_mode: const string = 'DEFAULT') -> T",
    T=NUMBER,
    U=("int32", "int16", "uint16", "uint32"),
)
def resize(x: Array, shape: Array, resized_dims: int, interpolation_mode: str, sampling_mode: str) -> Array:
    require(shape.ndim == 1 and shape.size <= x.ndim, f"shape {list(shape.shape)} for the rank {x.ndim}")
    require(0 < resized_dims <= shape.size, f"resized_dims is {resized_dims}, shape has {shape.size} elements")
    require(interpolation_mode in _INTERPOLATIONS, f"there is no interpolation mode {interpolation_mode}")
    if x.dtype.kind == "i" and interpolation_mode == "LINEAR":
        raise UndocumentedError("how a mean of integers is rounded")
    sizes = {axis: int(shape[axis]) or x.shape[axis] for axis in range(-resized_dims, 0)}
    return _resized(x, sizes, sampling_mode, nearest=interpolation_mode == "NEAREST_NEIGHBOR")


@operator("crop(x: T, crop_height: const int32[], crop_width: const int32[]) -> T", T=FLOAT)
def crop(x: Array, crop_height: Array, crop_width: Array) -> Array:
    _rank(x)
    require(crop_height.size == crop_width.size == 2, "crop_height and crop_width have two elements")
    (top, bottom), (left, right) = crop_height.tolist(), crop_width.tolist()
    require(min(top, bottom, left, right) >= 0, "a negative crop")
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


_MODES: Final = {"unnormalized": None, "normalized_minus_one_to_one": -1.0, "normalized_zero_to_one": 0.0}


@operator(
    "resample(x: T, coordinates: U, sampling_mode: const string, padding_mode: const string, padding_value: const T,"
    " coordinates_mode: const string, align_corners: const bool) -> T",
    T=FLOAT,
    U=("int8", "uint8", "int16", "uint16", "int32", *FLOAT),
)
def resample(
    x: Array,
    *,
    coordinates: Array,
    sampling_mode: str,
    padding_mode: str,
    padding_value: float,
    coordinates_mode: str,
    align_corners: bool,
) -> Array:
    require(x.ndim == 4 and coordinates.ndim == 4, "x and coordinates must have the rank 4")
    require(coordinates.shape[0] == x.shape[0] and coordinates.shape[3] == 2, f"coordinates {coordinates.shape}")
    require(coordinates_mode in _MODES, f"there is no coordinates_mode {coordinates_mode}")
    require(padding_mode in ("constant", "border", "reflection", "symmetric"), f"padding_mode {padding_mode}")
    places = []
    for i, size in enumerate((x.shape[3], x.shape[2])):
        places.append(_pixels(wide(coordinates)[..., i], size, _MODES[coordinates_mode], align_corners))
    columns, rows = places
    if sampling_mode == "nearest":
        for points in places:
            if np.any(np.abs(points - np.floor(points) - 0.5) < 1e-6):
                raise UndocumentedError("which of two pixels is the nearest when both are equally far")
        return _pixel(x, np.floor(rows + 0.5), np.floor(columns + 0.5), padding_mode, padding_value)
    require(sampling_mode == "bilinear", f"there is no sampling_mode {sampling_mode}")
    top, left = np.floor(rows), np.floor(columns)
    down, across = (rows - top)[:, None], (columns - left)[:, None]
    corner = [[_pixel(x, top + i, left + j, padding_mode, padding_value) for j in (0, 1)] for i in (0, 1)]
    upper = corner[0][0] * (1 - across) + corner[0][1] * across
    lower = corner[1][0] * (1 - across) + corner[1][1] * across
    result: Array = upper * (1 - down) + lower * down
    return result


def _pixels(points: Array, size: int, lowest: float | None, align_corners: bool) -> Array:
    if lowest is None:
        return points
    unit = (points - lowest) / (1 - lowest)
    return unit * (size - 1) if align_corners else unit * size - 0.5


def _pixel(x: Array, rows: Array, columns: Array, padding_mode: str, padding_value: float) -> Array:
    """The pixels [B, C, H2, W2] at whole coordinates [B, H2, W2], some of which are in the padding."""
    inside = np.ones(rows.shape, bool)
    places = []
    for points, size in ((rows, x.shape[2]), (columns, x.shape[3])):
        inside &= (points >= 0) & (points < size)
        place = points.astype(np.int64)
        if padding_mode in ("constant", "border"):
            place = np.clip(place, 0, size - 1)
        else:
            period = max(2 * size - 2, 1) if padding_mode == "reflection" else 2 * size
            place = np.mod(place, period)
            place = np.where(place < size, place, period - place - (padding_mode == "symmetric"))
        places.append(place)
    batch = np.arange(x.shape[0]).reshape(-1, 1, 1)
    found = np.moveaxis(wide(x)[batch, :, places[0], places[1]], -1, 1)
    return found if padding_mode != "constant" else np.where(inside[:, None], found, padding_value)
