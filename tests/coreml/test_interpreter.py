"""The interpreter against NumPy, operator by operator, on programs of coremltools' own builder."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from tests.coreml.interpreter import Package, ProgramError, UndocumentedError, run
from tests.coreml.interpreter.signatures import OPERATORS
from tests.coreml.programs import mb, saved

Array = np.ndarray[Any, Any]

_rng: Final = np.random.default_rng(7)
X: Final = _rng.normal(size=(2, 3, 4)).astype(np.float32)
Y: Final = _rng.normal(size=(3, 1)).astype(np.float32)
P: Final = np.abs(X) + np.float32(0.1)
UNIT: Final = np.clip(X, -0.9, 0.9).astype(np.float32)
N: Final = _rng.integers(-9, 9, (2, 3, 4)).astype(np.int32)
J: Final = np.array([[3], [-2], [5]], np.int32)
IMAGE: Final = _rng.normal(size=(2, 4, 7, 6)).astype(np.float32)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x.astype(np.float64)))


ERF: Final = np.vectorize(math.erf)

UNARY: Final[dict[str, tuple[Array, Callable[[Array], Array]]]] = {
    "abs": (N, np.abs),
    "acos": (UNIT, np.arccos),
    "asin": (UNIT, np.arcsin),
    "atan": (X, np.arctan),
    "atanh": (UNIT, np.arctanh),
    "ceil": (X, np.ceil),
    "cos": (X, np.cos),
    "cosh": (X, np.cosh),
    "erf": (X, ERF),
    "exp": (X, np.exp),
    "exp2": (X, np.exp2),
    "floor": (X, np.floor),
    "round": (X * 4, np.round),
    "sign": (N, np.sign),
    "sin": (X, np.sin),
    "sinh": (X, np.sinh),
    "sqrt": (P, np.sqrt),
    "square": (N, np.square),
    "tan": (X, np.tan),
    "tanh": (X, np.tanh),
    "relu": (X, lambda x: np.maximum(x, 0)),
    "relu6": (X * 5, lambda x: np.clip(x, 0, 6)),
    "sigmoid": (X, sigmoid),
    "silu": (X, lambda x: x * sigmoid(x)),
    "softplus": (X, lambda x: np.log1p(np.exp(x))),
    "softsign": (X, lambda x: x / (1 + np.abs(x))),
    "softmax": (X, lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)),
    "identity": (N, lambda x: x),
    "inverse": (P, lambda x: 1 / (x + 1e-4)),
    "log": (P, np.log),
    "rsqrt": (P, lambda x: 1 / np.sqrt(x)),
    "l2_norm": (X, lambda x: x / np.sqrt((x * x).sum())),
    "reduce_sum": (X, lambda x: x.sum()),
    "gelu": (X, lambda x: 0.5 * x * (1 + ERF(x / np.sqrt(2)))),
    "shape": (N, lambda x: np.array([2, 3, 4])),
    "squeeze": (X[:, :1], lambda x: x[:, 0]),
    "reverse": (N, lambda x: x[::-1, ::-1, ::-1]),
}

BINARY: Final[dict[str, Callable[[Array, Array], Array]]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "real_div": np.true_divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
}

COMPARED: Final[dict[str, Callable[[Array, Array], Array]]] = {
    "equal": np.equal,
    "not_equal": np.not_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
}


def f32(*values: float) -> Any:
    return np.float32(values[0]) if len(values) == 1 else np.array(values, np.float32)


def _same_windows(x: Array, kernel: tuple[int, int], stride: int, pad: int, reduce: Callable[[Array], Any]) -> Array:
    height = (x.shape[2] + 2 * pad - kernel[0]) // stride + 1
    width = (x.shape[3] + 2 * pad - kernel[1]) // stride + 1
    result = np.empty((*x.shape[:2], height, width))
    for b in range(x.shape[0]):
        for c in range(x.shape[1]):
            for i in range(height):
                for j in range(width):
                    top, left = i * stride - pad, j * stride - pad
                    result[b, c, i, j] = reduce(x[b, c, max(top, 0) : top + kernel[0], max(left, 0) : left + kernel[1]])
    return result


def _convolution(x: Array, w: Array, *, stride: int, pad: int, dilation: int, groups: int) -> Array:
    """Loops over every element, from the definition."""
    x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)]).astype(np.float64)
    _, per_group, kh, kw = w.shape
    height = (x.shape[2] - (kh - 1) * dilation - 1) // stride + 1
    width = (x.shape[3] - (kw - 1) * dilation - 1) // stride + 1
    result = np.zeros((x.shape[0], w.shape[0], height, width))
    for o in range(w.shape[0]):
        first = o // (w.shape[0] // groups) * per_group
        for c in range(per_group):
            for i in range(kh):
                for j in range(kw):
                    rows = slice(i * dilation, i * dilation + (height - 1) * stride + 1, stride)
                    columns = slice(j * dilation, j * dilation + (width - 1) * stride + 1, stride)
                    result[:, o] += w[o, c, i, j] * x[:, first + c, rows, columns]
    return result


W: Final = _rng.normal(size=(6, 2, 3, 2)).astype(np.float32)
V: Final = _rng.normal(size=(4, 3, 3, 2)).astype(np.float32)


def _transposed(x: Array, w: Array, stride: int, pad: int, groups: int) -> Array:
    per_group = w.shape[1]
    full = [(x.shape[2 + i] - 1) * stride + w.shape[2 + i] for i in (0, 1)]
    result = np.zeros((x.shape[0], per_group * groups, *full))
    for c in range(x.shape[1]):
        first = c // (x.shape[1] // groups) * per_group
        for o in range(per_group):
            for i in range(x.shape[2]):
                for j in range(x.shape[3]):
                    area = result[
                        :, first + o, i * stride : i * stride + w.shape[2], j * stride : j * stride + w.shape[3]
                    ]
                    area += x[:, c, i, j, None, None] * w[c, o]
    return result[:, :, pad : full[0] - pad, pad : full[1] - pad]


S: Final = _rng.normal(size=(5, 2, 3)).astype(np.float32)
STATE: Final = _rng.normal(size=(2, 4)).astype(np.float32)
CELL: Final = _rng.normal(size=(2, 4)).astype(np.float32)
WX, WH, B = (_rng.normal(size=size).astype(np.float32) for size in ((16, 3), (16, 4), (16,)))


def _lstm(x: Array, h: Array, c: Array) -> Array:
    for x_t in x:
        i, f, o, z = np.split(x_t @ WX.T + h @ WH.T + B, 4, 1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(z)
        h = sigmoid(o) * np.tanh(c)
    return h[None]


def _gru(x: Array, h: Array) -> Array:
    hidden = []
    for x_t in x[::-1]:
        a, b = x_t @ WX[:12].T + B[:12], h @ WH[:12].T
        r, z = sigmoid(a[:, :4] + b[:, :4]), sigmoid(a[:, 8:] + b[:, 8:])
        h = (1 - z) * np.tanh(a[:, 4:8] + r * b[:, 4:8]) + z * h
        hidden.append(h)
    return np.stack(hidden[::-1])


Case = tuple[dict[str, Array], Callable[..., Any], Callable[..., Any]]
INDICES: Final = np.array([[2, 0], [1, 1]], np.int32)
ALONG: Final = np.array([[[0, 2, 1, 1], [2, 1, 0, 0]], [[1, 1, 1, 2], [0, 0, 2, 1]]], np.int32)

CASES: Final[dict[str, Case]] = {
    "clip": ({"x": X}, lambda x: mb.clip(x=x, alpha=f32(-0.5), beta=f32(0.5)), lambda x: np.clip(x, -0.5, 0.5)),
    "threshold": ({"x": N}, lambda x: mb.threshold(x=x, alpha=np.int32(2)), lambda x: np.maximum(x, 2)),
    "elu": ({"x": X}, lambda x: mb.elu(x=x, alpha=f32(0.3)), lambda x: np.where(x > 0, x, 0.3 * (np.exp(x) - 1))),
    "leaky_relu": ({"x": X}, lambda x: mb.leaky_relu(x=x, alpha=f32(0.3)), lambda x: np.where(x > 0, x, 0.3 * x)),
    "thresholded_relu": ({"x": X}, lambda x: mb.thresholded_relu(x=x, alpha=f32(0.3)), lambda x: x * (x >= 0.3)),
    "linear_activation": (
        {"x": X},
        lambda x: mb.linear_activation(x=x, alpha=f32(0.3), beta=f32(2.0)),
        lambda x: 0.3 * x + 2,
    ),
    "scaled_tanh": (
        {"x": X},
        lambda x: mb.scaled_tanh(x=x, alpha=f32(0.3), beta=f32(2.0)),
        lambda x: 0.3 * np.tanh(2 * x),
    ),
    "sigmoid_hard": (
        {"x": X},
        lambda x: mb.sigmoid_hard(x=x, alpha=f32(0.3), beta=f32(0.4)),
        lambda x: np.clip(0.3 * x + 0.4, 0, 1),
    ),
    "clamped_relu": (
        {"x": X},
        lambda x: mb.clamped_relu(x=x, alpha=f32(0.3), beta=f32(0.4)),
        lambda x: np.minimum(np.where(x >= 0, x, 0.3 * x), 0.4),
    ),
    "prelu": (
        {"x": IMAGE},
        lambda x: mb.prelu(x=x, alpha=f32(0.1, 0.2, 0.3, 0.4)),
        lambda x: np.where(x > 0, x, x * np.array([0.1, 0.2, 0.3, 0.4]).reshape(4, 1, 1)),
    ),
    "floor_div": ({"x": N, "y": J}, lambda x, y: mb.floor_div(x=x, y=y), lambda x, y: x // y),
    "mod": ({"x": N, "y": J}, lambda x, y: mb.mod(x=x, y=y), lambda x, y: x % y),
    "pow": ({"x": P, "y": Y}, lambda x, y: mb.pow(x=x, y=y), np.power),
    "logical": (
        {"x": X, "y": Y},
        lambda x, y: mb.cast(
            x=mb.logical_xor(
                x=mb.logical_and(x=mb.greater(x=x, y=f32(0.0)), y=mb.greater(x=y, y=f32(0.0))),
                y=mb.logical_not(x=mb.logical_or(x=mb.less(x=x, y=y), y=mb.less(x=y, y=f32(0.0)))),
            ),
            dtype="int32",
        ),
        lambda x, y: (((x > 0) & (y > 0)) ^ ~((x < y) | (y < 0))).astype(np.int32),
    ),
    "select": (
        {"x": X, "y": _rng.normal(size=(2, 3, 4)).astype(np.float32)},
        lambda x, y: mb.select(cond=mb.greater(x=x, y=f32(0.0)), a=x, b=y),
        lambda x, y: np.where(x > 0, x, y),
    ),
    "cast": ({"x": X * 20}, lambda x: mb.cast(x=mb.cast(x=x, dtype="int8"), dtype="int32"), np.trunc),
    "linear": (
        {"x": X},
        lambda x: mb.linear(x=x, weight=np.arange(8, dtype=np.float32).reshape(2, 4), bias=f32(1.0, 2.0)),
        lambda x: x @ np.arange(8).reshape(2, 4).T + [1, 2],
    ),
    "matmul": (
        {"x": X, "y": _rng.normal(size=(5, 4)).astype(np.float32)},
        lambda x, y: mb.matmul(x=x, y=y, transpose_y=True),
        lambda x, y: x @ y.T,
    ),
    "einsum": (
        {"x": X, "y": _rng.normal(size=(4, 3, 5)).astype(np.float32)},
        lambda x, y: mb.einsum(values=(x, y), equation="chw,whr->chr"),
        lambda x, y: np.einsum("chw,whr->chr", x, y),
    ),
    "conv": (
        {"x": IMAGE},
        lambda x: mb.conv(
            x=x, weight=W, bias=np.arange(6, dtype=np.float32), groups=2, strides=[2, 2], pad_type="custom", pad=[1] * 4
        ),
        lambda x: _convolution(x, W, stride=2, pad=1, dilation=1, groups=2) + np.arange(6).reshape(6, 1, 1),
    ),
    "conv dilated": (
        {"x": IMAGE},
        lambda x: mb.conv(x=x, weight=W, groups=2, dilations=[2, 2], pad_type="valid"),
        lambda x: _convolution(x, W, stride=1, pad=0, dilation=2, groups=2),
    ),
    "conv_transpose": (
        {"x": IMAGE},
        lambda x: mb.conv_transpose(x=x, weight=V, groups=2, strides=[2, 2], pad_type="custom", pad=[1] * 4),
        lambda x: _transposed(x, V, 2, 1, 2),
    ),
    "conv_transpose output_shape": (
        {"x": IMAGE},
        lambda x: mb.conv_transpose(
            x=x, weight=V, groups=2, strides=[2, 2], pad_type="custom", pad=[1] * 4, output_shape=[2, 6, 14, 11]
        ),
        lambda x: np.pad(_transposed(x, V, 2, 0, 2), [(0, 0), (0, 0), (0, 1), (0, 1)])[:, :, 1:15, 1:12],
    ),
    "max_pool": (
        {"x": IMAGE},
        lambda x: mb.max_pool(x=x, kernel_sizes=[3, 2], strides=[2, 2], pad_type="custom", pad=[1] * 4),
        lambda x: _same_windows(x, (3, 2), 2, 1, np.max),
    ),
    "avg_pool": (
        {"x": IMAGE},
        lambda x: mb.avg_pool(x=x, kernel_sizes=[3, 2], strides=[2, 2], pad_type="custom", pad=[1] * 4),
        lambda x: _same_windows(x, (3, 2), 2, 1, lambda window: window.sum() / 6),
    ),
    "avg_pool without padding": (
        {"x": IMAGE},
        lambda x: mb.avg_pool(
            x=x, kernel_sizes=[3, 2], strides=[2, 2], pad_type="custom", pad=[1] * 4, exclude_padding_from_average=True
        ),
        lambda x: _same_windows(x, (3, 2), 2, 1, np.mean),
    ),
    "max_pool ceil_mode": (
        {"x": IMAGE},
        lambda x: mb.max_pool(x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="valid", ceil_mode=True),
        lambda x: _same_windows(np.pad(x, [(0, 0), (0, 0), (0, 1), (0, 0)], mode="edge"), (2, 2), 2, 0, np.max),
    ),
    "l2_pool": (
        {"x": IMAGE},
        lambda x: mb.l2_pool(x=x, kernel_sizes=[3, 2], strides=[2, 2], pad_type="valid"),
        lambda x: _same_windows(x, (3, 2), 2, 0, lambda window: np.sqrt((window**2).sum())),
    ),
    "batch_norm": (
        {"x": IMAGE},
        lambda x: mb.batch_norm(
            x=x, mean=f32(1, 2, 3, 4), variance=f32(4, 3, 2, 1), gamma=f32(1, 2, 1, 2), beta=f32(0, 1, 0, 1)
        ),
        lambda x: (
            ((x - np.array([1, 2, 3, 4]).reshape(4, 1, 1)) / np.sqrt(np.array([4, 3, 2, 1]) + 1e-5).reshape(4, 1, 1))
            * np.array([1, 2, 1, 2]).reshape(4, 1, 1)
            + np.array([0, 1, 0, 1]).reshape(4, 1, 1)
        ),
    ),
    "instance_norm": (
        {"x": IMAGE},
        lambda x: mb.instance_norm(x=x, epsilon=f32(0.1)),
        lambda x: (x - x.mean((2, 3), keepdims=True)) / np.sqrt(x.var((2, 3), keepdims=True) + 0.1),
    ),
    "layer_norm": (
        {"x": X},
        lambda x: mb.layer_norm(x=x, axes=[1, 2], gamma=P[0], beta=P[1], epsilon=f32(0.1)),
        lambda x: (x - x.mean((1, 2), keepdims=True)) / np.sqrt(x.var((1, 2), keepdims=True) + 0.1) * P[0] + P[1],
    ),
    "local_response_norm": (
        {"x": IMAGE},
        lambda x: mb.local_response_norm(x=x, size=1, alpha=f32(0.5), beta=f32(0.75), k=f32(2.0)),
        lambda x: x / (2 + 0.5 * x * x) ** 0.75,
    ),
    "lstm": (
        {"x": S, "h": STATE, "c": CELL},
        lambda x, h, c: mb.lstm(x=x, initial_h=h, initial_c=c, weight_ih=WX, weight_hh=WH, bias=B)[0],
        _lstm,
    ),
    "gru": (
        {"x": S, "h": STATE},
        lambda x, h: mb.gru(
            x=x,
            initial_h=h,
            weight_ih=WX[:12],
            weight_hh=WH[:12],
            bias=B[:12],
            direction="reverse",
            output_sequence=True,
        )[0],
        _gru,
    ),
    "reduce_mean": ({"x": X}, lambda x: mb.reduce_mean(x=x, axes=[0, -1]), lambda x: x.mean((0, 2))),
    "reduce_prod": (
        {"x": N},
        lambda x: mb.reduce_prod(x=x, axes=[2], keep_dims=True),
        lambda x: x.prod(2, keepdims=True),
    ),
    "reduce_max": ({"x": N}, lambda x: mb.reduce_max(x=x, axes=[1]), lambda x: x.max(1)),
    "reduce_min": ({"x": X}, lambda x: mb.reduce_min(x=x, axes=[1]), lambda x: x.min(1)),
    "reduce_l1_norm": ({"x": X}, lambda x: mb.reduce_l1_norm(x=x, axes=[1]), lambda x: np.abs(x).sum(1)),
    "reduce_l2_norm": ({"x": X}, lambda x: mb.reduce_l2_norm(x=x, axes=[1]), lambda x: np.sqrt((x**2).sum(1))),
    "reduce_sum_square": ({"x": N}, lambda x: mb.reduce_sum_square(x=x, axes=[1]), lambda x: (x**2).sum(1)),
    "reduce_log_sum": ({"x": P}, lambda x: mb.reduce_log_sum(x=x, axes=[1]), lambda x: np.log(x.sum(1))),
    "reduce_log_sum_exp": (
        {"x": X + 500},
        lambda x: mb.reduce_log_sum_exp(x=x, axes=[1]),
        lambda x: np.log(np.exp(x.astype(np.float64)).sum(1)),
    ),
    "reduce_argmax": ({"x": X}, lambda x: mb.reduce_argmax(x=x, axis=1), lambda x: x.argmax(1)),
    "reduce_argmin": (
        {"x": X},
        lambda x: mb.reduce_argmin(x=x, axis=-1, keep_dims=True),
        lambda x: x.argmin(-1, keepdims=True),
    ),
    "gather": (
        {"x": X, "i": INDICES},
        lambda x, i: mb.gather(x=x, indices=i, axis=1),
        lambda x, i: x[:, i],
    ),
    "gather batch_dims": (
        {"x": X, "i": INDICES},
        lambda x, i: mb.gather(x=x, indices=i, axis=1, batch_dims=1),
        lambda x, i: np.stack([x[0][i[0]], x[1][i[1]]]),
    ),
    "gather_along_axis": (
        {"x": X, "i": ALONG},
        lambda x, i: mb.gather_along_axis(x=x, indices=i, axis=1),
        lambda x, i: np.take_along_axis(x, i, 1),
    ),
    "gather_nd": (
        {"x": X, "i": np.array([[1, 2], [0, 1]], np.int32)},
        lambda x, i: mb.gather_nd(x=x, indices=i),
        lambda x, i: np.stack([x[1, 2], x[0, 1]]),
    ),
    "scatter": (
        {"x": X, "i": np.array([2, 2, 0], np.int32), "u": P},
        lambda x, i, u: mb.scatter(data=x, indices=i, updates=u, axis=1, mode="add"),
        lambda x, i, u: x + np.stack([u[:, 2], 0 * u[:, 1], u[:, 0] + u[:, 1]], 1),
    ),
    "scatter_along_axis": (
        {"x": X, "i": ALONG[:, :1], "u": P[:, :1]},
        lambda x, i, u: mb.scatter_along_axis(data=x, indices=i, updates=u, axis=1, mode="update"),
        lambda x, i, u: _put_along_axis(x, i, u, 1),
    ),
    "scatter_nd": (
        {"x": X, "i": np.array([[1, 2], [0, 1]], np.int32), "u": P[0, :2]},
        lambda x, i, u: mb.scatter_nd(data=x, indices=i, updates=u, mode="max"),
        lambda x, i, u: _max_at(x, u),
    ),
    "band_part": ({"x": X}, lambda x: mb.band_part(x=x, lower=0, upper=1), lambda x: np.triu(np.tril(x, 1))),
    "cumsum": (
        {"x": X},
        lambda x: mb.cumsum(x=x, axis=2, exclusive=True, reverse=True),
        lambda x: np.cumsum(x[..., ::-1], 2)[..., ::-1] - x,
    ),
    "fill": (
        {"x": N},
        lambda x: mb.add(x=x, y=mb.fill(shape=np.array([3, 1], np.int32), value=np.int32(7))),
        lambda x: x + 7,
    ),
    "one_hot": (
        {"x": INDICES},
        lambda x: mb.one_hot(indices=x, one_hot_vector_size=3, axis=1, on_value=f32(2.0), off_value=f32(-1.0)),
        lambda x: np.where(x[:, None] == np.arange(3)[:, None], 2.0, -1.0),
    ),
    "pad": (
        {"x": X},
        lambda x: mb.pad(x=x, pad=[1, 2, 0, 3], mode="constant", constant_val=f32(4.0)),
        lambda x: np.pad(x, [(0, 0), (1, 2), (0, 3)], constant_values=4),
    ),
    "pad reflect": (
        {"x": X},
        lambda x: mb.pad(x=x, pad=[1, 2], mode="reflect"),
        lambda x: np.pad(x, [(0, 0), (0, 0), (1, 2)], mode="reflect"),
    ),
    "pad replicate": (
        {"x": X},
        lambda x: mb.pad(x=x, pad=[1, 2], mode="replicate"),
        lambda x: np.pad(x, [(0, 0), (0, 0), (1, 2)], mode="edge"),
    ),
    "range_1d": (
        {"x": np.arange(3, dtype=np.float32)},
        lambda x: mb.add(x=x, y=mb.range_1d(start=f32(1.0), end=f32(2.4), step=f32(0.5))),
        lambda x: x + f32(1.0, 1.5, 2.0),
    ),
    "tile": ({"x": X}, lambda x: mb.tile(x=x, reps=[2, 1, 3]), lambda x: np.tile(x, (2, 1, 3))),
    "argsort": ({"x": X}, lambda x: mb.argsort(x=x, axis=1, ascending=True), lambda x: x.argsort(1)),
    "topk": ({"x": X}, lambda x: mb.topk(x=x, k=2, axis=1)[0], lambda x: -np.sort(-x, 1)[:, :2]),
    "flatten2d": ({"x": X}, lambda x: mb.flatten2d(x=x, axis=1), lambda x: x.reshape(2, 12)),
    "concat": (
        {"x": X, "y": P},
        lambda x, y: mb.concat(values=(x, y), axis=-1),
        lambda x, y: np.concatenate((x, y), -1),
    ),
    "split": ({"x": X}, lambda x: mb.split(x=x, split_sizes=[1, 3], axis=2)[1], lambda x: x[..., 1:]),
    "stack": ({"x": X, "y": P}, lambda x, y: mb.stack(values=(x, y), axis=1), lambda x, y: np.stack((x, y), 1)),
    "reshape": ({"x": X}, lambda x: mb.reshape(x=x, shape=[2, -1, 2]), lambda x: x.reshape(2, 6, 2)),
    "reshape inheriting": ({"x": X}, lambda x: mb.reshape(x=x, shape=[0, 1, -1, 0]), lambda x: x.reshape(1, 1, 6, 4)),
    "expand_dims": ({"x": X}, lambda x: mb.expand_dims(x=x, axes=[-1, 0]), lambda x: x[None, ..., None]),
    "transpose": ({"x": X}, lambda x: mb.transpose(x=x, perm=[1, 2, 0]), lambda x: x.transpose(1, 2, 0)),
    "reverse_sequence": (
        {"x": X},
        lambda x: mb.reverse_sequence(x=x, lengths=np.array([2, 3], np.int32), seq_axis=1, batch_axis=0),
        lambda x: np.stack([x[0][[1, 0, 2]], x[1][[2, 1, 0]]]),
    ),
    "slice_by_index": (
        {"x": X},
        lambda x: mb.slice_by_index(
            x=x,
            begin=[1, 2, 0],
            end=[0, 0, 3],
            stride=[1, -1, 2],
            begin_mask=[False, False, True],
            squeeze_mask=[True, False, False],
        ),
        lambda x: x[1, 2:0:-1, :3:2],
    ),
    "slice_by_size": (
        {"x": X},
        lambda x: mb.slice_by_size(x=x, begin=np.array([0, 1, 1], np.int32), size=np.array([2, -1, 2], np.int32)),
        lambda x: x[:, 1:, 1:3],
    ),
    "sliding_windows": (
        {"x": X},
        lambda x: mb.sliding_windows(x=x, axis=2, size=2, stride=2),
        lambda x: np.stack([x[..., :2], x[..., 2:]], 2),
    ),
    "depth_to_space": (
        {"x": IMAGE},
        lambda x: mb.depth_to_space(x=x, block_size=2),
        lambda x: x.reshape(2, 2, 2, 1, 7, 6).transpose(0, 3, 4, 1, 5, 2).reshape(2, 1, 14, 12),
    ),
    "pixel_shuffle": (
        {"x": IMAGE},
        lambda x: mb.pixel_shuffle(x=x, upscale_factor=2),
        lambda x: x.reshape(2, 1, 2, 2, 7, 6).transpose(0, 1, 4, 2, 5, 3).reshape(2, 1, 14, 12),
    ),
    "upsample_nearest_neighbor": (
        {"x": X},
        lambda x: mb.upsample_nearest_neighbor(x=x, scale_factor_height=2, scale_factor_width=3),
        lambda x: x.repeat(2, 1).repeat(3, 2),
    ),
    "resize_nearest_neighbor": (
        {"x": X},
        lambda x: mb.resize_nearest_neighbor(x=x, target_size_height=6, target_size_width=4),
        lambda x: x.repeat(2, 1),
    ),
    "resize_bilinear": (  # the first row of the grid points that the documentation lists
        {"x": np.array([[[0, 1]]], np.float32)},
        lambda x: mb.resize_bilinear(x=x, target_size_height=1, target_size_width=5, sampling_mode="UNALIGN_CORNERS"),
        lambda x: np.array([[[0.0, 0.1, 0.5, 0.9, 1.0]]]),
    ),
    "resize_bilinear aligned": (
        {"x": np.array([[[0, 1]]], np.float32)},
        lambda x: mb.resize_bilinear(x=x, target_size_height=1, target_size_width=5, sampling_mode="ALIGN_CORNERS"),
        lambda x: np.array([[[0.0, 0.25, 0.5, 0.75, 1.0]]]),
    ),
    "resize_bilinear default": (
        {"x": np.array([[[0, 1]]], np.float32)},
        lambda x: mb.resize_bilinear(x=x, target_size_height=1, target_size_width=5),
        lambda x: np.array([[[0.0, 0.4, 0.8, 1.0, 1.0]]]),
    ),
    "resize_bilinear offset": (
        {"x": np.array([[[0, 1]]], np.float32)},
        lambda x: mb.resize_bilinear(x=x, target_size_height=1, target_size_width=5, sampling_mode="OFFSET_CORNERS"),
        lambda x: np.array([[[0.1, 0.3, 0.5, 0.7, 0.9]]]),
    ),
    "upsample_bilinear": (
        {"x": np.array([[[0, 1]]], np.float32)},
        lambda x: mb.upsample_bilinear(x=x, scale_factor_height=1, scale_factor_width=3, align_corners=False),
        lambda x: np.array([[[0.0, 0.0, 1 / 3, 2 / 3, 1.0, 1.0]]]),
    ),
    "resize": (
        {"x": np.array([[[0, 1]]], np.float32)},
        lambda x: mb.resize(x=x, shape=[0, 5], resized_dims=np.uint32(2), sampling_mode="UNALIGN_CORNERS"),
        lambda x: np.array([[[0.0, 0.1, 0.5, 0.9, 1.0]]]),
    ),
    "crop": (
        {"x": X},
        lambda x: mb.crop(x=x, crop_height=[1, 0], crop_width=[0, 2]),
        lambda x: x[:, 1:, :2],
    ),
    "resample": (
        {"x": IMAGE[:1], "c": np.array([[[[0.5, 1.0], [5.0, 2.25]]]], np.float32)},
        lambda x, c: mb.resample(
            x=x,
            coordinates=c,
            sampling_mode="bilinear",
            padding_mode="border",
            padding_value=f32(0.0),
            coordinates_mode="unnormalized",
            align_corners=True,
        ),
        lambda x, c: np.stack([(x[:, :, 1, 0] + x[:, :, 1, 1]) / 2, 0.75 * x[:, :, 2, 5] + 0.25 * x[:, :, 3, 5]], -1)[
            :, :, None
        ],
    ),
    "quantize": (
        {"x": X},
        lambda x: mb.cast(
            x=mb.quantize(
                input=x,
                scale=f32(0.1, 0.2, 0.3),
                zero_point=np.array([1, 2, 3], np.uint8),
                axis=1,
                output_dtype="uint8",
            ),
            dtype="int32",
        ),
        lambda x: np.clip(np.round(x / f32(0.1, 0.2, 0.3).reshape(3, 1)) + f32(1, 2, 3)[:, None], 0, 255),
    ),
    "constexpr_affine_dequantize": (
        {"x": X},
        lambda x: mb.mul(
            x=x,
            y=mb.constexpr_affine_dequantize(
                quantized_data=np.arange(12, dtype=np.int8).reshape(3, 4),
                zero_point=np.array([1, 2, 3], np.int8),
                scale=f32(0.5, 0.25, 2.0),
                axis=0,
            ),
        ),
        lambda x: x * (np.arange(12).reshape(3, 4) - [[1], [2], [3]]) * [[0.5], [0.25], [2.0]],
    ),
    "dequantize": (
        {"x": X},
        lambda x: mb.dequantize(
            input=mb.quantize(input=x, scale=f32(0.5), output_dtype="int8"), zero_point=np.int8(3), scale=f32(0.25)
        ),
        lambda x: (np.round(x / 0.5) - 3) * 0.25,
    ),
}
"""Inputs, the program, and what it gives by NumPy."""

for _name, (_array, _function) in UNARY.items():
    CASES[_name] = ({"x": _array}, lambda x, name=_name: getattr(mb, name)(x=x), _function)
for _name, _binary in BINARY.items():
    CASES[f"{_name} float"] = ({"x": X, "y": Y}, lambda x, y, name=_name: getattr(mb, name)(x=x, y=y), _binary)
    if _name != "real_div":
        CASES[f"{_name} int"] = ({"x": N, "y": J}, lambda x, y, name=_name: getattr(mb, name)(x=x, y=y), _binary)
for _name, _binary in COMPARED.items():
    CASES[_name] = (
        {"x": N, "y": N[:1]},
        lambda x, y, name=_name: mb.cast(x=getattr(mb, name)(x=x, y=y), dtype="int32"),
        _binary,
    )


def _put_along_axis(x: Array, i: Array, u: Array, axis: int) -> Array:
    result = x.copy()
    np.put_along_axis(result, i, u, axis)
    return result


def _max_at(x: Array, u: Array) -> Array:
    result = x.copy()
    result[1, 2] = np.maximum(x[1, 2], u[0])
    result[0, 1] = np.maximum(x[0, 1], u[1])
    return result


@pytest.mark.parametrize("name", CASES)
def test_an_operator_computes_what_its_documentation_says(name: str, tmp_path: Path) -> None:
    inputs, build, expected = CASES[name]
    package = saved(tmp_path / "x.mlpackage", build, inputs)
    operations = {operation.type for operation in package.block.operations}
    assert name.split(maxsplit=1)[0] in operations | {"logical"}
    (output,) = run(package, inputs).values()
    np.testing.assert_allclose(output, expected(*inputs.values()), rtol=1e-5, atol=1e-6)


def test_every_operator_has_a_case() -> None:
    """Or a reason: it is in no program that this builder makes, or a test of its own has it."""
    tested = {name.split()[0] for name in CASES}
    elsewhere = {"logical_and", "logical_or", "logical_xor", "logical_not", "rnn", "softplus_parametric", "fill_like"}
    assert set(OPERATORS) - tested - elsewhere == {"scaled_dot_product_attention", "slice_update"}  # iOS 18


def test_a_program_of_ios_18_has_its_operators(tmp_path: Path) -> None:
    query, key, value = (_rng.normal(size=size).astype(np.float32) for size in ((2, 3, 4), (2, 5, 4), (2, 5, 6)))
    inputs = {"q": query, "k": key, "v": value}

    def build(q: Any, k: Any, v: Any) -> Any:
        found = mb.scaled_dot_product_attention(query=q, key=k, value=v)
        return mb.slice_update(
            x=found, update=mb.slice_by_size(x=v, begin=[0, 0, 0], size=[2, 1, 6]), begin=[0] * 3, end=[2, 1, 6]
        )

    package = saved(tmp_path / "x.mlpackage", build, inputs, "iOS18")
    (output,) = run(package, inputs).values()
    scores = np.exp(query @ key.transpose(0, 2, 1) / 2)
    expected = scores / scores.sum(-1, keepdims=True) @ value
    expected[:, :1] = value[:, :1]
    np.testing.assert_allclose(output, expected, rtol=1e-5)
    package.function.opset = "CoreML7"
    package.function.block_specializations["CoreML7"].CopyFrom(package.function.block_specializations["CoreML8"])
    del package.function.block_specializations["CoreML8"]
    with pytest.raises(ProgramError, match="iOS 17 has no operator of this name"):
        run(package, inputs)


def test_a_bidirectional_lstm_is_two(tmp_path: Path) -> None:
    inputs = {"x": S, "h": np.tile(STATE, 2), "c": np.tile(CELL, 2)}

    def build(x: Any, h: Any, c: Any) -> Any:
        back = {"weight_ih_back": WX * 2, "weight_hh_back": WH * 2, "bias_back": B * 2}
        return mb.lstm(
            x=x, initial_h=h, initial_c=c, weight_ih=WX, weight_hh=WH, bias=B, direction="bidirectional",
            output_sequence=True, **back,
        )  # fmt: skip

    one = {"x": S[::-1], "h": STATE, "c": CELL}
    hidden, last, _ = run(saved(tmp_path / "both.mlpackage", build, inputs), inputs).values()

    def alone(x: Any, h: Any, c: Any) -> Any:
        return mb.lstm(
            x=x, initial_h=h, initial_c=c, weight_ih=WX * 2, weight_hh=WH * 2, bias=B * 2, output_sequence=True
        )

    backward = next(iter(run(saved(tmp_path / "one.mlpackage", alone, one), one).values()))
    np.testing.assert_allclose(hidden[..., 4:], backward[::-1], rtol=1e-6)
    np.testing.assert_allclose(hidden[-1:, :, :4], _lstm(S, STATE, CELL), rtol=1e-5)
    np.testing.assert_allclose(last, np.concatenate([hidden[-1, :, :4], hidden[0, :, 4:]], -1))


UNDOCUMENTED: Final[dict[str, Case]] = {
    "an integer is divided by zero": ({"x": N}, lambda x: mb.floor_div(x=x, y=np.int32(0)), np.abs),
    "how they are rounded is not said": ({"x": N}, lambda x: mb.real_div(x=x, y=np.int32(100)), np.abs),
    "leaves the range of int32": ({"x": N}, lambda x: mb.mul(x=x, y=np.int32(2**31 - 1)), np.abs),
    "leaves the range of int8": (
        {"x": X * 1000},
        lambda x: mb.cast(x=mb.cast(x=x, dtype="int8"), dtype="int32"),
        np.abs,
    ),
    "an index of -1": ({"x": X}, lambda x: mb.gather(x=x, indices=np.array([0, -1], np.int32), axis=1), np.abs),
    "an index of 0 to 3": (
        {"x": X},
        lambda x: mb.gather_along_axis(x=x, indices=np.array([[[3, 0, 0, 0]]] * 2, np.int32), axis=1),
        np.abs,
    ),
    "which update wins": (
        {"x": X, "u": P[0, :2]},
        lambda x, u: mb.scatter_nd(data=x, indices=np.array([[1, 2], [1, 2]], np.int32), updates=u, mode="update"),
        np.abs,
    ),
    "equally far": (
        {"x": X},
        lambda x: mb.resize(
            x=x,
            shape=[2],
            resized_dims=np.uint32(1),
            interpolation_mode="NEAREST_NEIGHBOR",
            sampling_mode="UNALIGN_CORNERS",
        ),
        np.abs,
    ),
    "a mask of begin or end": (
        {"x": X},
        lambda x: mb.slice_by_index(
            x=x, begin=[0] * 3, end=[2, 3, 1], stride=[1, 1, -1], begin_mask=[False, False, True]
        ),
        np.abs,
    ),
    "pad_type same": (
        {"x": IMAGE},
        lambda x: mb.max_pool(x=x, kernel_sizes=[3, 2], strides=[2, 2], pad_type="same"),
        np.abs,
    ),
}


@pytest.mark.parametrize("message", UNDOCUMENTED)
def test_what_the_documentation_does_not_say_is_refused(message: str, tmp_path: Path) -> None:
    inputs, build, _ = UNDOCUMENTED[message]
    package = saved(tmp_path / "x.mlpackage", build, inputs)
    with pytest.raises(UndocumentedError, match=message):
        run(package, inputs)


def test_of_equal_values_the_last_is_taken(tmp_path: Path) -> None:
    """So that a model which relies on the first is found out: the documentation promises neither."""
    inputs = {"x": np.array([[1, 3, 3]], np.float32)}
    build = lambda x: (mb.reduce_argmax(x=x, axis=1), mb.argsort(x=x, axis=1))  # noqa: E731
    place, order = run(saved(tmp_path / "x.mlpackage", build, inputs), inputs).values()
    assert place.tolist() == [2]
    assert order.tolist() == [[2, 1, 0]]


def test_maximum_of_nan_is_the_second_operand_as_the_formula_says(tmp_path: Path) -> None:
    """Documented is `x > y ? x : y`. coremltools computes constants with `np.maximum`, which keeps every NaN."""
    inputs = {"x": f32(np.nan, 1.0), "y": f32(1.0, np.nan)}
    build = lambda x, y: (mb.maximum(x=x, y=y), mb.minimum(x=x, y=y))  # noqa: E731
    highest, lowest = run(saved(tmp_path / "x.mlpackage", build, inputs), inputs).values()
    np.testing.assert_array_equal(highest, f32(1.0, np.nan))
    np.testing.assert_array_equal(lowest, f32(np.nan, 1.0))


def _simple(tmp_path: Path) -> tuple[Package, dict[str, Array]]:
    inputs = {"x": X}
    weight = np.arange(16, dtype=np.float32).reshape(4, 4)
    build = lambda x: mb.clip(x=mb.matmul(x=x, y=weight), alpha=f32(0.0), beta=f32(6.0), name="y")  # noqa: E731
    return saved(tmp_path / "x.mlpackage", build, inputs), inputs


def _operation(package: Package, type: str) -> Any:
    (found,) = (operation for operation in package.block.operations if operation.type == type)
    return found


def _wrong_shape(package: Package) -> None:
    _operation(package, "clip").outputs[0].type.tensorType.dimensions[0].constant.size = 3


def _wrong_type(package: Package) -> None:
    _operation(package, "clip").outputs[0].type.tensorType.dataType = 10  # FLOAT16


def _no_beta(package: Package) -> None:
    del _operation(package, "clip").inputs["beta"]


def _gamma(package: Package) -> None:
    _operation(package, "clip").inputs["gamma"].CopyFrom(_operation(package, "clip").inputs["beta"])


def _not_constant(package: Package) -> None:
    _operation(package, "clip").inputs["beta"].arguments[0].name = "x"


def _later(package: Package) -> None:
    _operation(package, "matmul").inputs["x"].arguments[0].name = "y"


def _twice(package: Package) -> None:
    _operation(package, "clip").outputs[0].name = "x"


def _unknown(package: Package) -> None:
    _operation(package, "clip").type = "clap"


def _string(package: Package) -> None:
    for operation in package.block.operations:
        if operation.type == "const" and operation.outputs[0].name == "y_beta_0":
            operation.attributes["val"].type.tensorType.dataType = 23  # INT32


def _swapped(package: Package) -> None:
    given = _operation(package, "clip").inputs
    low, high = given["alpha"].arguments[0].name, given["beta"].arguments[0].name
    given["alpha"].arguments[0].name, given["beta"].arguments[0].name = high, low


def _offset(package: Package) -> None:
    for operation in package.block.operations:
        if operation.attributes["val"].WhichOneof("value") == "blobFileValue":
            operation.attributes["val"].blobFileValue.offset = 128


BROKEN: Final[dict[str, Callable[[Package], None]]] = {
    r"clip y: the result is fp32\[2, 3, 4\], declared is fp32\[3, 3, 4\]": _wrong_shape,
    r"the result is fp32\[2, 3, 4\], declared is fp16": _wrong_type,
    "clip y: beta is missing": _no_beta,
    "there is no parameter gamma": _gamma,
    "clip y: beta must be a constant": _not_constant,
    "matmul .*: the value y is not computed before it": _later,
    "clip x: a value of this name is there already": _twice,
    "iOS 17 has no operator of this name": _unknown,
    "is in the field floats, not ints": _string,
    r"alpha \(6.0\) is not less than beta \(0.0\)": _swapped,
    "no metadata is at 128": _offset,
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_broken_program_is_refused_with_its_operation(message: str, tmp_path: Path) -> None:
    package, inputs = _simple(tmp_path)
    run(package, inputs)
    BROKEN[message](package)
    with pytest.raises(ProgramError, match=message):
        run(package, inputs)


def test_inputs_must_be_those_of_the_model(tmp_path: Path) -> None:
    package, _ = _simple(tmp_path)
    with pytest.raises(ProgramError, match=r"the inputs are \['z'\], the model has \['x'\]"):
        run(package, {"z": X})
    with pytest.raises(ProgramError, match=r"the input x is float64\[2, 3, 4\], declared is fp32"):
        run(package, {"x": X.astype(np.float64)})


def test_a_select_that_broadcasts_is_declared_wrongly_by_coremltools(tmp_path: Path) -> None:
    """The shape is that of a and b broadcast, documented is that of all three."""
    inputs = {"c": X, "a": f32(1.0)[None, None, None]}
    build = lambda c, a: mb.select(cond=mb.greater(x=c, y=f32(0.0)), a=a, b=a)  # noqa: E731
    with pytest.raises(ProgramError, match=r"the result is fp32\[2, 3, 4\], declared is fp32\[1, 1, 1\]"):
        run(saved(tmp_path / "x.mlpackage", build, inputs), inputs)
