"""Updates written to indices of a tensor, or combined with its elements."""

from __future__ import annotations

from typing import Final

import numpy as np

from webnn.errors import DataError
from webnn.forking import import_lock
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.graph.composites.open_cases import MANY, scattered_in_any_order
from webnn.graph.composites.scatter_reduce import REDUCTIONS, pasted, scattered_elements, scattered_slices

__all__: list[str] = []

_OF_TRUTHS: Final = {"add": "max", "mul": "min"}
"""What sums and products of truth values are, which would not be 0 and 1."""


def _reduction(node: OnnxNode) -> str:
    name = node.get_string("reduction", "none")
    if name != "none" and name not in REDUCTIONS:
        raise DataError(f"reduction must be none, add, mul, max or min, got {name!r}")
    if name in _OF_TRUTHS and node.data_type(0) == "uint8":
        with import_lock:  # here, since hardly any model scatters truth values
            from webnn.formats.onnx.patterns.truth_values import is_bool  # noqa: PLC0415

        return _OF_TRUTHS[name] if is_bool(node, 0) or is_bool(node, 2) else name
    return name


@imports("ScatterElements", "Scatter")
def scatter_elements(node: OnnxNode) -> Imported:
    """Elements scattered to indices along one axis."""
    b = node.builder
    x = node.operand(0)
    axis = node.axis(node.get_int("axis", 0), x.rank)
    reduction = _reduction(node)
    if _has_no_updates(node):
        return x
    indices, updates = node.operand(1), node.operand(2)
    if indices.shape != updates.shape or indices.rank != x.rank:
        raise DataError(
            f"indices {list(indices.shape)} and updates {list(updates.shape)} do not fit data {list(x.shape)}"
        )
    touched = [size if i == axis else indices.shape[i] for i, size in enumerate(x.shape)]
    if any(size > has for size, has in zip(touched, x.shape, strict=True)):
        raise DataError(f"indices {list(indices.shape)} are larger than data {list(x.shape)}")
    if reduction != "none":
        return scattered_elements(b, x, indices, updates, axis=axis, reduction=reduction)
    part = b.slice(x, [0] * x.rank, touched) if touched != list(x.shape) else x
    result = b.scatter_elements(part, indices, updates, axis=axis)
    return result if part is x else pasted(b, x, result)


@imports("ScatterND")
def scatter_nd(node: OnnxNode) -> Imported:
    """Slices scattered to coordinates."""
    b = node.builder
    x = node.operand(0)
    if _has_no_updates(node):
        return x
    indices, updates = node.operand(1), node.operand(2)
    depth = indices.shape[-1] if indices.rank else 0
    if not 1 <= depth <= x.rank or updates.shape != (*indices.shape[:-1], *x.shape[depth:]):
        raise DataError(
            f"indices {list(indices.shape)} and updates {list(updates.shape)} do not fit data {list(x.shape)}"
        )
    reduction = _reduction(node)
    if reduction == "none":
        if indices.constant is None and updates.descriptor.element_count >= MANY:
            return scattered_in_any_order(b, x, indices, updates)
        return b.scatter_nd(x, indices, updates)
    return scattered_slices(b, x, indices, updates, reduction=reduction)


def _has_no_updates(node: OnnxNode) -> bool:
    """Whether there is nothing to scatter."""
    return 0 in node.shape(1) and 0 in node.shape(2)


@imports("TensorScatter")
def tensor_scatter(node: OnnxNode) -> Imported:
    """A cache with a part replaced, from a position of its own for each element of the batch."""
    b = node.builder
    x, updates = node.operand(0), node.operand(1)
    axis = node.axis(node.get_int("axis", -2), x.rank)
    mode = node.get_string("mode", "linear")
    if mode not in {"linear", "circular"} or axis == 0 or x.rank != updates.rank:
        raise DataError(
            f"mode {mode!r}, axis {axis}, data {list(x.shape)} and updates {list(updates.shape)} are not valid together"
        )
    steps = np.arange(updates.shape[axis]).reshape([-1 if i == axis else 1 for i in range(x.rank)])
    places = node.constant(steps.astype(np.int32))
    if node.has(2):
        start = b.cast(b.reshape(node.operand(2), [x.shape[0]] + [1] * (x.rank - 1)), "int32")
        places = b.add(places, start)
    if mode == "circular":
        size = b.constant("int32", x.shape[axis])
        places = b.sub(places, b.mul(b.div(places, size), size))
    return b.scatter_elements(x, b.expand(places, updates.shape), updates, axis=axis)
