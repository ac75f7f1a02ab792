"""Operators of `scatter_gather.py`, as of iOS 17: an index below zero is out of bounds, which is undefined."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

import numpy as np

from tests.coreml.interpreter.datatypes import Array, wide
from tests.coreml.interpreter.signatures import FLOAT, INDEX, NUMBER, UndocumentedError, operator, require

_VALUES: Final = (*FLOAT, *INDEX)


def _in_bounds(indices: Array, size: int) -> Array:
    places = indices.astype(np.int64)
    if np.any(places < 0) or np.any(places >= size):
        raise UndocumentedError(f"an index of {places.min()} to {places.max()} into {size} elements")
    return places


def _axis(axis: int, rank: int) -> int:
    require(-rank <= axis < rank, f"the axis {axis} of the rank {rank}")
    return axis % rank


@operator(
    "gather(x: T, indices: I, axis: const int32 = 0, batch_dims: const int32 = 0, validate_indices: const bool = False)"
    " -> T",
    T=_VALUES,
    I=INDEX,
)
def gather(x: Array, indices: Array, axis: int, batch_dims: int, validate_indices: bool) -> Array:
    place = _axis(axis, x.ndim)
    require(0 <= batch_dims <= min(place, indices.ndim), f"{batch_dims} batch dimensions before the axis {axis}")
    require(x.shape[:batch_dims] == indices.shape[:batch_dims], "the batch dimensions of x and indices differ")
    places = _in_bounds(indices, x.shape[place])
    result = np.empty((*x.shape[:place], *indices.shape[batch_dims:], *x.shape[place + 1 :]), x.dtype)
    for batch in itertools.product(*map(range, x.shape[:batch_dims])):
        result[batch] = np.take(x[batch], places[batch], place - batch_dims)
    return result


@operator(
    "gather_along_axis(x: T, indices: I, axis: const int32 = 0, validate_indices: const bool = False) -> T",
    T=_VALUES,
    I=INDEX,
)
def gather_along_axis(x: Array, indices: Array, axis: int, validate_indices: bool) -> Array:
    _same_but_for(axis, x, indices)
    return np.take_along_axis(x, _in_bounds(indices, x.shape[axis]), axis)


def _same_but_for(axis: int, x: Array, indices: Array) -> None:
    require(x.ndim == indices.ndim, f"indices have the rank {indices.ndim}, not {x.ndim}")
    place = _axis(axis, x.ndim)
    same = all(a == b for i, (a, b) in enumerate(zip(x.shape, indices.shape, strict=True)) if i != place)
    require(same, f"indices {list(indices.shape)} for {list(x.shape)} along the axis {axis}")


@operator(
    "gather_nd(x: T, indices: I, batch_dims: const int32 = 0, validate_indices: const bool = False) -> T",
    T=_VALUES,
    I=INDEX,
)
def gather_nd(x: Array, indices: Array, batch_dims: int, validate_indices: bool) -> Array:
    require(indices.ndim >= 1, "indices must have the rank 1 or more")
    depth = indices.shape[-1]
    require(0 <= batch_dims < indices.ndim, f"{batch_dims} batch dimensions")
    require(depth + batch_dims <= x.ndim, f"indices of {depth} for the rank {x.ndim}")
    require(x.shape[:batch_dims] == indices.shape[:batch_dims], "the batch dimensions of x and indices differ")
    places = [_in_bounds(indices[..., i], x.shape[batch_dims + i]) for i in range(depth)]
    grid = np.indices(indices.shape[:-1], sparse=True)[:batch_dims] if batch_dims else ()
    return x[(*grid, *places)]


_MODES: Final[dict[str, Callable[..., None]]] = {
    "add": np.add.at,
    "sub": np.subtract.at,
    "mul": np.multiply.at,
    "div": np.true_divide.at,
    "max": np.maximum.at,
    "min": np.minimum.at,
}


def _scattered(data: Array, places: tuple[Array, ...], updates: Array, mode: str) -> Array:
    """`data` with `updates` at `places`, which index its leading dimensions."""
    require(mode in (*_MODES, "update"), f"there is no mode {mode}")
    shape = data.shape[: len(places)]
    flat = np.ravel_multi_index(tuple(np.broadcast_arrays(*places)), shape) if places else np.zeros((), int)
    if mode == "update" and np.unique(flat).size != flat.size:
        raise UndocumentedError("which update wins where an index is there twice")
    result = wide(data).copy()
    if mode == "update":
        result[places] = wide(updates)
    else:
        _MODES[mode](result, places, wide(updates))
    return result


@operator(
    "scatter(data: T, indices: int32, updates: T, axis: const int32 = 0, mode: const string = None,"
    " validate_indices: const bool = False) -> T",
    T=NUMBER,
)
def scatter(
    data: Array, *, indices: Array, updates: Array, axis: int, mode: str | None, validate_indices: bool
) -> Array:
    if mode is None:
        raise UndocumentedError("the default of mode: update is documented, add is what coremltools has")
    place = _axis(axis, data.ndim)
    require(indices.ndim == 1, f"indices have the rank {indices.ndim}, not 1")
    wanted = (*data.shape[:place], indices.size, *data.shape[place + 1 :])
    require(updates.shape == wanted, f"updates {list(updates.shape)}, not {list(wanted)}")
    places = _in_bounds(indices, data.shape[place])
    moved = _scattered(np.moveaxis(data, place, 0), (places,), np.moveaxis(updates, place, 0), mode)
    return np.moveaxis(moved, 0, place)


@operator(
    "scatter_along_axis(data: T, indices: int32, updates: T, axis: const int32 = 0, mode: const string = 'add',"
    " validate_indices: const bool = False) -> T",
    T=NUMBER,
)
def scatter_along_axis(
    data: Array, *, indices: Array, updates: Array, axis: int, mode: str, validate_indices: bool
) -> Array:
    _same_but_for(axis, data, indices)
    require(updates.shape == indices.shape, f"updates {list(updates.shape)} for indices {list(indices.shape)}")
    place = _axis(axis, data.ndim)
    places: list[Array] = list(np.indices(indices.shape))
    places[place] = _in_bounds(indices, data.shape[place])
    return _scattered(data, tuple(places), updates, mode)


@operator(
    "scatter_nd(data: T, indices: int32, updates: T, mode: const string = 'add', validate_indices: const bool = False)"
    " -> T",
    T=NUMBER,
)
def scatter_nd(data: Array, indices: Array, updates: Array, mode: str, validate_indices: bool) -> Array:
    require(indices.ndim >= 1 and indices.shape[-1] <= data.ndim, f"indices {list(indices.shape)} for {data.ndim}")
    depth = indices.shape[-1]
    wanted = (*indices.shape[:-1], *data.shape[depth:])
    require(updates.shape == wanted, f"updates {list(updates.shape)}, not {list(wanted)}")
    places = tuple(_in_bounds(indices[..., i], data.shape[i]) for i in range(depth))
    return _scattered(data, places, updates, mode)
