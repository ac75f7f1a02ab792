"""Gathering and scattering in Core ML, which from iOS 17 on takes only indices from 0 to size - 1.

Negative indices count from the end, and those out of range are clamped. Constant indices are put right here, which
costs nothing at run time. Scatters add by default: each is told to replace.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from webnn.backends.coreml.lowerings import lowerings
from webnn.backends.coreml.program import Program, Value
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__: list[str] = []


def _in_range(indices: MLOperand, sizes: Sequence[int], program: Program) -> Value:
    """The indices, from 0 on, within dimensions of `sizes`: one for each coordinate in the last dimension, or one."""
    if indices.constant is not None:
        size = np.array(sizes, np.int64)
        array = indices.constant.astype(np.int64).reshape(indices.shape or (1,))
        return program.constant(np.where(array < 0, array + size, array).clip(0, size - 1).astype(np.int32))
    value = program[indices]
    zero = program.number(0, "int32")
    several = len({*sizes}) > 1
    size, last = (
        program.constant(np.array(sizes, np.int32) - less) if several else program.number(sizes[0] - less, "int32")
        for less in (0, 1)
    )
    negative = program.emit("less", x=value, y=zero)
    # Added to negative ones alone: others may be so large that the sum would not fit.
    from_start = program.emit("add", x=value, y=program.select(negative, size, zero, value.shape))
    return program.emit("maximum", x=program.emit("minimum", x=from_start, y=last), y=zero)


def _along_axis(node: Node, program: Program) -> Value:
    return _in_range(node["indices"], [node["input"].shape[node.attributes["axis"]]], program)


def _coordinates(node: Node, program: Program) -> Value:
    """At least one row of them, since results would be scalars otherwise."""
    indices = node["indices"]
    depth = indices.shape[-1]
    value = _in_range(indices, node["input"].shape[:depth], program)
    return program.reshape(value, (1, depth)) if indices.rank == 1 else value


@lowerings.lowers("gather")
def gather(node: Node, program: Program) -> None:
    """One `gather`."""
    indices, axis = _along_axis(node, program), node.attributes["axis"]
    taken = program.emit("gather", x=program[node["input"]], indices=indices, axis=axis)
    program.set(node.output, program.reshape(taken, node.output.shape))


@lowerings.lowers("gather_elements")
def gather_elements(node: Node, program: Program) -> None:
    """One `gather_along_axis`."""
    indices, axis = _along_axis(node, program), node.attributes["axis"]
    taken = program.emit("gather_along_axis", x=program[node["input"]], indices=indices, axis=axis)
    program.set(node.output, taken)


@lowerings.lowers("gather_nd")
def gather_nd(node: Node, program: Program) -> None:
    """One `gather_nd`."""
    taken = program.emit("gather_nd", x=program[node["input"]], indices=_coordinates(node, program))
    program.set(node.output, program.reshape(taken, node.output.shape))


@lowerings.lowers("scatter_elements")
def scatter_elements(node: Node, program: Program) -> None:
    """One `scatter_along_axis`."""
    result = program.emit(
        "scatter_along_axis",
        data=program[node["input"]],
        indices=_along_axis(node, program),
        updates=program[node["updates"]],
        axis=node.attributes["axis"],
        mode="update",
    )
    program.set(node.output, result)


@lowerings.lowers("scatter_nd")
def scatter_nd(node: Node, program: Program) -> None:
    """One `scatter_nd`."""
    coordinates, depth = _coordinates(node, program), node["indices"].shape[-1]
    rest = node["input"].shape[depth:]
    result = program.emit(
        "scatter_nd",
        data=program[node["input"]],
        indices=coordinates,
        updates=program.reshape(program[node["updates"]], (*coordinates.shape[:-1], *rest)),
        mode="update",
    )
    program.set(node.output, result)
