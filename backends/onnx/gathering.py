"""Gathering and scattering in ONNX: one node each, after one that keeps indices in range.

ONNX counts negative indices from the end too, but there indices out of range are errors, so they are clamped first.
Constant indices are clamped here, which costs nothing at run time.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np

from webnn.backends.onnx.lowerings import lowerings
from webnn.backends.onnx.model import Model
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

_IN_ORDER: Final = 2**14
"""Runtimes scatter fewer elements than this in order; onnxruntime uses several threads from about 2**17 on."""


def _clamped(indices: MLOperand, sizes: Sequence[int], model: Model) -> str:
    """The indices, within dimensions of `sizes`: one size for each coordinate in the last dimension, or one for all."""
    high = np.array(sizes if len(set(sizes)) > 1 else sizes[0]) - 1
    low = -high - 1
    if indices.constant is not None:
        inside = ((low <= indices.constant) & (indices.constant <= high)).all()
        if inside and indices.data_type != "uint32":
            return model[indices]
        return model.derived([indices], ("clamped", *sizes), lambda value: value.astype(np.int64).clip(low, high))
    unsigned = indices.data_type == "uint32"
    if high.ndim == 0:
        lower = "" if unsigned else model.constant(low, indices.data_type)
        return model.emit("Clip", [model[indices], lower, model.constant(high, indices.data_type)])
    result = model.emit("Min", [model[indices], model.constant(high, indices.data_type)])
    return result if unsigned else model.emit("Max", [result, model.constant(low, indices.data_type)])


def _along_axis(node: Node, model: Model) -> str:
    return _clamped(node["indices"], [node["input"].shape[node.attributes["axis"]]], model)


def _coordinates(node: Node, model: Model) -> str:
    indices = node["indices"]
    sizes = node["input"].shape[: indices.shape[-1]]
    inside = model[indices] if _are_inside(indices, sizes) else _clamped(indices, sizes, model)
    return model.cast(inside, "int64")


def _are_inside(indices: MLOperand, sizes: Sequence[int]) -> bool:
    """Whether `indices` are joined from coordinates that are within dimensions of `sizes` whatever is computed."""
    node = indices.node
    if node is not None and node.op == "scatter_coordinates":
        return True
    if node is None or node.op != "concat" or node.attributes["axis"] != indices.rank - 1:
        return False
    parts = list(node.inputs())
    return len(parts) == len(sizes) and all(map(_is_inside, parts, sizes))


def _is_inside(coordinate: MLOperand, size: int) -> bool:
    if coordinate.constant is not None:
        return bool(((-size <= coordinate.constant) & (coordinate.constant < size)).all())
    node = coordinate.node
    while node is not None and node.op == "reshape":
        node = node["input"].node
    if node is None or node.op != "clamp":
        return False
    return bool(-size <= node.attributes["min_value"] and node.attributes["max_value"] < size)


@lowerings.lowers("gather")
def gather(node: Node, model: Model) -> None:
    """One `Gather`."""
    inputs = [model[node["input"]], _along_axis(node, model)]
    model.emit("Gather", inputs, to=node.output, axis=node.attributes["axis"])


@lowerings.lowers("gather_elements")
def gather_elements(node: Node, model: Model) -> None:
    """One `GatherElements`."""
    inputs = [model[node["input"]], _along_axis(node, model)]
    model.emit("GatherElements", inputs, to=node.output, axis=node.attributes["axis"])


@lowerings.lowers("gather_nd")
def gather_nd(node: Node, model: Model) -> None:
    """One `GatherND`."""
    model.emit("GatherND", [model[node["input"]], _coordinates(node, model)], to=node.output)


@lowerings.lowers("scatter_elements")
def scatter_elements(node: Node, model: Model) -> None:
    """One `ScatterElements`, which writes in row-major order."""
    inputs = [model[node["input"]], _along_axis(node, model), model[node["updates"]]]
    model.emit("ScatterElements", inputs, to=node.output, axis=node.attributes["axis"])


@lowerings.lowers("scatter_nd")
def scatter_nd(node: Node, model: Model) -> None:
    """One `ScatterND`."""
    in_order = node["updates"].descriptor.element_count < _IN_ORDER
    if not in_order and node["indices"].constant is not None:
        coordinates, updates = _last_updates(node, model)
    else:
        coordinates = _coordinates(node, model)
        updates = model[node["updates"]] if in_order else _settled_updates(node, coordinates, model)
    model.emit("ScatterND", [model[node["input"]], coordinates, updates], to=node.output)


@lowerings.lowers("reverse_sequence")
def reverse_sequence(node: Node, model: Model) -> None:
    """`ReverseSequence`."""
    inputs = [model[node["input"]], model.cast(model[node["sequence_lens"]], "int64")]
    model.emit("ReverseSequence", inputs, to=node.output, **node.attributes)


@lowerings.lowers("open_gather_elements")
def open_gather_elements(node: Node, model: Model) -> None:
    """`GatherElements` alone."""
    inputs = [model[node["input"]], model[node["indices"]]]
    model.emit("GatherElements", inputs, to=node.output, axis=node.attributes["axis"])


@lowerings.lowers("open_scatter_nd")
def open_scatter_nd(node: Node, model: Model) -> None:
    """`ScatterND` alone."""
    inputs = [model[node["input"]], model.cast(model[node["indices"]], "int64"), model[node["updates"]]]
    model.emit("ScatterND", inputs, to=node.output)


def _last_updates(node: Node, model: Model) -> tuple[str, str]:
    """The constant indices and the updates without those that a later update of the same slice replaces."""
    indices, updates = node["indices"], node["updates"]
    assert indices.constant is not None
    depth = indices.shape[-1]
    sizes = node["input"].shape[:depth]
    high = np.array(sizes) - 1
    places = indices.constant.astype(np.int64).clip(-high - 1, high).reshape(-1, depth) % sizes
    slices = np.ravel_multi_index(tuple(places.T), sizes)
    last = len(slices) - 1 - np.unique(slices[::-1], return_index=True)[1]
    if len(last) == len(slices):
        return _coordinates(node, model), model[updates]
    last.sort()
    rows = model.reshape(model[updates], [len(slices), *updates.shape[indices.rank - 1 :]])
    return model.constant(places[last]), model.emit("Gather", [rows, model.constant(last)])


def _settled_updates(node: Node, coordinates: str, model: Model) -> str:
    """The updates, with all of one slice replaced by the last of them.

    ONNX leaves the order of updates open, and with equal ones it does not matter. `last` is the number of the last
    update of each slice, found by scattering the numbers of all updates one by one.
    """
    input, indices, updates = node["input"], node["indices"], node["updates"]
    depth, count = indices.shape[-1], prod(indices.shape[:-1])
    sizes, rest = input.shape[:depth], prod(input.shape[depth:])
    strides = [prod(sizes[i + 1 :]) for i in range(depth)]
    from_start = model.emit("Mod", [coordinates, model.constant(sizes)])
    flat = model.emit("ReduceSum", [model.emit("Mul", [from_start, model.constant(strides)]), model.constant([-1])])
    slices = model.reshape(flat, [count])
    numbers = model.emit("Range", [model.constant(0), model.constant(count), model.constant(1)])
    empty = model.emit("Expand", [model.constant(0), model.constant([prod(sizes)])])
    last = model.emit("GatherElements", [model.emit("ScatterElements", [empty, slices, numbers]), slices])
    settled = model.emit("Gather", [model.reshape(model[updates], [count, rest]), last])
    return model.reshape(settled, updates.shape)


@lowerings.lowers("scatter_reduce_elements")
def scatter_reduce_elements(node: Node, model: Model) -> None:
    """One `ScatterElements` with a reduction."""
    _scatter_reduced("ScatterElements", node, model[node["indices"]], model, axis=node.attributes["axis"])


@lowerings.lowers("scatter_reduce_nd")
def scatter_reduce_nd(node: Node, model: Model) -> None:
    """One `ScatterND` with a reduction."""
    _scatter_reduced("ScatterND", node, model.cast(model[node["indices"]], "int64"), model)


def _scatter_reduced(op_type: str, node: Node, indices: str, model: Model, **attributes: Any) -> None:
    """float16 is combined in float32 where onnxruntime has no kernel for it. Sums would lose digits, too."""
    reduction, input, updates = node.attributes["reduction"], model[node["input"]], model[node["updates"]]
    if node.output.data_type == "float16" and (op_type == "ScatterND" or reduction in {"add", "mul"}):
        input, updates = model.cast(input, "float32"), model.cast(updates, "float32")
    result = model.emit(op_type, [input, indices, updates], reduction=reduction, **attributes)
    model.set(node.output, result)
