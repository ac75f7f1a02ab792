"""Gathering and scattering on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from webnn.backends.arrays.kernels import Array, Arrays, kernels
from webnn.graph.ir import Node


def _resolved(xp: Any, indices: Array, size: int) -> Array:
    """Indices from the start: negative ones count from the end, those out of range are clamped."""
    indices = xp.astype(indices, xp.int64)
    return xp.clip(xp.where(indices < 0, indices + size, indices), 0, size - 1)


def _flat(xp: Any, coordinates: Sequence[Array], shape: Sequence[int]) -> Array:
    """Row-major positions in an array of `shape`, from the coordinates along each of its axes."""
    flat = xp.zeros((), dtype=xp.int64)
    for coordinate, size in zip(coordinates, shape, strict=True):
        flat = flat * size + coordinate
    return flat


def _positions(xp: Any, operands: Arrays) -> tuple[Array, tuple[int, int]]:
    """Of the `ND` operators: the flat position of each slice, and `input`'s shape as [slices, elements of a slice]."""
    indices, shape = operands["indices"], operands["input"].shape
    depth = indices.shape[-1]
    coordinates = [_resolved(xp, indices[..., i], shape[i]) for i in range(depth)]
    return _flat(xp, coordinates, shape[:depth]), (prod(shape[:depth]), prod(shape[depth:]))


def _replaced(xp: Any, values: Array, positions: Array, updates: Array) -> Array:
    """`values` with `values[positions]` replaced along the first axis; the last of equal positions counts."""
    if 0 in positions.shape:
        return values
    # For each place of `values`, the last of the positions up to it, and the update that was given for that one.
    order = xp.argsort(positions, stable=True)
    ordered = xp.take(positions, order, axis=0)
    places = xp.arange(values.shape[0], dtype=xp.int64)
    last = xp.maximum(xp.searchsorted(ordered, places, side="right") - 1, 0)
    found = xp.take(ordered, last, axis=0) == places
    replacements = xp.take(updates, xp.take(order, last, axis=0), axis=0)
    return xp.where(xp.reshape(found, (-1,) + (1,) * (values.ndim - 1)), replacements, values)


@kernels.lowers("gather")
def gather(xp: Any, node: Node, operands: Arrays) -> Array:
    """The slices at the indices."""
    axis, input = node.attributes["axis"], operands["input"]
    indices = _resolved(xp, operands["indices"], input.shape[axis])
    taken = xp.take(input, xp.reshape(indices, (-1,)), axis=axis)
    return xp.reshape(taken, node.output.shape)


@kernels.lowers("gather_elements")
def gather_elements(xp: Any, node: Node, operands: Arrays) -> Array:
    """`output[i, j, k] = input[i, indices[i, j, k], k]`."""
    axis, input = node.attributes["axis"], operands["input"]
    return xp.take_along_axis(input, _resolved(xp, operands["indices"], input.shape[axis]), axis=axis)


@kernels.lowers("gather_nd")
def gather_nd(xp: Any, node: Node, operands: Arrays) -> Array:
    """The slices at the coordinates."""
    positions, slices = _positions(xp, operands)
    taken = xp.take(xp.reshape(operands["input"], slices), xp.reshape(positions, (-1,)), axis=0)
    return xp.reshape(taken, node.output.shape)


@kernels.lowers("scatter_elements")
def scatter_elements(xp: Any, node: Node, operands: Arrays) -> Array:
    """`output[i, indices[i, j, k], k] = updates[i, j, k]`."""
    axis, input, indices = node.attributes["axis"], operands["input"], operands["indices"]
    coordinates = list(xp.meshgrid(*(xp.arange(size) for size in indices.shape), indexing="ij"))
    coordinates[axis] = _resolved(xp, indices, input.shape[axis])
    positions = xp.reshape(_flat(xp, coordinates, input.shape), (-1,))
    output = _replaced(xp, xp.reshape(input, (-1,)), positions, xp.reshape(operands["updates"], (-1,)))
    return xp.reshape(output, input.shape)


@kernels.lowers("scatter_nd")
def scatter_nd(xp: Any, node: Node, operands: Arrays) -> Array:
    """The input with the slices at the coordinates replaced."""
    input = operands["input"]
    positions, slices = _positions(xp, operands)
    positions = xp.reshape(positions, (-1,))
    updates = xp.reshape(operands["updates"], (positions.shape[0], slices[1]))
    return xp.reshape(_replaced(xp, xp.reshape(input, slices), positions, updates), input.shape)
