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

_FEW: Final = 2**12
_MOVING: Final = frozenset({"cast", "expand", "identity", "reshape", "transpose"})
_WIDE: Final = frozenset({"int32", "int64", "uint32"})
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
    if high.ndim == 0 and _are_places(indices, sizes[0]):
        return model[indices]
    unsigned = indices.data_type == "uint32"
    if high.ndim == 0:
        lower = "" if unsigned else model.constant(low, indices.data_type)
        return model.emit("Clip", [model[indices], lower, model.constant(high, indices.data_type)])
    # Bounds in the shape of the indices, since operands that broadcast over short rows take three times as long.
    shape = indices.shape if indices.descriptor.element_count <= _FEW else high.shape
    upper, lower = (model.constant(np.broadcast_to(bound, shape), indices.data_type) for bound in (high, low))
    result = model.emit("Min", [model[indices], upper])
    return result if unsigned else model.emit("Max", [result, lower])


def _are_places(indices: MLOperand, size: int) -> bool:
    """Whether `arg_max` or `arg_min` has found the indices among at most `size` places."""
    node = indices.node
    while node is not None and node.op in _MOVING:
        if node.output.data_type not in _WIDE:
            return False
        node = node["input"].node
    if node is None or node.op not in {"arg_max", "arg_min"}:
        return False
    axis: int = node.attributes["axis"]
    return node["input"].shape[axis] <= size


def _along_axis(node: Node, model: Model) -> str:
    return _clamped(node["indices"], [node["input"].shape[node.attributes["axis"]]], model)


def _coordinates(node: Node, model: Model) -> str:
    indices = node["indices"]
    sizes = node["input"].shape[: indices.shape[-1]]
    inside = model[indices] if _are_inside(indices, sizes) else _clamped(indices, sizes, model)
    return model.cast(inside, "int64")


def _are_inside(indices: MLOperand, sizes: Sequence[int]) -> bool:
    """Whether `indices` are within dimensions of `sizes`, or joined from coordinates that are, whatever is computed."""
    if indices.constant is not None and indices.data_type != "uint32":
        return bool(((-np.array(sizes) <= indices.constant) & (indices.constant < np.array(sizes))).all())
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
    axis, input, indices = node.attributes["axis"], node["input"], model[node["indices"]]
    size, data = input.shape[axis], model[input]
    ignoring = node.attributes["ignoring"] and not _is_inside(node["indices"], size)
    if ignoring:
        data, indices = _with_a_spare(model, data, input.shape, axis), _or_spare(model, indices, size)
    updates = model[node["updates"]]
    result = _scatter_reduced("ScatterElements", node, data, indices, updates, model, axis=axis)
    model.set(node.output, _without_the_spare(model, result, size, axis) if ignoring else result)


@lowerings.lowers("scatter_reduce_nd")
def scatter_reduce_nd(node: Node, model: Model) -> None:
    """One `ScatterND` with a reduction."""
    input, indices, updates = node["input"], model.cast(model[node["indices"]], "int64"), model[node["updates"]]
    depth = node["indices"].shape[-1]
    sizes = input.shape[:depth]
    if not node.attributes["ignoring"] or _are_inside(node["indices"], sizes):
        model.set(node.output, _scatter_reduced("ScatterND", node, model[input], indices, updates, model))
        return
    # As rows, since one coordinate that is too large may make up for another one.
    parts = model.emit_many("Split", [indices], [None] * depth, axis=-1, num_outputs=depth) if depth > 1 else [indices]
    row = ""
    for part, size in zip(parts, sizes, strict=True):
        place = _from_start(model, part, size)
        row = model.emit("Add", [model.emit("Mul", [row, model.constant(size)]), place]) if row else place
    count, rest = prod(sizes), prod(input.shape[depth:])
    data = _with_a_spare(model, model.reshape(model[input], [count, rest]), (count, rest), 0)
    places = model.emit("Clip", [row, model.constant(-1), model.constant(count)])
    number = prod(node["indices"].shape[:-1])
    places, updates = model.reshape(places, [number, 1]), model.reshape(updates, [number, rest])
    result = _scatter_reduced("ScatterND", node, data, places, updates, model)
    model.reshape(_without_the_spare(model, result, count, 0), input.shape, to=node.output)


def _with_a_spare(model: Model, data: str, shape: Sequence[int], axis: int) -> str:
    """`data` with one more place along `axis`, for the updates that are left out."""
    pads = [0] * (2 * len(shape))
    pads[len(shape) + axis] = 1
    return model.emit("Pad", [data, model.constant(pads), model.constant(0, model.data_type(data))])


def _without_the_spare(model: Model, data: str, size: int, axis: int) -> str:
    return model.emit("Slice", [data, *map(model.constant, ([0], [size], [axis]))])


def _from_start(model: Model, indices: str, size: int) -> str:
    """Indices that count from the end, counted from the start."""
    data_type = model.data_type(indices)
    is_negative = model.emit("Less", [indices, model.constant(0, data_type)])
    return model.emit("Where", [is_negative, model.emit("Add", [indices, model.constant(size, data_type)]), indices])


def _or_spare(model: Model, indices: str, size: int) -> str:
    """Indices from the start; those out of range are -1, which is the spare place counted from the end, or `size`."""
    data_type = model.data_type(indices)
    bounds = [model.constant(bound, data_type) for bound in (-1, size)]
    return model.emit("Clip", [_from_start(model, indices, size), *bounds])


def _scatter_reduced(  # noqa: PLR0917 (the operands of a scatter)
    op_type: str, node: Node, input: str, indices: str, updates: str, model: Model, **attributes: Any
) -> str:
    """float16 is combined in float32 where onnxruntime has no kernel for it. Sums would lose digits, too."""
    reduction = node.attributes["reduction"]
    if node.output.data_type == "float16" and (op_type == "ScatterND" or reduction in {"add", "mul"}):
        input, updates = model.cast(input, "float32"), model.cast(updates, "float32")
    result = model.emit(op_type, [input, indices, updates], reduction=reduction, **attributes)
    return model.cast(result, node.output.data_type)
