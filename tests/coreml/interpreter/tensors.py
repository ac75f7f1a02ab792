"""Operators of `tensor_operation.py`."""

from __future__ import annotations

import math

import numpy as np

from tests.coreml.interpreter.datatypes import Array, wide
from tests.coreml.interpreter.shapes import axes_of
from tests.coreml.interpreter.signatures import (
    FLOAT,
    NUMBER,
    NUMBER_OR_BOOL,
    SMALL,
    Typed,
    UndocumentedError,
    operator,
    require,
)


def _axis(axis: int, rank: int) -> int:
    (place,) = axes_of(np.array([axis]), rank)
    return place


@operator("identity(x: T) -> T", T=NUMBER_OR_BOOL)
def identity(x: Array) -> Array:
    return x


@operator("band_part(x: T, lower: const int32 = -1, upper: const int32 = -1) -> T", T=NUMBER_OR_BOOL)
def band_part(x: Array, lower: int, upper: int) -> Array:
    require(x.ndim >= 2, f"x has the rank {x.ndim}: there is no matrix in it")
    rows, columns = np.indices(x.shape[-2:])
    band = ((lower < 0) | (rows - columns <= lower)) & ((upper < 0) | (columns - rows <= upper))
    return np.where(band, x, np.zeros((), x.dtype))


@operator(
    "cumsum(x: T, axis: const int32 = 0, exclusive: const bool = False, reverse: const bool = False) -> T", T=NUMBER
)
def cumsum(x: Array, axis: int, exclusive: bool, reverse: bool) -> Array:
    require(-1 <= axis < x.ndim, f"the axis {axis} is not in the range from -1 to {x.ndim - 1}")
    values = np.flip(wide(x), axis) if reverse else wide(x)
    total = np.cumsum(values, axis)
    if exclusive:
        total = np.roll(total, 1, axis)
        total[(slice(None),) * (axis % x.ndim) + (0,)] = 0
    return np.flip(total, axis) if reverse else total


@operator("fill(shape: int32, value: const T = 0.0) -> T", T=NUMBER_OR_BOOL)
def fill(shape: Array, value: float) -> Array:
    require(shape.ndim == 1 and bool(np.all(shape > 0)), f"the shape {shape.tolist()}")
    return np.full(shape.tolist(), value)


@operator("fill_like(ref_tensor: T, value: const U = 0.0) -> U", T=NUMBER_OR_BOOL, U=NUMBER_OR_BOOL)
def fill_like(ref_tensor: Array, value: float) -> Array:
    kind = {float: "f", int: "i", bool: "b"}[type(value)]
    if kind != ref_tensor.dtype.kind:
        raise UndocumentedError(
            "the type of the result: that of ref_tensor is documented, coremltools has that of value"
        )
    return np.full(ref_tensor.shape, value)


@operator(
    "one_hot(indices: int32, one_hot_vector_size: int32, axis: const int32 = -1, on_value: const T = 1,"
    " off_value: const T = 0) -> T",
    T=NUMBER_OR_BOOL,
)
def one_hot(indices: Array, one_hot_vector_size: Array, axis: int, on_value: float, off_value: float) -> Array:
    place = _axis(axis, indices.ndim + 1)
    size = int(one_hot_vector_size)
    if np.any(indices < 0) or np.any(indices >= size):
        raise UndocumentedError(f"an index outside of {size} elements")
    hot = np.expand_dims(indices, place) == np.arange(size).reshape([-1, *[1] * (indices.ndim - place)])
    return np.where(hot, on_value, off_value)


@operator("pad(x: T, pad: int32, mode: const string = 'constant', constant_val: const T = 0.0) -> T", T=FLOAT)
def pad(x: Array, pad: Array, mode: str, constant_val: float) -> Array:
    require(pad.ndim == 1 and pad.size % 2 == 0 and pad.size <= 2 * x.ndim, f"pad {list(pad.shape)} for {x.ndim}")
    require(bool(np.all(pad >= 0)), f"pad {pad.tolist()} has negative elements")
    require(mode in ("constant", "reflect", "replicate"), f"there is no mode {mode}")
    widths = [(0, 0)] * (x.ndim - pad.size // 2) + [(int(a), int(b)) for a, b in pad.reshape(-1, 2)]
    for size, width in zip(x.shape, widths, strict=True):
        limit = {"reflect": size - 1, "replicate": size}.get(mode, max(width))
        require(max(width) <= limit, f"{mode} of {width} for {size} elements")
    if mode == "constant":
        return np.pad(wide(x), widths, constant_values=constant_val)
    return np.pad(wide(x), widths, mode="reflect" if mode == "reflect" else "edge")


@operator("range_1d(start: T, end: T, step: T) -> T", T=NUMBER)
def range_1d(start: Array, end: Array, step: Array) -> Array:
    require(start.ndim == end.ndim == step.ndim == 0, "start, end and step are scalars")
    first, last, by = (wide(value).item() for value in (start, end, step))
    require(by != 0, "step is 0")
    return first + np.arange(max(math.ceil((last - first) / by), 0)) * by


@operator("tile(x: T, reps: int32) -> T", T=NUMBER_OR_BOOL)
def tile(x: Array, reps: Array) -> Array:
    require(x.ndim >= 1 and reps.shape == (x.ndim,), f"reps {list(reps.shape)} for the rank {x.ndim}")
    require(bool(np.all(reps > 0)), f"reps {reps.tolist()}")
    return np.tile(x, reps)


def _order(x: Array, axis: int, ascending: bool) -> Array:
    """The places of the sorted values along `axis`; equal values come last first, since nothing is said of them."""
    values = np.flip(wide(x), axis)
    order = np.argsort(values if ascending else -values, axis, kind="stable")
    return x.shape[axis] - 1 - order


@operator("argsort(x: T, axis: const int32 = -1, ascending: const bool = False) -> int32", T=NUMBER)
def argsort(x: Array, axis: int, ascending: bool) -> Array:
    return _order(x, _axis(axis, x.ndim), ascending)


@operator(
    "topk(x: T, k: const K = 1, axis: const int32 = -1, ascending: const bool = False, sort: const bool = True,"
    " return_indices: const bool = True, output_indices_dtype: const string = None) -> T",
    T=(*NUMBER, *SMALL),
    K=("int32", "int16", "int8"),
)
def topk(
    x: Array, *, k: int, axis: int, ascending: bool, sort: bool, return_indices: bool, output_indices_dtype: str | None
) -> list[Array | Typed]:
    place = _axis(axis, x.ndim)
    count = x.shape[place] if k == -1 else k
    require(0 < count <= x.shape[place], f"k is {k} of {x.shape[place]} elements")
    order = np.take(_order(x, place, ascending), range(count), place)
    if not sort:  # any order is right: the other way round shows who depends on one
        order = np.flip(order, place)
    values = np.take_along_axis(x, order, place)
    if not return_indices:
        require(output_indices_dtype is None, "output_indices_dtype without indices")
        return [values]
    return [values, Typed(order, output_indices_dtype or "int32")]


@operator("flatten2d(x: T, axis: const int32 = 1) -> T", T=NUMBER_OR_BOOL)
def flatten2d(x: Array, axis: int) -> Array:
    require(-x.ndim <= axis <= x.ndim, f"the axis {axis} of the rank {x.ndim}")
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


@operator("shape(x: T) -> int32", T=NUMBER_OR_BOOL)
def shape(x: Array) -> Array:
    return np.array(x.shape, np.int64)


@operator(
    "concat(values: T..., axis: const int32, interleave: const bool = False) -> T",
    T=(*NUMBER_OR_BOOL, *SMALL, "uint32"),
)
def concat(values: list[Array], axis: int, interleave: bool) -> Array:
    """Small integers are not in the list of the documentation; the operator states no types in its code."""
    require(len(values) > 0 and values[0].ndim > 0, "concat takes tensors of rank 1 or more")
    place = _axis(axis, values[0].ndim)
    shapes = {value.shape[:place] + value.shape[place + 1 :] for value in values}
    require(len(shapes) == 1 and len({v.ndim for v in values}) == 1, f"the shapes {[list(v.shape) for v in values]}")
    if not interleave:
        return np.concatenate(values, place)
    require(len({value.shape for value in values}) == 1, "interleave takes tensors of one shape")
    stacked = np.stack(values, place + 1)
    return stacked.reshape(*stacked.shape[:place], -1, *stacked.shape[place + 2 :])


@operator("stack(values: T..., axis: const int32) -> T", T=NUMBER_OR_BOOL)
def stack(values: list[Array], axis: int) -> Array:
    require(len({value.shape for value in values}) == 1, f"the shapes {[list(v.shape) for v in values]}")
    return np.stack(values, _axis(axis, values[0].ndim + 1))


@operator(
    "split(x: T, axis: const int32, num_splits: const int32 = None, split_sizes: const int32[] = None) -> T",
    T=NUMBER_OR_BOOL,
)
def split(x: Array, axis: int, num_splits: int | None, split_sizes: Array | None) -> list[Array]:
    place = _axis(axis, x.ndim)
    if split_sizes is None:
        require(num_splits is not None, "num_splits or split_sizes must be given")
        assert num_splits is not None
        require(x.shape[place] % num_splits == 0, f"{x.shape[place]} elements in {num_splits} parts")
        return np.split(x, num_splits, place)
    require(num_splits is None or num_splits == split_sizes.size, f"{num_splits} splits of the sizes {split_sizes}")
    require(int(split_sizes.sum()) == x.shape[place], f"the sizes {split_sizes.tolist()} of {x.shape[place]}")
    return np.split(x, np.cumsum(split_sizes)[:-1], place)
