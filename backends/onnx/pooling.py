"""Pooling in ONNX, whose operators are in the layout "nchw".

The number of windows is known, so `ceil_mode` is never used: padding at the end does the same. Runtimes reject padding
that is as large as the window, and disagree on windows without any data; in these cases the input is padded first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from webnn.backends.onnx.lowerings import lowerings
from webnn.backends.onnx.model import Model
from webnn.errors import NotSupportedError
from webnn.graph.descriptor import MAX_DIMENSION
from webnn.graph.ir import Node
from webnn.graph.rewriting import MADE_BYTES
from webnn.graph.windows import Sweep, permutation, sweeps

__all__ = ["EMULATED"]

EMULATED: Final = frozenset({"max_pool2d"})
"""`MaxPool` has no 32- and 64-bit integers, and no -inf for windows of padding only: there, shifted slices."""

_MAX_POOL_TYPES: Final = ("float32", "float16", "int8", "uint8")


@lowerings.lowers("average_pool2d")
def average_pool2d(node: Node, model: Model) -> None:
    """One `GlobalAveragePool` or `AveragePool`, neither of which counts padding."""
    pooling = _Pooling(node, model)
    if pooling.is_global:
        return pooling.finish(model.emit("GlobalAveragePool", [pooling.input]), 0)
    if pooling.fits:
        return pooling.finish(pooling.emit("AveragePool", 0), 0)
    # Padding that is part of the input is counted; in float32, since the average with it may be far smaller.
    pooling.input = model.cast(pooling.input, "float32")
    average = pooling.emit("AveragePool", 0)
    if math.prod(map(len, pooling.counts)) * 4 <= MADE_BYTES:
        counts = np.outer(*pooling.counts)
        correction = np.divide(math.prod(pooling.window), counts, out=np.zeros(counts.shape), where=counts > 0)
        average = model.emit("Mul", [average, model.constant(correction, "float32")])
    else:
        for window, counts, shape in zip(pooling.window, pooling.counts, ((-1, 1), (-1,)), strict=True):
            correction = np.divide(window, counts, out=np.zeros(counts.shape), where=counts > 0)
            average = model.emit("Mul", [average, model.constant(correction.reshape(shape), "float32")])
    return pooling.finish(average, 0)


@lowerings.lowers("l2_pool2d")
def l2_pool2d(node: Node, model: Model) -> None:
    """One `GlobalLpPool` or `LpPool`."""
    pooling = _Pooling(node, model)
    if pooling.is_global:
        pooling.finish(model.emit("GlobalLpPool", [pooling.input], p=2), 0)
    else:
        pooling.finish(pooling.emit("LpPool", 0, p=2), 0)


@lowerings.lowers("max_pool2d")
def max_pool2d(node: Node, model: Model) -> None:
    """One `MaxPool`, or the largest of shifted slices."""
    pooling = _Pooling(node, model)
    dtype: Any = node.output.descriptor.dtype
    lowest = -np.inf if dtype.kind == "f" else np.iinfo(dtype).min
    if pooling.fits and node.output.data_type in _MAX_POOL_TYPES:
        return pooling.finish(pooling.emit("MaxPool", lowest), lowest)
    pooling.fits = False
    result = pooling.padded(lowest)
    for axis, sweep, outputs in zip((2, 3), pooling.sweeps, pooling.outputs, strict=True):
        result = _largest(model, result, axis, sweep, len(outputs))
    return pooling.finish(result, lowest)


def _largest(model: Model, x: str, axis: int, sweep: Sweep, outputs: int) -> str:
    """The largest value of each window along one axis, by doubling: of 2 neighbours, of 2 such pairs, and so on."""

    def part(start: int, stop: int, step: int = 1) -> str:
        return model.emit("Slice", [x, *(model.constant([number]) for number in (start, stop, axis, step))])

    length = (outputs - 1) * sweep.stride + sweep.span
    width = 1
    while width < sweep.window:
        more = min(width, sweep.window - width)
        shift = more * sweep.dilation
        x = model.emit("Max", [part(0, length - shift), part(shift, length)])
        length -= shift
        width += more
    return part(0, length, sweep.stride)


@lowerings.lowers("max_pool")
def max_pool(node: Node, model: Model) -> None:
    """`MaxPool`."""
    options: Any = {name: list(node.attributes[name]) for name in ("kernel_shape", "strides", "dilations", "pads")}
    options["storage_order"] = node.attributes["storage_order"]
    model.emit_many("MaxPool", [model[node["input"]]], list(node.outputs), **options)


@lowerings.lowers("max_unpool")
def max_unpool(node: Node, model: Model) -> None:
    """`MaxUnpool`."""
    options: Any = {name: list(sizes) for name, sizes in node.attributes.items()}
    model.emit(
        "MaxUnpool", [model[node["input"]], model.cast(model[node["indices"]], "int64")], to=node.output, **options
    )


class _Pooling:
    """One pooling node: its windows, without those that do not reach the data, and its input in the layout of ONNX."""

    def __init__(self, node: Node, model: Model) -> None:
        options: Any = node.attributes
        self.node = node
        self.model = model
        self.layout: str = options["layout"]
        self.input = model.transpose(model[node["input"]], permutation(self.layout, "nchw"))
        inputs = [node["input"].shape[self.layout.index(axis)] for axis in "hw"]
        window = options["window_dimensions"]
        both = sweeps(inputs, window, options["padding"], options["strides"], options["dilations"])
        self.sizes: tuple[int, int] = options["output_sizes"]
        self.outputs, self.sweeps = zip(*map(Sweep.trimmed, both, self.sizes), strict=True)
        self.window = [sweep.window for sweep in self.sweeps]
        model.expect(8 * sum(map(len, self.outputs)))
        self.counts = [sweep.counts(len(outputs)) for sweep, outputs in zip(self.sweeps, self.outputs, strict=True)]
        self.is_global = all(
            len(outputs) == 1 and sweep.dilation == 1 and sweep.window == sweep.input and sweep.begin == 0
            for sweep, outputs in zip(self.sweeps, self.outputs, strict=True)
        )
        self.fits = all(counts.all() for counts in self.counts) and all(
            0 <= sweep.begin < sweep.window and -sweep.stride < sweep.end < sweep.window for sweep in self.sweeps
        )
        """Whether the operator's own padding will do."""

    def emit(self, op_type: str, fill: float, **attributes: Any) -> str:
        """The pooling operator on the input, which is padded with `fill` if the operator cannot do it."""
        pads = [sweep.begin for sweep in self.sweeps] + [max(0, sweep.end) for sweep in self.sweeps]
        dilations = [sweep.dilation for sweep in self.sweeps]
        return self.model.emit(
            op_type,
            [self.input if self.fits else self.padded(fill)],
            kernel_shape=self.window,
            strides=[sweep.stride for sweep in self.sweeps],
            # Left out where it is 1: runtimes copy it to quantized pooling operators, which have no such attribute.
            dilations=None if dilations == [1, 1] else dilations,
            pads=pads if self.fits else None,
            **attributes,
        )

    def padded(self, fill: float) -> str:
        """The input with all that the windows cover, and no more."""
        sizes = [sweep.begin + sweep.input + sweep.end for sweep in self.sweeps]
        if math.prod(sizes) > MAX_DIMENSION:
            raise NotSupportedError(f"{self.node.where}: windows over {sizes} values of input and padding")
        return self._pad(self.input, [sweep.begin for sweep in self.sweeps], [sweep.end for sweep in self.sweeps], fill)

    def finish(self, result: str, fill: float) -> None:
        """Add the windows that do not reach the data, and give the result the layout of the output."""
        before = [outputs.start for outputs in self.outputs]
        after = [size - outputs.stop for size, outputs in zip(self.sizes, self.outputs, strict=True)]
        result = self._pad(result, before, after, fill)
        self.model.set(self.node.output, self.model.transpose(result, permutation("nchw", self.layout)))

    def _pad(self, name: str, before: Sequence[int], after: Sequence[int], fill: float) -> str:
        if not any((*before, *after)):
            return name
        pads = self.model.constant([0, 0, *before, 0, 0, *after])
        return self.model.emit("Pad", [name, pads, self.model.constant(fill, self.model.data_type(name))])
