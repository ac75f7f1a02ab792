"""Operators on large, small and long inputs, with what they come to in more bits than they are computed in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from hypothesis import strategies as st

from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

__all__ = ["TRIALS", "Chooser", "Trial", "calling"]

Array: TypeAlias = np.ndarray[Any, Any]
Build: TypeAlias = Callable[..., MLOperand]

LONGEST: Final = 2**17
LD: Final = np.longdouble


@dataclass(frozen=True, slots=True)
class Trial:
    """A call of an operator.

    Attributes:
        build: `build(builder, *operands)` gives the output.
        arrays: the values of the operands.
        exact: the result, as a longdouble.
        size: the magnitude that an error is measured by, where it is larger than the result.
        count: how many values go into a result.
    """

    build: Build
    arrays: Sequence[Array]
    exact: Array
    size: Array
    count: int = 0


class Chooser:
    """What hypothesis chooses: types, sizes, scales, and the seed of the numbers."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data
        self.rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))

    def pick(self, options: Sequence[Any]) -> Any:
        return self._data.draw(st.sampled_from(options))

    def size(self, highest: int) -> int:
        """From 1 to `highest`, each order of magnitude as likely."""
        power = self._data.draw(st.floats(0, math.log2(highest)))
        return min(highest, round(2**power))

    def data_type(self) -> Any:
        return self.pick([np.float32, np.float32, np.float16])

    def numbers(self, shape: Sequence[int], dtype: Any, scales: Sequence[float], *, signed: bool = True) -> Array:
        """Equal numbers, evenly spread ones, or ones of different sizes, times one of `scales`.

        Of float16 they are at most 60.
        """
        match self.pick(["equal", "even", "spread"]):
            case "equal":
                x = np.full(shape, self.rng.uniform(0.5, 1))
            case "even":
                x = self.rng.uniform(-1 if signed else 0.5, 1, shape)
            case _:
                x = 10 ** self.rng.uniform(-3, 0, shape) * (self.rng.choice([-1, 1], shape) if signed else 1)
        scale = self.pick(scales)
        return np.asarray(x * (scale if dtype == np.float32 else min(max(scale, 1e-2), 60))).astype(dtype)


ALL_SCALES: Final = (1e-40, 1e-30, 1e-18, 1e-3, 1, 1e3, 1e18, 1e30, 1e38)
SUMMABLE: Final = (1e-40, 1e-30, 1e-3, 1, 1e3, 1e30)
"""With these no sum of `LONGEST` numbers overflows."""
SQUARABLE: Final = (1e-12, 1e-3, 1, 1e3, 1e15)

TRIALS: Final[dict[str, Callable[[Chooser, str], Trial]]] = {}


def tries(*ops: str) -> Callable[[Callable[[Chooser, str], Trial]], Callable[[Chooser, str], Trial]]:
    def register(function: Callable[[Chooser, str], Trial]) -> Callable[[Chooser, str], Trial]:
        TRIALS.update(dict.fromkeys(ops, function))
        return function

    return register


def calling(op: str, *args: Any, **options: Any) -> Build:
    """`op` on all operands, with more arguments behind them."""

    def build(builder: MLGraphBuilder[Graph], *operands: MLOperand) -> MLOperand:
        output: MLOperand = getattr(builder, op)(*operands, *args, **options)
        return output

    return build


@tries(
    *("reduce_l1", "reduce_l2", "reduce_log_sum", "reduce_log_sum_exp"),
    *("reduce_mean", "reduce_product", "reduce_sum", "reduce_sum_square"),
)
def reduction(choose: Chooser, op: str) -> Trial:
    axes = choose.pick([[0], [1], [2], [0, 1], [1, 2], [0, 2], [2, 1, 0]])
    count = choose.size(3000 if op == "reduce_product" else LONGEST)
    first = choose.size(count)
    sizes = {axes[0]: first, axes[-1]: max(1, count // first)} if len(axes) > 1 else {axes[0]: count}
    shape = [sizes.get(axis, 1 if axis in axes else choose.pick([1, 2])) for axis in range(3)]
    scales = {"reduce_l2": ALL_SCALES, "reduce_sum_square": SQUARABLE, "reduce_product": (1,)}.get(op, SUMMABLE)
    if op == "reduce_log_sum_exp":
        scales = (1e-3, 1, 30, 1e3)
    x = choose.numbers(shape, choose.data_type(), scales, signed=op != "reduce_log_sum")
    if op == "reduce_product":
        x = (1 + choose.rng.normal(0, 1e-2, shape)).astype(x.dtype)
    wide, along = x.astype(LD), tuple(axes)
    exact, size = _reduced(op, wide, along)
    return Trial(calling(op, axes=axes), [x], exact, size, math.prod(shape[axis] for axis in axes))


def _reduced(op: str, x: Array, along: tuple[int, ...]) -> tuple[Array, Any]:
    match op:
        case "reduce_l1":
            return np.abs(x).sum(along), 0
        case "reduce_l2":
            return np.sqrt((x * x).sum(along)), 0
        case "reduce_log_sum":
            return np.log(x.sum(along)), 1
        case "reduce_log_sum_exp":
            return np.log(np.exp(x).sum(along)), 1
        case "reduce_mean":
            return x.mean(along), np.abs(x).mean(along)
        case "reduce_product":
            return x.prod(along), 0
        case "reduce_sum":
            return x.sum(along), np.abs(x).sum(along)
        case _:
            return (x * x).sum(along), 0


@tries("cumulative_sum")
def cumulative_sum(choose: Chooser, op: str) -> Trial:
    axis, reverse = choose.pick([0, 1, 2]), choose.pick([False, True])
    shape = [2, 1, 3]
    shape[axis] = choose.size(LONGEST // 4)
    x = choose.numbers(shape, choose.data_type(), SUMMABLE)
    wide = np.flip(x, axis).astype(LD) if reverse else x.astype(LD)
    exact, size = np.cumsum(wide, axis), np.cumsum(np.abs(wide), axis)
    if reverse:
        exact, size = np.flip(exact, axis), np.flip(size, axis)
    return Trial(calling(op, axis, reversed=reverse), [x], exact, size)


@tries("average_pool2d", "l2_pool2d")
def pooling(choose: Chooser, op: str) -> Trial:
    height, width = choose.size(300), choose.size(300)
    window = [choose.size(height), choose.size(width)]
    strides = [max(1, (full - part) // 3) for full, part in zip((height, width), window, strict=True)]
    layout: Literal["nchw", "nhwc"] = choose.pick(["nchw", "nhwc"])
    x = choose.numbers([1, 2, height, width], choose.data_type(), SUMMABLE if op == "average_pool2d" else ALL_SCALES)
    parts = np.lib.stride_tricks.sliding_window_view(x.astype(LD), window, (2, 3))[:, :, :: strides[0], :: strides[1]]
    if op == "average_pool2d":
        exact, size = parts.mean((4, 5)), np.abs(parts).mean((4, 5))
    else:
        exact, size = np.sqrt((parts * parts).sum((4, 5))), np.zeros(1)
    if layout == "nhwc":
        x, exact = x.transpose(0, 2, 3, 1), exact.transpose(0, 2, 3, 1)
        size = size.transpose(0, 2, 3, 1) if size.ndim == 4 else size
    return Trial(calling(op, window_dimensions=window, strides=strides, layout=layout), [x], exact, size)


@tries("batch_normalization", "instance_normalization", "layer_normalization")
def normalization(choose: Chooser, op: str) -> Trial:
    shape = (1, choose.pick([1, 3]), choose.size(256), choose.size(256))
    deviation, distance = choose.pick([1e-3, 1, 1e3]), choose.pick([0, 1, 30, 1e3, 1e4])
    dtype = choose.data_type()
    if dtype == np.float16:
        deviation, distance = 1, min(distance, 1e3)
    x = (choose.rng.normal(0, deviation, shape) + distance * deviation).astype(dtype)
    wide = x.astype(LD)
    along = {"batch_normalization": (0, 2, 3), "instance_normalization": (2, 3)}.get(op, (1, 2, 3))
    mean, variance = wide.mean(along, keepdims=True), wide.var(along, keepdims=True)
    arrays = [x]
    if op == "batch_normalization":
        arrays += [mean.reshape(-1).astype(dtype), variance.reshape(-1).astype(dtype)]
        mean, variance = (statistic.reshape(1, -1, 1, 1).astype(LD) for statistic in arrays[1:])
    spread = np.sqrt(variance + LD(1e-5))
    size = np.ones(1) if op == "instance_normalization" else np.maximum(1, np.abs(wide).max() / spread)
    return Trial(calling(op), arrays, (wide - mean) / spread, size)


@tries("softmax")
def softmax(choose: Chooser, op: str) -> Trial:
    axis = choose.pick([0, 1, 2])
    shape = [2, 1, 3]
    shape[axis] = choose.size(LONGEST // 4)
    x = choose.numbers(shape, choose.data_type(), (1e-3, 1, 10, 100))
    below = x.astype(LD) - x.astype(LD).max(axis, keepdims=True)
    exact = np.exp(below) / np.exp(below).sum(axis, keepdims=True)
    return Trial(calling(op, axis), [x], exact, exact * np.maximum(1, -below))


def _erf(x: Array) -> Array:
    return np.array([math.erf(number) for number in x], LD)


def _gelu(x: Array) -> Array:
    return np.array([number * math.erfc(-number / math.sqrt(2)) / 2 for number in x.astype(float)], LD)


FUNCTIONS: Final[dict[str, Callable[[Array], Array]]] = {
    "cos": np.cos,
    "elu": lambda x: np.where(x >= 0, x, np.expm1(np.minimum(x, 0))),
    "erf": _erf,
    "exp": np.exp,
    "gelu": _gelu,
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "log": lambda x: np.log(np.abs(x)),
    "reciprocal": lambda x: 1 / x,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "sin": np.sin,
    "softplus": lambda x: np.logaddexp(x, LD(0)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "sqrt": lambda x: np.sqrt(np.abs(x)),
    "tan": np.tan,
    "tanh": np.tanh,
}


@tries(*FUNCTIONS)
def function(choose: Chooser, op: str) -> Trial:
    """From the smallest subnormal to the largest number, and evenly where most functions bend."""
    dtype = choose.data_type()
    info = np.finfo(dtype)
    powers = choose.rng.uniform(math.log2(info.smallest_subnormal), math.log2(info.max), 2000)
    x = np.concatenate([2**powers * choose.rng.choice([-1, 1], 2000), choose.rng.uniform(-20, 20, 2000)]).astype(dtype)
    x = x[x != 0]
    if op in ("log", "sqrt"):
        x = np.abs(x)
    with np.errstate(all="ignore"):
        exact = FUNCTIONS[op](x.astype(LD))
    return Trial(calling(op), [x], exact, np.abs(x).astype(LD) if op in ("gelu", "hard_swish") else np.zeros(1))


@tries("pow")
def power(choose: Chooser, op: str) -> Trial:
    dtype = choose.data_type()
    x = (2.0 ** choose.rng.uniform(-14, 14, 2000)).astype(dtype)
    exponent = choose.rng.uniform(-9, 9, 2000).astype(dtype)
    with np.errstate(all="ignore"):
        return Trial(calling(op), [x, exponent], np.power(x.astype(LD), exponent.astype(LD)), np.zeros(1))


@tries("matmul", "gemm", "conv2d", "conv_transpose2d")
def product(choose: Chooser, op: str) -> Trial:
    count, rows, columns = choose.size(LONGEST // 4), choose.pick([1, 4]), choose.pick([1, 5])
    dtype = choose.data_type()
    a, b = (choose.numbers(shape, dtype, (1e-3, 1)) for shape in ((rows, count), (count, columns)))
    exact = a.astype(LD) @ b.astype(LD)
    size = np.abs(a).astype(LD) @ np.abs(b).astype(LD)
    if not op.startswith("conv"):
        return Trial(calling(op), [a, b], exact, size, count)
    arrays = [a.T.reshape(1, count, rows, 1), (b.T if op == "conv2d" else b).reshape(*b.T.shape, 1, 1)]
    if op == "conv_transpose2d":
        arrays[1] = b.reshape(count, columns, 1, 1)
    exact, size = (array.T.reshape(1, columns, rows, 1) for array in (exact, size))
    return Trial(calling(op), arrays, exact, size, count)


@tries("resample2d")
def resample2d(choose: Chooser, op: str) -> Trial:
    before, after = choose.size(3000), choose.size(3000)
    axes = choose.pick([[2, 3], [1, 2], [0, 1]])
    shape = [1, 1, 1, 1]
    shape[axes[0]], shape[axes[1]] = before, 2
    x = choose.numbers(shape, choose.data_type(), (1e-30, 1, 1e30))
    places = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
    pairs = x.reshape(before, 2).astype(float)
    exact = np.stack([np.interp(places, np.arange(before), column) for column in pairs.T], 1)
    shape[axes[0]] = after
    build = calling(op, mode="linear", sizes=[after, 2], axes=axes)
    return Trial(build, [x], exact.reshape(shape).astype(LD), np.abs(x).max().astype(LD), max(before, after))


@tries("dequantize_linear")
def dequantize_linear(choose: Chooser, op: str) -> Trial:
    dtype = choose.pick([np.int8, np.uint8, np.int32])
    info = np.iinfo(dtype)
    x = choose.rng.integers(info.min, info.max, 1000, endpoint=True).astype(dtype)
    scale = choose.numbers([1], choose.data_type(), (1e-30, 1e-3, 1, 1e25), signed=False)
    zero_point = choose.rng.integers(info.min, info.max, 1, endpoint=True).astype(dtype)
    exact = (x.astype(LD) - zero_point.astype(LD)) * scale.astype(LD)
    return Trial(calling(op), [x, scale, zero_point], exact, np.zeros(1))
