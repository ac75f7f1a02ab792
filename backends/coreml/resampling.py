"""Resampling in Core ML, one axis after the other: its own operations take two axes, and round their places."""

from __future__ import annotations

from typing import Any

import numpy as np

from webnn.backends.coreml.lowerings import lowerings
from webnn.backends.coreml.program import Program, Value
from webnn.backends.sampling import coordinates, nearest
from webnn.graph.dtypes import FLOATS
from webnn.graph.ir import Node

__all__: list[str] = []


@lowerings.lowers("resample2d")
def resample2d(node: Node, program: Program) -> None:
    """A `gather` along each axis, or two of them and their weighted mean."""
    options: Any = node.attributes
    x = program[node["input"]]
    held = program.type_of(x)
    axes = [pair for pair in zip(options["axes"], options["sizes"], strict=True) if x.shape[pair[0]] != pair[1]]
    if options["mode"] == "nearest-neighbor":
        for axis, size in axes:
            x = program.take(x, nearest(x.shape[axis], size), axis)
        return program.set(node.output, x)
    if axes:
        x = program.cast(x, "fp32")
    for axis, size in axes:
        x = _interpolated(x, axis, size, program)
    if axes and node.output.data_type not in FLOATS:
        x = program.emit("round", x=x)
    return program.set(node.output, program.cast(x, held))


def _interpolated(x: Value, axis: int, size: int, program: Program) -> Value:
    places = coordinates(x.shape[axis], size)
    below = np.floor(places)
    low, high = (program.take(x, rounded, axis) for rounded in (below, np.ceil(places)))
    shape = [1] * 4
    shape[axis] = size
    weight = (places - below).reshape(shape)
    between = [
        program.emit("mul", x=value, y=program.constant(part.astype(np.float32)))
        for value, part in ((low, 1 - weight), (high, weight))
    ]
    mean = program.emit("add", x=between[0], y=between[1])
    if (weight > 0).all():
        return mean
    # An output that lies on a value is that value, even an infinite one.
    return program.select(program.constant(weight == 0), low, mean, mean.shape)
