"""Resize and Upsample, with all modes of ONNX."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from webnn.errors import DataError, NotSupportedError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.graph.composites.resampling import Axis, Resampling
from webnn.graph.composites.resize import resized
from webnn.graph.operand import MLOperand

__all__: list[str] = []

_COORDINATES: Final = frozenset(
    {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"}
    | {"tf_half_pixel_for_nn", "tf_crop_and_resize"}
)
_NEAREST: Final = frozenset({"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"})


@imports("Upsample")
def upsample(node: OnnxNode) -> Imported:
    """The predecessor of Resize, which enlarges only and uses asymmetric coordinates."""
    scales = node.get_floats("scales") if node.version < 9 else _floats(node, 1)
    return _resized(node, _axes(node, list(range(node.rank(0))), scales, None, []), "asymmetric", "floor")


@imports("Resize")
def resize_10(node: OnnxNode) -> Imported:
    """Resize of opset 10, which works like Upsample, but takes the next element along axes that become smaller."""
    plan = _axes(node, list(range(node.rank(0))), _floats(node, 1), None, [])
    x = node.operand(0)
    if [axis.target for axis in plan] == list(x.shape):
        return node.builder.identity(x)
    smaller = [axis for axis in plan if axis.scale < 1]
    if not smaller or node.get_string("mode", "nearest") != "nearest":
        return _resized(node, plan, "asymmetric", "floor")
    x = _resized(node, smaller, "asymmetric", "ceil")
    return _resized(node, [axis for axis in plan if axis.scale >= 1], "asymmetric", "floor", x)


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
) -> list[Axis]:
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
    return [Axis(axis, size, target, ratio, *region) for axis, size, target, ratio, region in rows]


def _resized(
    node: OnnxNode, plan: Sequence[Axis], coordinates: str, nearest: str, x: MLOperand | None = None
) -> MLOperand:
    """`x`, by default the first operand, resized along the axes of `plan`."""
    x = node.operand(0) if x is None else x
    mode = node.get_string("mode", "nearest")
    if mode not in {"nearest", "linear", "cubic"}:
        raise DataError(f"mode must be nearest, linear or cubic, got {mode!r}")
    if coordinates not in _COORDINATES:
        raise DataError(f"coordinate_transformation_mode {coordinates!r} is not defined by ONNX")
    if nearest not in _NEAREST:
        raise DataError(f"nearest_mode {nearest!r} is not defined by ONNX")
    resampling = Resampling(
        mode,
        coordinates,
        nearest,
        node.get_float("cubic_coeff_a", -0.75),
        bool(node.get_int("exclude_outside", 0)),
        bool(node.get_int("antialias", 0)),
        node.get_float("extrapolation_value", 0.0),
    )
    if all(axis.size == axis.target for axis in plan):
        return node.builder.identity(x)  # whatever the scales are: onnxruntime copies an input of the same size
    # As in onnxruntime, an axis whose scale is 1 is not cropped either.
    changed = [a for a in plan if a.size != a.target or (a.scale != 1 and not resampling.antialias)]
    by = "sizes" if node.version > 10 and node.has(3) and node.shape(3) != (0,) else "scales"
    is_stretched = node.get_string("keep_aspect_ratio_policy", "stretch") == "stretch"
    try:
        return resized(node.builder, x, changed, resampling, by=by if by == "scales" or is_stretched else "")
    except NotSupportedError as error:
        raise UnsupportedNodeError(str(error).partition(": ")[2]) from None
