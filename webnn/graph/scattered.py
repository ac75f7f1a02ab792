"""The elements that a scatter replaces, as an index of the array that it writes into.

Saving these before the scatter writes them in place takes far less time than copying everything.
"""

from __future__ import annotations

import sys
from math import prod
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.graph.ir import Node

__all__ = ["Index", "Scattered", "elements", "put_elements", "scattered"]

Index: TypeAlias = Any
"""An index for NumPy: a tuple for arrays of the scatter's shape, or an array for arrays with one dimension."""

LEAST_BYTES: Final = 32 * 1024
"""A tensor that is smaller is copied as fast as its replaced elements are found."""
ONE_BY_ONE: Final = 64
"""Finding and copying single elements takes this many times as long, for each of them, as copying all in a row."""
IN_A_ROW: Final = 4
"""The least ratio of a tensor to the slice that is copied as one."""


class Scattered:
    """Finds the elements that one scatter replaces, from its indices.

    Args:
        shape: the shape of the tensor that is written into.
        indices: the shape of the indices.
        axis: of `scatter_elements`; None for `scatter_nd`.
    """

    __slots__ = ("_axis", "_indices", "_shape")

    def __init__(self, shape: tuple[int, ...], indices: tuple[int, ...], axis: int | None) -> None:
        self._shape = shape
        self._indices = indices
        self._axis = axis

    @property
    def key(self) -> object:
        """Equal for scatters that replace the same elements if they are given the same indices."""
        return self._shape, self._indices, self._axis

    def index(self, indices: np.ndarray[Any, Any]) -> Index | None:
        """The index of the replaced elements; None if they are so many that it is better to copy the whole tensor."""
        shape, axis = self._shape, self._axis
        if axis is None:
            return self._slices(indices)
        if shape[axis] >= IN_A_ROW:
            # Equal indices replace everything at one position of the axis, since the other dimensions are those of the
            # tensor. Comparing bytes takes a fifth of the time of comparing small arrays.
            first = indices.item(0)
            if indices.tobytes() == first.to_bytes(indices.itemsize, sys.byteorder, signed=first < 0) * indices.size:
                place = _inside(first, shape[axis])
                return (*[slice(None)] * axis, slice(place, place + 1))
        if indices.size * ONE_BY_ONE > prod(shape):
            return None
        places = np.indices(self._indices, sparse=True)
        coordinates = [places[i] if i != axis else _inside_all(indices, shape[i]) for i in range(len(shape))]
        return _flat(coordinates, shape)

    def _slices(self, indices: np.ndarray[Any, Any]) -> Index | None:
        """The slices at the coordinates in the last dimension."""
        shape, depth = self._shape, self._indices[-1]
        count, slices = prod(self._indices[:-1]), prod(shape[:depth])
        if count == 1 and slices >= IN_A_ROW:
            row = indices.reshape(-1).tolist()
            return tuple(slice(place, place + 1) for place in map(_inside, row, shape))
        size = prod(shape[depth:])
        if count * size * ONE_BY_ONE > prod(shape):
            return None
        starts = _flat([_inside_all(indices[..., i], shape[i]) for i in range(depth)], shape[:depth])
        return (starts[:, None] * size + np.arange(size)).reshape(-1)


def scattered(node: Node) -> Scattered | None:
    """The replaced elements of a scatter; None if copying the whole tensor is always better."""
    assert node.op in ("open_scatter_nd", "scatter_elements", "scatter_nd"), node.where
    target, indices = node["input"].descriptor, node["indices"].descriptor
    replaced = node["updates"].descriptor.element_count
    if target.byte_length < LEAST_BYTES or replaced * IN_A_ROW > target.element_count:
        return None
    return Scattered(target.shape, indices.shape, node.attributes.get("axis"))


def elements(array: np.ndarray[Any, Any], index: Index) -> np.ndarray[Any, Any]:
    """A copy of the elements at `index` of a C-contiguous array of the scatter's shape."""
    found: np.ndarray[Any, Any]
    found = array[index].copy() if index.__class__ is tuple else array.reshape(-1)[index]
    return found


def put_elements(array: np.ndarray[Any, Any], index: Index, elements: np.ndarray[Any, Any]) -> None:
    """Put `elements` to the places that they were taken from, or to the same ones of another array."""
    if index.__class__ is not tuple:
        array = array.reshape(-1)
    array[index] = elements


def _inside(index: int, size: int) -> int:
    """An index as the specification reads it: negative ones count from the end, those out of range are clamped."""
    return min(max(index + size if index < 0 else index, 0), size - 1)


def _inside_all(indices: np.ndarray[Any, Any], size: int) -> np.ndarray[Any, Any]:
    indices = indices.astype(np.int64)
    return np.clip(np.where(indices < 0, indices + size, indices), 0, size - 1)


def _flat(coordinates: list[np.ndarray[Any, Any]], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Row-major positions, as one dimension."""
    flat: Any = 0
    for coordinate, size in zip(coordinates, shape, strict=True):
        flat = flat * size + coordinate
    return np.asarray(flat).reshape(-1)
