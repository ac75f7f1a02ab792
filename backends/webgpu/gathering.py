"""Scattering on the device, where threads write in any order: of several updates of one place the last one must stay.

As `ScatterND` with the reduction `max` is right with any order, it finds the number of the last update of each place.
All updates of a place are replaced by that one, and then the order does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from webnn.backends.onnx import gathering as standard
from webnn.backends.onnx.model import Model
from webnn.graph.ir import Node

__all__ = ["scatter_elements", "scatter_nd"]


class _Updates(NamedTuple):
    """The value called `name`, of `shape`; `rows` of it go to one place each."""

    name: str
    shape: Sequence[int]
    rows: int


def scatter_nd(node: Node, model: Model) -> None:
    """One `ScatterND`, of updates that are settled first."""
    input, indices, updates = node["input"], node["indices"], node["updates"]
    depth, count = indices.shape[-1], prod(indices.shape[:-1])
    sizes = input.shape[:depth]
    strides = [prod(sizes[i + 1 :]) for i in range(depth)]
    coordinates = standard._clamped(indices, sizes, model)
    values = _Updates(model[updates], updates.shape, count)
    if count > 1 and indices.constant is not None:
        places = _from_start(indices.constant, np.array(sizes)) @ np.array(strides)
        values = _settled_now(model, values, places.reshape(-1))
    elif count > 1:
        from_start = _counted_from_start(model, model.cast(coordinates, "int32"), sizes)
        terms = model.emit("Mul", [from_start, model.constant(strides, "int32")])
        flat = model.reshape(model.emit("ReduceSum", [terms, model.constant([-1])], keepdims=0), [count])
        values = _settled(model, values, flat, prod(sizes))
    model.emit("ScatterND", [model[input], model.cast(coordinates, "int64"), values.name], to=node.output)


def scatter_elements(node: Node, model: Model) -> None:
    """One `ScatterElements`, likewise."""
    input, indices, updates = node["input"], node["indices"], node["updates"]
    axis, count = node.attributes["axis"], updates.descriptor.element_count
    strides = [prod(input.shape[i + 1 :]) for i in range(input.rank)]
    along_axis = standard._along_axis(node, model)
    values = _Updates(model[updates], updates.shape, count)
    if indices.constant is not None:
        coordinates: list[Any] = list(np.indices(updates.shape, sparse=True))
        coordinates[axis] = _from_start(indices.constant, np.array(input.shape[axis]))
        places = sum(each * stride for each, stride in zip(coordinates, strides, strict=True))
        values = _settled_now(model, values, places.reshape(-1))
    elif count > 1:
        index = _counted_from_start(model, model.cast(along_axis, "int32"), [input.shape[axis]])
        flat = model.emit("Mul", [index, model.constant(strides[axis], "int32")])
        for other, size in enumerate(updates.shape):
            if other != axis and size > 1:
                shape = [size if i == other else 1 for i in range(input.rank)]
                offsets = (np.arange(size) * strides[other]).reshape(shape)
                flat = model.emit("Add", [flat, model.constant(offsets, "int32")])
        places_count = input.descriptor.element_count
        values = _settled(model, values, model.reshape(flat, [count]), places_count)
    model.emit("ScatterElements", [model[input], along_axis, values.name], to=node.output, axis=axis)


def _from_start(indices: np.ndarray[Any, Any], sizes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Constant indices within dimensions of `sizes`, counted from the start."""
    clamped = np.clip(indices.astype(np.int64), -sizes, sizes - 1)
    counted: np.ndarray[Any, Any] = np.where(clamped < 0, clamped + sizes, clamped)
    return counted


def _counted_from_start(model: Model, indices: str, sizes: Sequence[int]) -> str:
    is_negative = model.emit("Less", [indices, model.constant(0, "int32")])
    size = model.constant(sizes, "int32")
    return model.emit("Where", [is_negative, model.emit("Add", [indices, size]), indices])


def _settled_now(model: Model, updates: _Updates, places: np.ndarray[Any, Any]) -> _Updates:
    """The updates of places that are known: themselves if no two of these are equal."""
    _, first, inverse = np.unique(places[::-1], return_index=True, return_inverse=True)
    if first.size == places.size:
        return updates
    last = (places.size - 1 - first[inverse])[::-1]
    return _chosen(model, updates, model.constant(last, "int32"))


def _settled(model: Model, updates: _Updates, places: str, number: int) -> _Updates:
    """The updates, each replaced by the last of its place, which are below `number`."""
    one = model.constant(1, "int32")
    numbers = model.emit("Range", [one, model.constant(updates.rows + 1, "int32"), one])
    empty = model.emit("Expand", [model.constant(0, "int32"), model.constant([number])])
    column = model.cast(model.reshape(places, [updates.rows, 1]), "int64")
    last = model.emit("ScatterND", [empty, column, numbers], reduction="max")
    return _chosen(model, updates, model.emit("Sub", [model.emit("Gather", [last, places]), one]))


def _chosen(model: Model, updates: _Updates, rows: str) -> _Updates:
    """The updates with these rows, which stand for those at their positions."""
    rest = prod(updates.shape) // updates.rows
    chosen = model.emit("Gather", [model.reshape(updates.name, [updates.rows, rest]), rows])
    return updates._replace(name=model.reshape(chosen, updates.shape))
