"""Where Chromium 147 is known to give something else, and who is right.

Each difference says which graphs of one operator it takes in, and has an example that is run to see that it is still
there: a line that Chromium has outgrown fails, until it is removed. The reasons were found by running the examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.browsers.chromium import Array
from webnn.graph.broadcasting import is_unidirectional
from webnn.graph.ir import Node

__all__ = ["DIFFERENCES", "Difference", "known_difference"]

Values: TypeAlias = Mapping[str, Array]
"""The values of a node's operands by parameter name, as far as they are inputs or constants."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One known difference.

    Args:
        name: what it is about.
        ops: the operators that it concerns.
        applies: whether it concerns this node with these values.
        example: builds a graph that it concerns, of constants or inputs that the second argument makes of arrays.
        theirs: "differs" (another result), "fails" (building or running), "refuses" (the call).
        reason: what Chromium does, and what the specification says.
    """

    name: str
    ops: tuple[str, ...]
    applies: Callable[[Node, Values], bool]
    example: Callable[[Any, Callable[[Any], Any]], Any]
    theirs: str
    reason: str

    def __str__(self) -> str:
        return self.name


def known_difference(node: Node, values: Values) -> Difference | None:
    """The first known difference that concerns `node`."""
    return next((d for d in DIFFERENCES if node.op in d.ops and d.applies(node, values)), None)


def _image(*numbers: float) -> Array:
    """A square image with one channel."""
    side = math.isqrt(len(numbers))
    return np.array(numbers, np.float32).reshape(1, 1, side, side)


def _ints(*numbers: int) -> Array:
    return np.array(numbers, np.int32)


def _floats(*numbers: float) -> Array:
    return np.array(numbers, np.float32)


POOLS: Final = ("average_pool2d", "l2_pool2d", "max_pool2d")
PRODUCTLESS_REDUCTIONS: Final = (
    *("reduce_l1", "reduce_l2", "reduce_log_sum", "reduce_log_sum_exp", "reduce_max", "reduce_mean", "reduce_min"),
    *("reduce_sum", "reduce_sum_square"),
)


def _pool_axes(node: Node) -> tuple[list[int], list[int]]:
    """Sizes of the image and of the result, whatever the layout."""
    first = 2 if node.attributes["layout"] == "nchw" else 1
    return [*node["input"].shape[first : first + 2]], [*node.output.shape[first : first + 2]]


def _beyond_the_floor(node: Node, _: Values) -> bool:
    a = node.attributes
    sizes, results = _pool_axes(node)
    return any(
        results[i]
        != (sizes[i] + sum(a["padding"][2 * i : 2 * i + 2]) - a["dilations"][i] * (a["window_dimensions"][i] - 1) - 1)
        // a["strides"][i]
        + 1
        for i in range(2)
    )


def _padded_otherwise(node: Node, _: Values) -> bool:
    """Whether there is padding, and it is not the least that gives ceil(size / stride) windows, the rest at the end."""
    a = node.attributes
    same = []
    for size, window, stride in zip(_pool_axes(node)[0], a["window_dimensions"], a["strides"], strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + window - size)
        same += [total // 2, total - total // 2]
    return any(a["padding"]) and [*a["padding"]] != same


def _has_nan(_: Node, values: Values) -> bool:
    return any(v.dtype.kind == "f" and bool(np.isnan(v).any()) for v in values.values())


def _unbroadcast_slope(node: Node, _: Values) -> bool:
    return not is_unidirectional(node["slope"].shape, node["input"].shape)


def _half_way(node: Node, _: Values) -> bool:
    if node.attributes["mode"] != "nearest-neighbor":
        return False
    halves = [
        (Fraction(2 * i + 1, 2) * size / result - Fraction(1, 2)) % 1 == Fraction(1, 2)
        for size, result in zip(node["input"].shape, node.output.shape, strict=True)
        for i in range(result)
    ]
    return any(halves)


def _quantizes_halves(node: Node, values: Values) -> bool:
    scale = values["scale"].astype(np.float64)
    for axis, size in enumerate(node["input"].shape):
        scale = np.repeat(scale, size // scale.shape[axis], axis)
    quotients = values["input"].astype(np.float64) / scale
    return scale.size > 1 and bool((quotients % 1 == 0.5).any())


def _scatters_twice(node: Node, values: Values) -> bool:
    indices, shape = values["indices"].astype(np.int64), node["input"].shape
    if node.op == "scatter_nd":
        sizes = np.array(shape[: indices.shape[-1]])
        places = indices.reshape(-1, indices.shape[-1])
        places = np.clip(np.where(places < 0, places + sizes, places), 0, sizes - 1)
    else:
        axis = node.attributes["axis"]
        along = np.clip(np.where(indices < 0, indices + shape[axis], indices), 0, shape[axis] - 1)
        places = np.stack([along if i == axis else at for i, at in enumerate(np.indices(indices.shape))], -1)
        places = places.reshape(-1, len(shape))
    return len(np.unique(places, axis=0)) < len(places)


def _casts_out_of_range(node: Node, values: Values) -> bool:
    if values["input"].dtype.kind != "f" or node.output.descriptor.dtype.kind == "f":
        return False
    bounds, numbers = np.iinfo(node.output.descriptor.dtype), values["input"].astype(np.float64)
    return not bool(((np.trunc(numbers) >= bounds.min) & (np.trunc(numbers) < float(bounds.max))).all())


def _divides_by_zero(node: Node, values: Values) -> bool:
    return node.output.data_type == "int32" and bool((values["b"] == 0).any())


def _overflows_in_division(node: Node, values: Values) -> bool:
    if node.output.data_type != "int32":
        return False
    return bool((values["a"] == np.iinfo(np.int32).min).any() and (values["b"] == -1).any())


def _has_peephole_out_of_order(node: Node, _: Values) -> bool:
    return node.attributes["layout"] == "ifgo" and node.get("peephole_weight") is not None


DIFFERENCES: Final = (
    Difference(
        "prelu with a slope larger than the input",
        ("prelu",),
        _unbroadcast_slope,
        lambda b, x: b.prelu(x(_floats(1)), x(_floats(1, 2))),
        "refuses",
        "older: the slope had to broadcast to the input's shape; since then either may",
    ),
    Difference(
        "pooling with dilations",
        POOLS,
        lambda node, _: node.attributes["dilations"] != (1, 1),
        lambda b, x: b.max_pool2d(x(_image(*range(9))), window_dimensions=[2, 2], dilations=[2, 2]),
        "fails",
        "LiteRT has none",
    ),
    Difference(
        "pooling rounded up",
        POOLS,
        _beyond_the_floor,
        lambda b, x: b.average_pool2d(
            x(_image(*range(16))), window_dimensions=[3, 3], strides=[2, 2], output_shape_rounding="ceil"
        ),
        "differs",
        "older: outputShapeRounding is ignored; with outputSizes, what lies outside counts as zeros",
    ),
    Difference(
        "pooling with padding other than LiteRT's own",
        ("average_pool2d", "max_pool2d"),
        _padded_otherwise,
        lambda b, x: b.max_pool2d(x(_image(*range(-4, 0))), window_dimensions=[2, 2], padding=[1, 0, 1, 0]),
        "differs",
        "zeros are put around the image and count, in the average and as maximum; with the padding that LiteRT calls "
        "SAME they do not, nor do they here",
    ),
    Difference(
        "convTranspose2d with dilations or groups",
        ("conv_transpose2d",),
        lambda node, _: node.attributes["dilations"] != (1, 1) or node.attributes["groups"] != 1,
        lambda b, x: b.conv_transpose2d(x(_image(1, 2, 3, 4)), x(_image(1, 2, 3, 4)), dilations=[2, 2]),
        "fails",
        "LiteRT has none",
    ),
    Difference(
        "convTranspose2d with padding other than one all around",
        ("conv_transpose2d",),
        lambda node, _: any(node.attributes["padding"]) and node.attributes["padding"] != (1, 1, 1, 1),
        lambda b, x: b.conv_transpose2d(
            x(np.ones((1, 1, 3, 2), np.float32)), x(np.ones((1, 1, 3, 3), np.float32)), padding=[2, 1, 1, 2]
        ),
        "differs",
        "of some paddings all of the output is zero, others are refused by build",
    ),
    Difference(
        "indices that are not constant",
        ("gather_elements", "scatter_elements"),
        lambda node, _: node["indices"].constant is None,
        lambda b, x: b.gather_elements(x(_floats(1, 2)), x(_ints(1, 0))),
        "fails",
        "not implemented",
    ),
    Difference(
        "padding with the edge",
        ("pad",),
        lambda node, _: node.attributes["mode"] == "edge",
        lambda b, x: b.pad(x(_floats(1, 2)), [1], [1], mode="edge"),
        "fails",
        "LiteRT has none",
    ),
    Difference(
        "concat of uint64",
        ("concat",),
        lambda node, _: node.output.data_type == "uint64",
        lambda b, x: b.concat([x(np.ones(2, np.uint64)), x(np.ones(2, np.uint64))], 0),
        "fails",
        "promised by opSupportLimits()",
    ),
    Difference(
        "scattering of uint32",
        ("scatter_elements", "scatter_nd"),
        lambda node, _: node.output.data_type == "uint32",
        lambda b, x: b.scatter_nd(x(np.ones(2, np.uint32)), x(_ints(0).reshape(1, 1)), x(np.ones(1, np.uint32))),
        "fails",
        "promised by opSupportLimits()",
    ),
    Difference(
        "reduction of more than six dimensions",
        PRODUCTLESS_REDUCTIONS,
        lambda node, _: node["input"].rank > 6,
        lambda b, x: b.reduce_sum(x(np.ones((2,) * 7, np.float32)), axes=[3]),
        "fails",
        "promised by opSupportLimits(); some are refused, of others the process that computes dies",
    ),
    Difference(
        "peepholes with the layout ifgo",
        ("lstm", "lstm_cell"),
        _has_peephole_out_of_order,
        lambda b, x: b.lstm_cell(
            *(x(np.ones(shape, np.float16)) for shape in [(2, 1), (4, 1), (4, 1), (2, 1), (2, 1)]),
            1,
            peephole_weight=x(np.ones(3, np.float16)),
            layout="ifgo",
        ),
        "fails",
        'some of them: "Output tensor size mismatch", "Unable to allocate tensors"; iofg works',
    ),
    Difference(
        "gemm with c and a beta of zero",
        ("gemm",),
        lambda node, _: node.get("c") is not None and node.attributes["beta"] == 0,
        lambda b, x: b.gemm(x(_floats(1).reshape(1, 1)), x(_floats(1).reshape(1, 1)), c=x(_floats(1)), beta=0.0),
        "fails",
        "the process that computes dies",
    ),
    Difference(
        "gathering with many indices into more than six dimensions",
        ("gather",),
        lambda node, _: node.output.rank > 6 and node["indices"].rank > 1,
        lambda b, x: b.gather(x(np.ones((2, 2, 2), np.float32)), x(np.zeros((1, 1, 1, 1, 2), np.int32))),
        "fails",
        "promised by opSupportLimits(); the process that computes dies",
    ),
    Difference(
        "infinities outside of the triangle",
        ("triangular",),
        lambda _, values: "input" in values and not np.isfinite(values["input"].astype(np.float64)).all(),
        lambda b, x: b.triangular(x(np.full((2, 2), np.inf, np.float32))),
        "differs",
        "NaN, since the input is multiplied by zeros and ones; the specification has zero there",
    ),
    Difference(
        "negative exponents of integers",
        ("pow",),
        lambda node, values: node.output.data_type == "int32" and bool((values["b"] < 0).any()),
        lambda b, x: b.pow(x(_ints(2, 3)), x(_ints(3, -1))),
        "differs",
        "LiteRT gives up: all of the output is zero, also where exponents are positive",
    ),
    Difference(
        "integers divided by zero",
        ("div",),
        _divides_by_zero,
        lambda b, x: b.div(x(_ints(7, 2)), x(_ints(2, 0))),
        "differs",
        "LiteRT gives up: all of the output is zero, also where divisors are not",
    ),
    Difference(
        "the smallest integer divided by -1",
        ("div",),
        _overflows_in_division,
        lambda b, x: b.div(x(_ints(-(2**31))), x(_ints(-1))),
        "fails",
        "the process that computes dies; the specification is silent, here it wraps around",
    ),
    Difference(
        "maximum and minimum of not-a-numbers",
        ("max", "min", "max_pool2d", "reduce_max", "reduce_min", "arg_max", "arg_min"),
        _has_nan,
        lambda b, x: b.max(x(_floats(math.nan, 1)), x(_floats(1, math.nan))),
        "differs",
        "which one is given depends on where it stands; the specification is silent, here NaN is passed on",
    ),
    Difference(
        "square roots of large numbers",
        ("sqrt",),
        lambda _, values: bool((values["input"].astype(np.float64) > 2.0**126).any()),
        lambda b, x: b.sqrt(x(_floats(math.inf, 3e38))),
        "differs",
        "NaN for infinity and half too much for 3e38",
    ),
    Difference(
        "slice of a scalar of uint32",
        ("slice",),
        lambda node, _: node.output.rank == 0 and node.output.data_type == "uint32",
        lambda b, x: b.slice(x(np.array(1, np.uint32)), [], []),
        "refuses",
        "held to the limits of identity; those of slice allow it",
    ),
    Difference(
        "nearest neighbours half way",
        ("resample2d",),
        _half_way,
        lambda b, x: b.resample2d(x(_image(1, 2, 3, 4)), sizes=[3, 3]),
        "differs",
        "older: the greater coordinate; the specification now has ceil(x - 0.5), the smaller one",
    ),
    Difference(
        "quantization half way with several scales",
        ("quantize_linear",),
        _quantizes_halves,
        lambda b, x: b.quantize_linear(
            x(_floats(0.5, 2.5)), b.constant(_floats(1, 1)), b.constant(np.zeros(2, np.int8))
        ),
        "differs",
        "rounds half away from zero; the specification has roundEven, and with one scale Chromium too",
    ),
    Difference(
        "constant scales that are not positive",
        ("quantize_linear", "dequantize_linear"),
        lambda _, values: bool((values["scale"] <= 0).any()),
        lambda b, x: b.dequantize_linear(
            x(np.ones(2, np.int8)), b.constant(_floats(-1)), b.constant(np.zeros(1, np.int8))
        ),
        "fails",
        "accepted by the call, refused by build; the specification leaves it to the implementation, here it computes",
    ),
    Difference(
        "values scattered to the same place",
        ("scatter_elements", "scatter_nd"),
        _scatters_twice,
        lambda b, x: b.scatter_nd(x(_floats(0, 0)), x(_ints(0, 0).reshape(2, 1)), x(_floats(1, 2))),
        "differs",
        "gives the sum of them, though the specification says replace; it is silent on which, here the last one",
    ),
    Difference(
        "casts out of range",
        ("cast",),
        _casts_out_of_range,
        lambda b, x: b.cast(x(_floats(300)), "int8"),
        "differs",
        "the specification leaves it to the implementation; here the nearest bound, and zero for NaN",
    ),
)
"""Of results. Where several concern a graph, the first is given."""
