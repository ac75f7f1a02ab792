"""Pooling over one to three spatial axes, by WebNN's over two."""

from __future__ import annotations

import math
from typing import Any

from webnn.errors import DataError, NotSupportedError
from webnn.forking import import_lock
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.patterns.slice_and_pad import pad_or_crop, strided_slice
from webnn.formats.onnx.patterns.sliding_windows import Windows
from webnn.graph.operand import MLOperand

__all__: list[str] = []


def _windows(node: OnnxNode, x: MLOperand) -> tuple[Windows, bool]:
    if not 3 <= x.rank <= 5:
        raise UnsupportedNodeError(f"it pools {list(x.shape)}, but a pool has 1, 2 or 3 spatial axes")
    windows = Windows.of(node, x.shape, node.get_ints("kernel_shape"))
    windows.pad_automatically(node.get_string("auto_pad", "NOTSET"))
    if min(*windows.before, *windows.after) < 0:
        raise DataError(f"pads {[*windows.before, *windows.after]} must not be negative")
    return windows, bool(node.get_int("ceil_mode", 0))


def _pooled(node: OnnxNode, op: str, x: MLOperand, windows: Windows, *, ceil: bool) -> MLOperand:
    """Pooling over the last two axes, then over the one before: maxima, averages and norms may be taken in steps."""
    pool: Any = getattr(node.builder, op)
    counts = windows.fit(ceil=ceil)
    axes = list(range(len(counts)))
    for step in (axes[-2:], *([axis] for axis in axes[:-2])):
        first = 2 + step[0]
        if len(step) == 2:
            shape = [x.shape[0], math.prod(x.shape[1:first]), *x.shape[first:]]
        else:
            shape = [x.shape[0], math.prod(x.shape[1:first]), x.shape[first], math.prod(x.shape[first + 1 :])]

        def of_step(values: list[int], missing: int, step: list[int] = step) -> list[int]:
            return [*(values[axis] for axis in step), missing][:2]

        top, left = of_step(windows.before, 0)
        bottom, right = of_step(windows.after, 0)
        sizes = [counts[axis] for axis in step]
        pooled = pool(
            x if list(x.shape) == shape else node.builder.reshape(x, shape),
            window_dimensions=of_step(windows.kernel, 1),
            padding=[top, bottom, left, right],
            strides=of_step(windows.strides, 1),
            dilations=of_step(windows.dilations, 1),
            output_sizes=sizes if len(step) == 2 else [*sizes, shape[3]],
        )
        wanted = [*x.shape[:first], *sizes, *x.shape[first + len(step) :]]
        x = pooled if list(pooled.shape) == wanted else node.builder.reshape(pooled, wanted)
    return x


@imports("MaxPool")
def max_pool(node: OnnxNode) -> Imported:
    """The largest element of each window, and its index."""
    x = node.operand(0)
    windows, ceil = _windows(node, x)
    if x.rank < 5 and not node.reads(1):
        return [_pooled(node, "max_pool2d", x, windows, ceil=ceil), None]
    with import_lock:  # here, since most models only pool over two axes
        from webnn.graph.composites.max_pool import largest_of_windows  # noqa: PLC0415

    counts = windows.fit(ceil=ceil)
    try:
        return largest_of_windows(
            node.builder,
            x,
            counts,
            kernel=windows.kernel,
            strides=windows.strides,
            dilations=windows.dilations,
            pads=[*windows.before, *windows.after],
            places=node.reads(1),
            backwards=bool(node.get_int("storage_order", 0)),
        )
    except NotSupportedError as error:
        raise UnsupportedNodeError(str(error).partition(": ")[2]) from None


@imports("MaxUnpool")
def max_unpool(node: OnnxNode) -> Imported:
    """Values scattered to the indices where MaxPool found them, zeros elsewhere.

    The indices count in the shape of the output, also in one that is given, as in onnxruntime: MaxPool made them so.
    onnx's evaluator pads the smallest output with zeros, which moves values (github.com/onnx/onnx/issues/2398).
    """
    with import_lock:  # here, since most models have none
        from webnn.graph.composites.max_unpool import unpooled  # noqa: PLC0415

    x, indices = node.operand(0), node.operand(1)
    windows = Windows.of(node, x.shape, node.get_ints("kernel_shape"))
    rows = zip(windows.sizes, windows.strides, windows.kernel, windows.before, windows.after, strict=True)
    sizes = [(size - 1) * stride + kernel - before - after for size, stride, kernel, before, after in rows]
    shape = node.integers(2, "the shape of the output") if node.has(2) else [*x.shape[:2], *sizes]
    if indices.shape != x.shape or len(shape) != x.rank or min(shape) < 1:
        raise DataError(f"indices {list(indices.shape)} and values {list(x.shape)} do not fit an output of {shape}")
    pads = [*windows.before, *windows.after]
    options = {"kernel": windows.kernel, "strides": windows.strides, "pads": pads, "shape": shape}
    return unpooled(node.builder, x, indices, **options)


@imports("AveragePool")
def average_pool(node: OnnxNode) -> Imported:
    """The average of each window, with or without its padding."""
    x = node.operand(0)
    windows, ceil = _windows(node, x)
    if node.get_int("count_include_pad", 0):
        before, after = [0, 0, *windows.before], [0, 0, *windows.after]
        x = pad_or_crop(node.builder, x, before, after)
        padded = Windows.of(node, x.shape, windows.kernel)
        padded.before = padded.after = [0] * len(windows.kernel)
        # A window that begins in the padding after the input does not count, though it does for a padded input.
        counts = windows.counts(ceil=ceil)
        result = _pooled(node, "average_pool2d", x, padded, ceil=ceil)
        return strided_slice(node.builder, result, {2 + i: range(count) for i, count in enumerate(counts)})
    return _pooled(node, "average_pool2d", x, windows, ceil=ceil)


@imports("LpPool")
def lp_pool(node: OnnxNode) -> Imported:
    """The norm of each window: WebNN has degree 2; others are roots of averages of powers."""
    b = node.builder
    x = node.operand(0)
    windows, ceil = _windows(node, x)
    degree = node.get_int("p", 2)
    if degree == 2:
        return _pooled(node, "l2_pool2d", x, windows, ceil=ceil)
    if degree < 1:
        raise DataError(f"p must be at least 1, got {degree}")
    x = b.abs(x)
    powers = x if degree == 1 else b.pow(x, node.scalar(x, degree))
    windows.fit(ceil=ceil)
    padded = pad_or_crop(b, powers, [0, 0, *windows.before], [0, 0, *windows.after])
    inner = Windows.of(node, padded.shape, windows.kernel)
    inner.before = inner.after = [0] * len(windows.kernel)
    average = _pooled(node, "average_pool2d", padded, inner, ceil=False)
    total = b.linear(average, alpha=math.prod(windows.kernel))
    return total if degree == 1 else b.pow(total, node.scalar(x, 1 / degree))


@imports("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(node: OnnxNode) -> Imported:
    """One value for each channel."""
    b = node.builder
    x = node.operand(0)
    if x.rank < 3:
        raise DataError(f"{list(x.shape)} has no spatial axes")
    axes = list(range(2, x.rank))
    if node.op_type == "GlobalMaxPool":
        if x.rank == 4:
            return b.max_pool2d(x)
        with import_lock:  # here, since many models have no composites
            from webnn.graph.composites.open_cases import reduced_in_range  # noqa: PLC0415

        return reduced_in_range(b, "reduce_max", x, axes=axes, keep_dimensions=True)
    if node.op_type == "GlobalAveragePool":
        return b.average_pool2d(x) if x.rank == 4 else b.reduce_mean(x, axes=axes, keep_dimensions=True)
    degree = node.get_int("p", 2)
    if degree == 2:
        return b.reduce_l2(x, axes=axes, keep_dimensions=True)
    if degree == 1:
        return b.reduce_l1(x, axes=axes, keep_dimensions=True)
    total = b.reduce_sum(b.pow(b.abs(x), node.scalar(x, degree)), axes=axes, keep_dimensions=True)
    return b.pow(total, node.scalar(x, 1 / degree))
