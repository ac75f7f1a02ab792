"""Remedies: other operators for nodes that a rule refuses, or that a note says are computed differently.

Each is registered under the names of the rules and notes that it answers, with words for the report.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import numpy as np

from webnn.backends.sampling import nearest
from webnn.graph.dtypes import numpy_dtype
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement
from webnn.graph.windows import permutation
from webnn.targets.breaches import axis_sizes, loses_a_dimension
from webnn.targets.notes import scattered_places

__all__ = [
    "REMEDIES",
    "Remedy",
    "again",
    "combined",
    "gather_flat",
    "gather_row",
    "mask_triangle",
    "quantized",
    "scaled",
    "scatter_flat",
]

F = TypeVar("F", bound="Callable[[Replacement, Node], Made | None]")
Made: TypeAlias = Sequence[MLOperand]
"""An operand for each output of the node."""


class Remedy(NamedTuple):
    """A replacement for a node: `make` builds it, and `done` says it in words."""

    done: str
    make: Callable[[Replacement, Node], Made | None]


REMEDIES: Final[dict[str, Remedy]] = {}
"""By the name of the rule or note."""


def _remedy(done: str, *names: str) -> Callable[[F], F]:
    def register(make: F) -> F:
        REMEDIES.update(dict.fromkeys(names, Remedy(done, make)))
        return make

    return register


def again(b: Replacement, node: Node, operands: dict[str, Any] | None = None, **attributes: Any) -> list[MLOperand]:
    """The outputs of the same operator with some operands and attributes replaced."""
    made = getattr(b, node.op)(**{**node.operands, **(operands or {}), **node.attributes, **attributes})
    return list(made) if isinstance(made, list | tuple) else [made]


# Indices.


def _flat_places(b: Replacement, node: Node) -> MLOperand:
    """The places in the flat input of `gather_elements` or `scatter_elements` that its indices name."""
    shape, axis = node["input"].shape, node.attributes["axis"]
    indices, steps = node["indices"], [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    if indices.data_type != "int32":
        indices = b.cast(indices, "int32")
    zero, size = b.constant("int32", 0), b.constant("int32", shape[axis])
    indices = b.where(b.lesser(indices, zero), b.add(indices, size), indices)
    indices = b.max(b.min(indices, b.constant("int32", shape[axis] - 1)), zero)
    places = b.mul(indices, b.constant("int32", steps[axis]))
    for i, count in enumerate(indices.shape):
        if i != axis and count > 1:  # a small constant for each axis, which broadcasts, since whole ones would be large
            along = [count if other == i else 1 for other in range(indices.rank)]
            places = b.add(places, b.constant((np.arange(count, dtype=np.int32) * steps[i]).reshape(along)))
    return places


@_remedy("gathered from the flat input with computed indices", "gather-elements-constant-indices")
def gather_flat(b: Replacement, node: Node) -> Made:
    """`gather_elements` as a gather of the flat input."""
    flat = b.reshape(node["input"], [node["input"].descriptor.element_count])
    places = b.reshape(_flat_places(b, node), [node["indices"].descriptor.element_count])
    return [b.reshape(b.gather(flat, places), node.output.shape)]


@_remedy("scattered into the flat input with computed indices", "scatter-elements-constant-indices")
def scatter_flat(b: Replacement, node: Node) -> Made:
    """`scatter_elements` as a scatter into the flat input."""
    count = node["indices"].descriptor.element_count
    flat = b.reshape(node["input"], [node["input"].descriptor.element_count])
    places = b.reshape(_flat_places(b, node), [count, 1])
    return [b.reshape(b.scatter_nd(flat, places, b.reshape(node["updates"], [count])), node.output.shape)]


@_remedy("the last update of each place alone", "scatter-repeats")
def _last_updates(b: Replacement, node: Node) -> Made | None:
    """A scatter without the updates that are replaced by later ones; None for places that are computed."""
    indices = node["indices"].constant
    if indices is None:
        return None
    places = scattered_places(node, np.asarray(indices))
    _, from_the_end = np.unique(places[::-1], axis=0, return_index=True)
    kept = np.sort(len(places) - 1 - from_the_end).astype(np.int32)
    inner = node["input"].shape[places.shape[1] :]
    updates = b.gather(b.reshape(node["updates"], [len(places), *inner]), b.constant(kept))
    return [b.scatter_nd(node["input"], b.constant(places[kept].astype(np.int32)), updates)]


@_remedy("scattered as int32", "uint32-scatter")
def _scatter_signed(b: Replacement, node: Node) -> Made:
    signed = {name: b.cast(node[name], "int32") for name in ("input", "updates")}
    return [b.cast(again(b, node, signed)[0], "uint32")]


@_remedy("reshaped to the same shape first", "kept-index-dimensions")
def _reshape_kept(b: Replacement, node: Node) -> Made:
    def anew(x: MLOperand) -> MLOperand:
        return b.reshape(x, x.shape) if loses_a_dimension(x) else x

    operands = {name: anew(o) if isinstance(o, MLOperand) else [*map(anew, o)] for name, o in node.operands.items()}
    return again(b, node, operands)


@_remedy("lists of indices in one row", "gather-nd-index-ranks")
def gather_row(b: Replacement, node: Node) -> Made:
    """`gather_nd` with the lists of indices in one row, and the axes behind them joined."""
    x, shape = node["input"], node["input"].shape
    *places, depth = node["indices"].shape
    indices = b.reshape(node["indices"], [math.prod(places), depth])
    if x.rank > depth + 1:
        x = b.reshape(x, [*shape[:depth], math.prod(shape[depth:])])
    return [b.reshape(b.gather_nd(x, indices), node.output.shape)]


@_remedy("indices in one dimension", "gather-index-ranks")
def _gather_one_dimension(b: Replacement, node: Node) -> Made:
    indices = b.reshape(node["indices"], [node["indices"].descriptor.element_count])
    return [b.reshape(again(b, node, {"indices": indices})[0], node.output.shape)]


# Movement.


@_remedy("edges put in place by concat", "edge-padding")
def _repeat_edges(b: Replacement, node: Node) -> Made:
    x = node["input"]
    sides = zip(node.attributes["beginning_padding"], node.attributes["ending_padding"], strict=True)
    for axis, (before, after) in enumerate(sides):
        parts = [_edge(b, x, axis, 0, before), x, _edge(b, x, axis, x.shape[axis] - 1, after)]
        given = [part for part in parts if part is not None]
        x = b.concat(given, axis) if len(given) > 1 else x
    return [x if x is not node["input"] else b.identity(x)]


def _edge(b: Replacement, x: MLOperand, axis: int, at: int, count: int) -> MLOperand | None:
    """The values at a place of an axis, so many times; None if no times."""
    if count == 0:
        return None
    starts, sizes = [0] * x.rank, list(x.shape)
    starts[axis], sizes[axis] = at, 1
    return b.expand(b.slice(x, starts, sizes), [*sizes[:axis], count, *sizes[axis + 1 :]])


@_remedy("input expanded to the slope's shape", "prelu-slope")
def _expand_for_slope(b: Replacement, node: Node) -> Made:
    return [b.prelu(b.expand(node["input"], node.output.shape), node["slope"])]


@_remedy("reshaped", "uint32-scalar-slice")
def _reshape_scalar(b: Replacement, node: Node) -> Made:
    return [b.reshape(b.reshape(node["input"], [1]), [])]


@_remedy("strides cut to the sizes", "slice-strides")
def _shorten_strides(b: Replacement, node: Node) -> Made:
    sizes, strides = node.attributes["sizes"], node.attributes["strides"]
    return again(b, node, strides=[min(pair) for pair in zip(sizes, strides, strict=True)])


@_remedy("joined as int64", "uint64-concat")
def _join_signed(b: Replacement, node: Node) -> Made:
    signed = [b.cast(x, "int64") for x in node.many("inputs")]
    return [b.cast(b.concat(signed, node.attributes["axis"]), "uint64")]


@_remedy("joined in three dimensions", "float-concat-ranks")
def _join_three_dimensions(b: Replacement, node: Node) -> Made:
    axis = node.attributes["axis"]
    flat = [
        b.reshape(x, [math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])])
        for x in node.many("inputs")
    ]
    return [b.reshape(b.concat(flat, 1), node.output.shape)]


@_remedy("a mask in its place", "triangular-infinity")
def mask_triangle(b: Replacement, node: Node) -> Made:
    """`triangular` as a choice by a constant mask."""
    x, given = node["input"], node.attributes
    ones = np.ones(x.shape[-2:], np.uint8)
    kept = np.triu(ones, given["diagonal"]) if given["upper"] else np.tril(ones, given["diagonal"])
    return [b.where(b.constant(kept), x, b.constant(x.data_type, 0))]


# Matrices, recurrence, quantization.


@_remedy("c multiplied by 0 and added", "gemm-beta")
def _add_nothing(b: Replacement, node: Node) -> Made:
    given = {name: value for name, value in node.attributes.items() if name != "beta"}
    c = node["c"]  # stays, since its infinities count, and since it may be an input of the graph
    return [b.add(b.gemm(node["a"], node["b"], **given), b.mul(c, b.constant(c.data_type, 0)))]


@_remedy('gates in the order "iofg"', "peephole-layout")
def _order_gates(b: Replacement, node: Node) -> Made:
    gated = {
        name: node[name] for name in ("weight", "recurrent_weight", "bias", "recurrent_bias") if name in node.operands
    }
    axis = 0 if node.op == "lstm_cell" else 1
    return again(b, node, {name: _iofg(b, x, axis) for name, x in gated.items()}, layout="iofg")


def _iofg(b: Replacement, x: MLOperand, axis: int) -> MLOperand:
    """Weights of the gates in the order "iofg", from "ifgo"."""
    i, f, g, o = b.split(x, 4, axis=axis)
    return b.concat([i, o, f, g], axis)


def _blocks_expanded(b: Replacement, x: MLOperand, shape: Sequence[int]) -> MLOperand:
    """A scale or zero point with a value for each element of `shape`."""
    if x.shape == tuple(shape) or all(size == 1 for size in x.shape):
        return x
    split = [part for size, blocks in zip(shape, x.shape, strict=True) for part in (blocks, size // blocks)]
    spread = b.reshape(x, [part if i % 2 == 0 else 1 for i, part in enumerate(split)])
    return b.reshape(b.expand(spread, split), shape)


@_remedy("divided, rounded to even, clamped and cast", "quantize-halves")
def quantized(b: Replacement, node: Node) -> Made | None:
    """`quantize_linear` step by step; None for 4-bit integers, which cannot be computed with."""
    target = node.output.data_type
    if target in ("int4", "uint4"):
        return None
    x, scale, zero = node["input"], node["scale"], node["zero_point"]
    info = np.iinfo(numpy_dtype(target))
    rounded = b.round_even(b.div(x, _broadcast(b, scale, x.shape)))
    shifted = b.add(rounded, b.cast(_broadcast(b, zero, x.shape), x.data_type))
    return [b.cast(b.clamp(shifted, min_value=int(info.min), max_value=int(info.max)), target)]


@_remedy("multiplied or divided by the scale", "positive-scales")
def scaled(b: Replacement, node: Node) -> Made | None:
    """`dequantize_linear` or `quantize_linear` step by step."""
    if node.op == "quantize_linear":
        return quantized(b, node)
    x, scale, zero = node["input"], node["scale"], node["zero_point"]
    shifted = b.sub(b.cast(x, scale.data_type), b.cast(_broadcast(b, zero, x.shape), scale.data_type))
    return [b.mul(shifted, _broadcast(b, scale, x.shape))]


def _broadcast(b: Replacement, x: MLOperand, shape: Sequence[int]) -> MLOperand:
    simple = all(size in (1, whole) for size, whole in zip(x.shape, shape, strict=True))
    return x if simple else _blocks_expanded(b, x, shape)


# Windows.


@_remedy(
    "computed from slices of the padded input",
    "pool-dilations",
    "pool-beyond-the-end",
    "average-pool-padding",
)
def _pool_slices(b: Replacement, node: Node) -> Made:
    """Slices, where they are few or nothing else is possible; otherwise the pool over the padded input."""
    return combined(b, node) if _is_small(node) else _pool_padded(b, node)


@_remedy("padded first", "max-pool-padding", "l2-pool-padding")
def _pad_first(b: Replacement, node: Node) -> Made:
    return _pool_padded(b, node)


_FEW: Final = 9
"""A dilated window of more places is still made of slices, since there is no other way."""


def _is_small(node: Node) -> bool:
    return math.prod(node.attributes["window_dimensions"]) <= _FEW or tuple(node.attributes["dilations"]) != (1, 1)


def _geometry(node: Node) -> tuple[list[list[int]], list[int]]:
    """The padding of both axes as it would be without rounding, and the size of the outputs; height first."""
    given = node.attributes
    inputs, outputs = axis_sizes(node["input"], given["layout"]), list(given["output_sizes"])
    pads = []
    for i in range(2):
        reach = (outputs[i] - 1) * given["strides"][i] + (given["window_dimensions"][i] - 1) * given["dilations"][i] + 1
        before = given["padding"][2 * i]
        pads.append([before, max(reach - inputs[i] - before, 0)])
    return pads, outputs


def _padded(b: Replacement, node: Node, number: float) -> MLOperand:
    """The input with its padding around it, in NCHW or NHWC as it is."""
    pads, _ = _geometry(node)
    if not any(itertools.chain(*pads)):
        return node["input"]
    order = node.attributes["layout"]
    by_axis = {"n": [0, 0], "c": [0, 0], "h": pads[0], "w": pads[1]}
    before, after = ([by_axis[axis][side] for axis in order] for side in (0, 1))
    return b.pad(node["input"], before, after, value=number)


def _lowest(node: Node) -> float:
    """The padding that is never the largest value."""
    dtype = node.output.descriptor.dtype
    return -math.inf if dtype.kind == "f" else int(np.iinfo(dtype).min)


def _counts(node: Node) -> np.ndarray[Any, Any]:
    """How many inputs are in each window, to be broadcast in the node's layout."""
    given = node.attributes
    inputs, outputs = axis_sizes(node["input"], given["layout"]), given["output_sizes"]
    counts = []
    for i in range(2):
        taps = np.arange(given["window_dimensions"][i]) * given["dilations"][i] - given["padding"][2 * i]
        places = np.arange(outputs[i])[:, None] * given["strides"][i] + taps
        counts.append(((places >= 0) & (places < inputs[i])).sum(1))
    nchw = np.maximum(counts[0][:, None] * counts[1], 1)[None, None]
    counts_of: np.ndarray[Any, Any] = nchw.transpose(permutation("nchw", given["layout"]))
    return counts_of.astype(node.output.descriptor.dtype)


def _windows(b: Replacement, node: Node, x: MLOperand) -> list[MLOperand]:
    """For each place of the window, the values of `x` that are there, in the output's shape."""
    given, order = node.attributes, node.attributes["layout"]
    _, outputs = _geometry(node)
    found = []
    for taps in itertools.product(*(range(size) for size in given["window_dimensions"])):
        starts, sizes, strides = [0] * 4, list(x.shape), [1] * 4
        for i, axis in enumerate("hw"):
            at = order.index(axis)
            starts[at] = taps[i] * given["dilations"][i]
            strides[at] = given["strides"][i] if outputs[i] > 1 else 1
            sizes[at] = (outputs[i] - 1) * strides[at] + 1
        found.append(b.slice(x, starts, sizes, strides=strides))
    return found


def combined(b: Replacement, node: Node) -> Made:
    """A pool as a combination of slices, one for each place of its window."""
    if node.op == "max_pool2d":
        first, *others = _windows(b, node, _padded(b, node, _lowest(node)))
        for other in others:
            first = b.max(first, other)
        return [first]
    x = _padded(b, node, 0.0)
    windows = _windows(b, node, b.mul(x, x) if node.op == "l2_pool2d" else x)
    total = windows[0]
    for other in windows[1:]:
        total = b.add(total, other)
    return [b.sqrt(total) if node.op == "l2_pool2d" else b.div(total, b.constant(_counts(node)))]


def _pool_padded(b: Replacement, node: Node) -> Made:
    """The pool over the input with its padding around it."""
    given = node.attributes
    plain = {
        "window_dimensions": given["window_dimensions"],
        "strides": given["strides"],
        "layout": given["layout"],
    }
    x = _padded(b, node, _lowest(node) if node.op == "max_pool2d" else 0.0)
    # Padding that no window reaches is not there, so sizes are those of rounding down.
    _, outputs = _geometry(node)
    reach = [(outputs[i] - 1) * given["strides"][i] + given["window_dimensions"][i] for i in range(2)]
    sizes = {axis: reach[i] for i, axis in enumerate("hw")}
    cut = [sizes.get(axis, x.shape[at]) for at, axis in enumerate(given["layout"])]
    x = x if list(x.shape) == cut else b.slice(x, [0] * 4, cut)
    pooled = getattr(b, node.op)(x, **plain)
    if node.op != "average_pool2d":
        return [pooled]
    share = math.prod(given["window_dimensions"]) / _counts(node).astype(np.float64)
    return [b.mul(pooled, b.constant(share.astype(node.output.descriptor.dtype)))]


@_remedy("rows and columns gathered", "resample-halves")
def _gather_nearest(b: Replacement, node: Node) -> Made:
    x = node["input"]
    for axis, size in zip(node.attributes["axes"], node.attributes["sizes"], strict=True):
        if size != x.shape[axis]:
            x = b.gather(x, b.constant(nearest(x.shape[axis], size).astype(np.int32)), axis=axis)
    return [x]


@_remedy("clamped first", "cast-out-of-range")
def _clamp_first(b: Replacement, node: Node) -> Made | None:
    info = np.iinfo(numpy_dtype(node.output.data_type))
    clamped = b.clamp(node["input"], min_value=int(info.min), max_value=int(info.max))
    return [b.cast(clamped, node.output.data_type)]


# Transposed convolution.


@_remedy("one for each group, with a spread filter", "transposed-convolution-groups-and-dilations")
def _deconvolve_groups(b: Replacement, node: Node) -> Made | None:
    given = node.attributes
    groups, order = given["groups"], given["input_layout"]
    channel, of_filter = order.index("c"), given["filter_layout"]
    if node["input"].shape[channel] % groups:
        return None
    spread = _spread(b, node["filter"], of_filter, given["dilations"])
    plain = {**given, "groups": 1, "dilations": [1, 1]}
    if groups == 1:
        return again(b, node, {"filter": spread}, **plain)
    xs = b.split(node["input"], groups, axis=channel)
    filters = b.split(spread, groups, axis=of_filter.index("i"))
    made = [b.conv_transpose2d(x, f, **plain) for x, f in zip(xs, filters, strict=True)]
    joined = b.concat(made, channel)
    bias = node.get("bias")
    if bias is None:
        return [joined]
    return [b.add(joined, b.reshape(bias, [bias.shape[0] if axis == "c" else 1 for axis in order]))]


def _spread(b: Replacement, x: MLOperand, layout: str, dilations: Sequence[int]) -> MLOperand:
    """A filter with zeros between its values, so that it needs no dilations."""
    for axis, step in zip("hw", dilations, strict=True):
        at = layout.index(axis)
        size = x.shape[at]
        if step == 1 or size == 1:
            continue
        before, after = x.shape[:at], x.shape[at + 1 :]
        apart = b.reshape(x, [math.prod(before), size, 1, math.prod(after)])
        apart = b.pad(apart, [0, 0, 0, 0], [0, 0, step - 1, 0])
        whole = b.reshape(apart, [math.prod(before), size * step, math.prod(after)])
        cut = b.slice(whole, [0, 0, 0], [math.prod(before), (size - 1) * step + 1, math.prod(after)])
        x = b.reshape(cut, [*before, (size - 1) * step + 1, *after])
    return x


@_remedy(
    "without padding, and the output sliced",
    "transposed-convolution-padding",
    "transposed-convolution-padding-and-strides",
    "transposed-convolution-padding-of-constant-filters",
    "transposed-convolution-output-padding",
    "transposed-convolution-padding-results",
)
def _slice_deconvolved(b: Replacement, node: Node) -> Made:
    given, order = node.attributes, node.attributes["input_layout"]
    padding, outputs = given["padding"], axis_sizes(node.output, order)
    kernel = axis_sizes(node["filter"], given["filter_layout"])
    kept = []
    for i, size in enumerate(axis_sizes(node["input"], order)):
        full = (size - 1) * given["strides"][i] + (kernel[i] - 1) * given["dilations"][i] + 1
        # As much output padding as the slice reaches; the rest of it would be cut off again.
        kept.append(max(0, padding[2 * i] + outputs[i] - full))
    plain = {name: value for name, value in given.items() if name not in ("padding", "output_padding", "output_sizes")}
    made = b.conv_transpose2d(node["input"], node["filter"], bias=node.get("bias"), output_padding=kept, **plain)
    starts = [padding[2 * "hw".index(axis)] if axis in "hw" else 0 for axis in order]
    sizes = [outputs["hw".index(axis)] if axis in "hw" else made.shape[at] for at, axis in enumerate(order)]
    return [b.slice(made, starts, sizes)]
