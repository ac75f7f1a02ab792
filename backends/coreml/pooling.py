"""Pooling in Core ML, whose operations are in the layout "nchw", take floats and no dilations.

The number of windows is known, so `ceil_mode` is never used: padding at the end does the same. Other pooling is
composed of shifted slices, along one axis after the other.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from webnn.backends.coreml.lowerings import lowerings
from webnn.backends.coreml.program import Program, Value
from webnn.graph.descriptor import MAX_DIMENSION
from webnn.graph.dtypes import FLOATS, integer_range
from webnn.graph.ir import Node
from webnn.graph.windows import permutation, sweeps

__all__: list[str] = []

_TAPS: Final = 4096
"""The most slices along one axis; more would make a program too large to be compiled."""


@lowerings.lowers("average_pool2d")
def average_pool2d(node: Node, program: Program) -> None:
    """One `avg_pool`; or the sum of each window, by the number of input values in it."""
    pooling = _Pooling(node, program)
    if pooling.fits:
        return pooling.finish(pooling.emit("avg_pool", exclude_padding_from_average=True))
    result = pooling.composed("add", 0, program.cast(pooling.input, "fp32"))
    for axis, sweep, size in zip((2, 3), pooling.sweeps, pooling.sizes, strict=True):
        shape = [1] * 4
        shape[axis] = size
        counts = np.maximum(sweep.counts(size), 1).astype(np.float32).reshape(shape)
        result = program.emit("real_div", x=result, y=program.constant(counts))
    return pooling.finish(program.cast(result, program.type_of(pooling.input)))


@lowerings.lowers("l2_pool2d")
def l2_pool2d(node: Node, program: Program) -> None:
    """One `l2_pool`; or the square root of the sum of the squares."""
    pooling = _Pooling(node, program)
    if pooling.fits:
        return pooling.finish(pooling.emit("l2_pool"))
    x = program.cast(pooling.input, "fp32")
    total = pooling.composed("add", 0, program.emit("mul", x=x, y=x))
    return pooling.finish(program.cast(program.emit("sqrt", x=total), program.type_of(pooling.input)))


@lowerings.lowers("max_pool2d")
def max_pool2d(node: Node, program: Program) -> None:
    """One `max_pool`; or the largest of shifted slices."""
    pooling = _Pooling(node, program)
    if pooling.fits and node.output.data_type in FLOATS:
        return pooling.finish(pooling.emit("max_pool"))
    data_type = node.output.data_type
    lowest = -math.inf if data_type in FLOATS else max(integer_range(data_type)[0], -(2**31))
    return pooling.finish(pooling.composed("maximum", lowest, pooling.input))


class _Pooling:
    """One pooling node: its windows, and its input in the layout of Core ML."""

    def __init__(self, node: Node, program: Program) -> None:
        options: Any = node.attributes
        self.node = node
        self.program = program
        self.layout: str = options["layout"]
        self.input = program.transpose(program[node["input"]], permutation(self.layout, "nchw"))
        window = options["window_dimensions"]
        inputs = self.input.shape[2:]
        self.sweeps = sweeps(inputs, window, options["padding"], options["strides"], options["dilations"])
        self.sizes: tuple[int, int] = options["output_sizes"]
        self.ends = [
            (size - 1) * sweep.stride + sweep.span - sweep.begin - sweep.input
            for sweep, size in zip(self.sweeps, self.sizes, strict=True)
        ]
        """The padding at the end with which the last window ends; negative if values are in no window."""
        self.fits = all(
            # A window of one value is never spread out.
            (sweep.dilation == 1 or sweep.window == 1)
            and sweep.begin < sweep.window
            and -sweep.stride < end < sweep.window
            and bool(sweep.counts(size).all())
            for sweep, size, end in zip(self.sweeps, self.sizes, self.ends, strict=True)
        )
        """Whether the operation's own padding will do, which never fills a whole window."""

    def emit(self, op_type: str, **options: Any) -> Value:
        """The operation itself."""
        pad = [
            number for sweep, end in zip(self.sweeps, self.ends, strict=True) for number in (sweep.begin, max(0, end))
        ]
        return self.program.emit(
            op_type,
            x=self.input,
            kernel_sizes=[sweep.window for sweep in self.sweeps],
            strides=[sweep.stride for sweep in self.sweeps],
            pad_type="custom",
            pad=pad,
            **options,
        )

    def composed(self, op_type: str, fill: float, x: Value) -> Value:
        """`op_type` over the values of each window of `x`, where padding counts as `fill`."""
        for axis in (2, 3):
            x = self._along(axis, op_type, fill, x)
        return x

    def _along(self, axis: int, op_type: str, fill: float, x: Value) -> Value:
        size = self.sizes[axis - 2]
        windows, sweep = self.sweeps[axis - 2].trimmed(size)
        if sweep.window > _TAPS or max(sweep.begin, sweep.end) + sweep.input > MAX_DIMENSION:
            raise self.program.refusal(f"windows of {sweep.window} values with padding or dilations")
        before, after = [0] * 4, [0] * 4
        before[axis], after[axis] = max(0, sweep.begin), max(0, sweep.end)
        x = self.program.padded(x, before, after, fill)
        skipped = max(0, -sweep.begin)
        reach = (len(windows) - 1) * sweep.stride + 1
        result: Any = None
        for tap in range(sweep.window):
            start = skipped + tap * sweep.dilation
            part = self.program.part(x, axis, start, start + reach, sweep.stride)
            result = part if result is None else self.program.emit(op_type, x=result, y=part)
        # The windows that do not reach the data.
        before[axis], after[axis] = windows.start, size - windows.stop
        return self.program.padded(result, before, after, fill)

    def finish(self, result: Value) -> None:
        """Give the result the layout of the output."""
        self.program.set(self.node.output, self.program.transpose(result, permutation("nchw", self.layout)))
