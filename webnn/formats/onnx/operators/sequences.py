"""Sequences and optionals. Only their tensors enter the graph; their length is known during the import."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate, repeat

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.importing.values import ABSENT, Value
from webnn.formats.onnx.patterns.onnx_operator import onnx_operator_outputs
from webnn.formats.onnx.patterns.split_and_stack import concatenated, stacked, unstacked
from webnn.graph.descriptor import MAX_TENSOR_COUNT

__all__: list[str] = []


def _sequence(node: OnnxNode, values: Iterable[Value]) -> Imported:
    items = tuple(values)
    # Each node of a chain makes a new sequence, so n nodes could ask for n * n references.
    node.importer.budget.spend(8 * len(items), "sequences")
    return [Value(items=items)]


def _position(node: OnnxNode, index: int, count: int) -> int:
    position = int(node.number(index, "the position"))
    if not -count <= position < count:
        raise DataError(f"the position {position} is outside a sequence of {count} tensors")
    return position % count


@imports("SequenceConstruct")
def construct(node: OnnxNode) -> Imported:
    """A sequence of the inputs."""
    return _sequence(node, (node.value(i) for i in range(len(node.inputs))))


@imports("SequenceEmpty")
def empty(node: OnnxNode) -> Imported:
    """An empty sequence."""
    return _sequence(node, ())


@imports("SequenceInsert")
def insert(node: OnnxNode) -> Imported:
    """The sequence with a tensor inserted before a position, or appended."""
    items = node.sequence(0)
    count = len(items)
    place = int(node.number(2, "the position")) if node.has(2) else count
    if not -count <= place <= count:
        raise DataError(f"the position {place} is outside a sequence of {count} tensors")
    place += count if place < 0 else 0
    return _sequence(node, [*items[:place], node.value(1), *items[place:]])


@imports("SequenceErase")
def erase(node: OnnxNode) -> Imported:
    """The sequence without the tensor at a position, or without the last one."""
    items = node.sequence(0)
    if not items:
        raise DataError("the sequence is empty")
    place = _position(node, 1, len(items)) if node.has(1) else len(items) - 1
    return _sequence(node, [*items[:place], *items[place + 1 :]])


@imports("SequenceAt")
def at(node: OnnxNode) -> Imported:
    """The tensor at a position."""
    items = node.sequence(0)
    return [items[_position(node, 1, len(items))]]


@imports("SequenceLength")
def length(node: OnnxNode) -> Imported:
    """The number of tensors."""
    return np.array(len(node.sequence(0)), np.int64)


@imports("SplitToSequence")
def split_to_sequence(node: OnnxNode) -> Imported:
    """Parts along an axis: of the given sizes, of one size except the last, or single slices without the axis."""
    value = node.value(0)
    axis = node.axis(node.get_int("axis", 0), len(value.shape))
    size = value.shape[axis]
    if not node.has(1) and not node.get_int("keepdims", 1):
        return _sequence(node, unstacked(node, value, axis))
    given = node.array(1, "the sizes") if node.has(1) else np.array(1)
    sizes = node.integers(1, "the sizes") if given.ndim else []
    if not given.ndim:
        part = int(given)
        if part < 1:
            raise DataError(f"the size of the parts must be at least 1, got {part}")
        sizes = [*repeat(part, size // part), *([size % part] if size % part else [])]
    if sum(sizes) != size or min(sizes, default=0) < 0:
        raise DataError(f"axis {axis} of {list(value.shape)} cannot be split into {sizes}")
    if len(sizes) > MAX_TENSOR_COUNT:
        raise UnsupportedNodeError(f"{len(sizes)} parts are too many for a graph")
    if value.array is not None:
        return _sequence(node, map(Value, np.split(value.array, [*accumulate(sizes)][:-1], axis)))
    parts = onnx_operator_outputs(node, "Split", [node.operand(0), np.array(sizes)], {"axis": axis}, outputs=len(sizes))
    return _sequence(node, (Value(operand=part, narrow=value.narrow) for part in parts))


@imports("ConcatFromSequence")
def concat_from_sequence(node: OnnxNode) -> Imported:
    """The tensors joined along one of their axes, or along a new one."""
    items, axis = node.sequence(0), node.get_int("axis")
    if not items:
        raise DataError("the sequence is empty")
    return [stacked(node, items, axis) if node.get_int("new_axis", 0) else concatenated(node, items, axis)]


@imports("Optional")
def optional(node: OnnxNode) -> Imported:
    """The value, or an empty optional."""
    return [node.given(0) if node.has(0) else ABSENT]


@imports("OptionalHasElement")
def has_element(node: OnnxNode) -> Imported:
    """Whether there is a value, which an omitted input is not."""
    return np.array(node.has(0))


@imports("OptionalGetElement")
def element(node: OnnxNode) -> Imported:
    """The value of an optional that has one."""
    return [node.given(0)]
