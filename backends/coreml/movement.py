"""Data movement in Core ML."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from webnn.backends.coreml.lowerings import lowerings
from webnn.backends.coreml.program import Program
from webnn.graph.ir import Node

__all__: list[str] = []


@lowerings.lowers("concat")
def concat(node: Node, program: Program) -> None:
    """One `concat`."""
    values = [program[operand] for operand in node.many("inputs")]
    program.set(node.output, program.concat(values, node.attributes["axis"]))


@lowerings.lowers("expand")
def expand(node: Node, program: Program) -> None:
    """One `tile`."""
    program.set(node.output, program.expand(program[node["input"]], node.output.shape))


@lowerings.lowers("pad")
def pad(node: Node, program: Program) -> None:
    """Constants around it; or a `gather` along each axis, since `pad` mirrors and repeats floats of two axes only."""
    x, mode = program[node["input"]], node.attributes["mode"]
    before, after = node.attributes["beginning_padding"], node.attributes["ending_padding"]
    if not before:
        return program.set(node.output, x)
    if mode == "constant":
        return program.set(node.output, program.padded(x, before, after, node.attributes["value"]))
    for axis, (first, last) in enumerate(zip(before, after, strict=True)):
        if first or last:
            places, end = np.arange(-first, x.shape[axis] + last), x.shape[axis] - 1
            places = np.clip(places, 0, end) if mode == "edge" else end - np.abs(end - np.abs(places))
            x = program.take(x, places, axis)
    return program.set(node.output, x)


@lowerings.lowers("reshape")
def reshape(node: Node, program: Program) -> None:
    """One `reshape`."""
    program.set(node.output, program.reshape(program[node["input"]], node.output.shape))


@lowerings.lowers("reverse")
def reverse(node: Node, program: Program) -> None:
    """One `reverse`, which reverses all axes if it is given none."""
    x, axes = program[node["input"]], list(node.attributes["axes"])
    program.set(node.output, program.emit("reverse", x=x, axes=axes) if axes else x)


@lowerings.lowers("slice")
def slice_(node: Node, program: Program) -> None:
    """One `slice_by_index`."""
    starts, sizes, strides = (node.attributes[name] for name in ("starts", "sizes", "strides"))
    stops = [start + size for start, size in zip(starts, sizes, strict=True)]
    x = program[node["input"]]
    program.set(node.output, program.slice(x, starts, stops, strides) if starts else x)


@lowerings.lowers("split")
def split(node: Node, program: Program) -> None:
    """A slice for each part."""
    x, sizes, axis = program[node["input"]], node.attributes["splits"], node.attributes["axis"]
    for output, size, stop in zip(node.outputs, sizes, accumulate(sizes), strict=True):
        program.set(output, program.part(x, axis, stop - size, stop))


@lowerings.lowers("tile")
def tile(node: Node, program: Program) -> None:
    """One `tile`."""
    x, times = program[node["input"]], list(node.attributes["repetitions"])
    program.set(node.output, program.emit("tile", x=x, reps=times) if {*times} - {1} else x)


@lowerings.lowers("transpose")
def transpose(node: Node, program: Program) -> None:
    """One `transpose`."""
    x, order = program[node["input"]], node.attributes["permutation"]
    program.set(node.output, program.transpose(x, order) if order else x)


@lowerings.lowers("triangular")
def triangular(node: Node, program: Program) -> None:
    """A selection: `band_part` multiplies, so that NaN and infinity would come through."""
    x, diagonal = program[node["input"]], node.attributes["diagonal"]
    rows, columns = x.shape[-2:]
    limit = rows + columns
    diagonal = max(-limit, min(diagonal, limit))
    row = program.constant(np.arange(rows, dtype=np.int32)[:, None] + np.int32(diagonal))
    column = program.constant(np.arange(columns, dtype=np.int32)[None, :])
    inside = program.emit("less_equal" if node.attributes["upper"] else "greater_equal", x=row, y=column)
    zero = program.number(0, program.type_of(x))
    program.set(node.output, program.select(inside, x, zero, node.output.shape))
