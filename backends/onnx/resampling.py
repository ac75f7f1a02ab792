"""Resampling in ONNX: one `Resize`."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any, Final

from webnn.backends.onnx.lowerings import lowerings
from webnn.backends.onnx.model import Model
from webnn.backends.sampling import nearest
from webnn.graph.dtypes import FLOATS
from webnn.graph.ir import Node

__all__ = ["EMULATED"]

EMULATED: Final = frozenset({"resample2d"})
"""`Resize` leaves open how integers are rounded, and misses nearest neighbours for sizes that are not `_is_exact`."""


@lowerings.lowers("resample2d")
def resample2d(node: Node, model: Model) -> None:
    """One `Resize`; integers are interpolated as floats and rounded."""
    options: Any = node.attributes
    axes, sizes = options["axes"], options["sizes"]
    shape = node["input"].shape
    x = model[node["input"]]
    if options["mode"] == "nearest-neighbor":
        if all(_is_exact(shape[axis], size) for axis, size in zip(axes, sizes, strict=True)):
            x = _nearest(model, x, shape, node.output.shape)
        else:
            for axis, size in zip(axes, sizes, strict=True):
                model.expect(8 * size)
                x = model.emit("Gather", [x, model.constant(nearest(shape[axis], size))], axis=axis)
        return model.set(node.output, x)
    is_float = node.output.data_type in FLOATS
    x = x if is_float else model.cast(x, "float32")
    if set(axes) in ({2, 3}, {1, 2}):  # the axes that runtimes can interpolate
        x = _resize(model, x, node.output.shape, "linear")
    else:
        first, second = (axis for axis in range(4) if axis not in axes)
        there = (first, second, *axes)
        x = model.transpose(x, there)
        # In three dimensions, so that no optimizer moves the transposition past the `Resize` again.
        x = model.reshape(x, (shape[first] * shape[second], shape[axes[0]], shape[axes[1]]))
        x = _resize(model, x, (shape[first] * shape[second], *sizes), "linear")
        x = model.reshape(x, (shape[first], shape[second], *sizes))
        x = model.transpose(x, [there.index(axis) for axis in range(4)])
    return model.set(node.output, x if is_float else model.emit("Round", [x]))


def _nearest(model: Model, x: str, shape: Sequence[int], wanted: Sequence[int]) -> str:
    if all(size % before == 0 for before, size in zip(shape, wanted, strict=True)):
        # Whole multiples: with this choice of modes, runtimes keep their layout for convolutions.
        return _resize(model, x, wanted, "nearest", nearest_mode="floor", coordinates="asymmetric")
    return _resize(model, x, wanted, "nearest", nearest_mode="round_prefer_floor")


def _resize(
    model: Model, x: str, shape: Sequence[int], mode: str, *, coordinates: str = "half_pixel", **attributes: Any
) -> str:
    # Without the attribute `axes`, which some optimizers do not know.
    return model.emit(
        "Resize",
        [x, "", "", model.constant(shape)],
        mode=mode,
        coordinate_transformation_mode=coordinates,
        **attributes,
    )


def _is_exact(inputs: int, outputs: int) -> bool:
    """Whether 32-bit floats find the nearest index of every output.

    Ties arise only if the reduced input size is even, and are met exactly if it is a power of two. Every other place is
    at least half an output's width from a tie, which has to be more than the rounding errors.
    """
    common = gcd(inputs, outputs)
    reduced = inputs // common
    return (reduced % 2 == 1 or reduced & (reduced - 1) == 0) and inputs * (outputs // common) < 2**20


@lowerings.lowers("resize")
def resize(node: Node, model: Model) -> None:
    """`Resize` with all its options."""
    options: Any = node.attributes
    rank, axes = node["input"].rank, options["axes"]

    def of_all(values: Sequence[float], others: float) -> list[float]:
        """The numbers of all axes, of which those that are not resized have another one."""
        return [values[axes.index(axis)] if axis in axes else others for axis in range(rank)]

    is_crop = options["coordinates"] == "tf_crop_and_resize"
    region = [*of_all(options["starts"], 0), *of_all(options["ends"], 1)] if is_crop else None
    inputs = [model[node["input"]], "" if region is None else model.constant(region, "float32")]
    if options["by"] == "scales":
        inputs.append(model.constant(of_all(options["scales"], 1), "float32"))
    else:
        inputs += ["", model.constant(list(node.output.shape))]
    name = model.emit(
        "Resize",
        inputs,
        mode=options["mode"],
        coordinate_transformation_mode=options["coordinates"],
        nearest_mode=options["nearest"],
        antialias=int(options["antialias"]),
        exclude_outside=int(options["exclude_outside"]),
        extrapolation_value=options["extrapolation"],
    )
    model.set(node.output, name)


@lowerings.lowers("grid_sample")
def grid_sample(node: Node, model: Model) -> None:
    """`GridSample`. Coordinates in float16 would be too few: a pixel of the 2048th column lies at one of four."""
    inputs = [model.cast(model[node[name]], "float32") for name in ("input", "grid")]
    model.set(node.output, model.emit("GridSample", inputs, **node.attributes))


@lowerings.lowers("roi_align")
def roi_align(node: Node, model: Model) -> None:
    """`RoiAlign`, in float32 for the same reason."""
    inputs = [model.cast(model[node[name]], "float32") for name in ("input", "rois")]
    images = model.cast(model[node["batch_indices"]], "int64")
    model.set(node.output, model.emit("RoiAlign", [*inputs, images], **node.attributes))
