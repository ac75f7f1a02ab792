"""Operators of `normalization.py`."""

from __future__ import annotations

import numpy as np

from tests.coreml.interpreter.activation import channels
from tests.coreml.interpreter.datatypes import Array, wide
from tests.coreml.interpreter.signatures import FLOAT, UndocumentedError, operator, require


def _scaled(x: Array, gamma: Array | None, beta: Array | None) -> Array:
    scaled = x if gamma is None else x * channels(gamma, x)
    return scaled if beta is None else scaled + channels(beta, x)


@operator(
    "batch_norm(x: T, mean: const U[], variance: const U[], gamma: const U[] = None, beta: const U[] = None,"
    " epsilon: const U = 1e-5) -> T",
    T=FLOAT,
    U=FLOAT,
)
def batch_norm(
    x: Array, *, mean: Array, variance: Array, gamma: Array | None, beta: Array | None, epsilon: float
) -> Array:
    require(3 <= x.ndim <= 5, f"x has the rank {x.ndim}, not 3 to 5")
    return _scaled((wide(x) - channels(mean, x)) / np.sqrt(channels(variance, x) + epsilon), gamma, beta)


@operator(
    "instance_norm(x: T, gamma: const U[] = None, beta: const U[] = None, epsilon: const U = 1e-5) -> T",
    T=FLOAT,
    U=FLOAT,
)
def instance_norm(x: Array, gamma: Array | None, beta: Array | None, epsilon: float) -> Array:
    require(3 <= x.ndim <= 4, f"x has the rank {x.ndim}, not 3 or 4")
    return _scaled(_normalized(wide(x), tuple(range(2, x.ndim)), epsilon), gamma, beta)


@operator(
    "layer_norm(x: T, axes: const int32[] = None, gamma: const U[*] = None, beta: const U[*] = None,"
    " epsilon: const U = 1e-5) -> T",
    T=FLOAT,
    U=FLOAT,
)
def layer_norm(x: Array, axes: Array | None, gamma: Array | None, beta: Array | None, epsilon: float) -> Array:
    chosen = list(range(x.ndim)) if axes is None else [int(axis) for axis in axes]
    require(all(-x.ndim <= axis < x.ndim for axis in chosen), f"the axes {chosen} of the rank {x.ndim}")
    places = [axis % x.ndim for axis in chosen]
    require(len(set(places)) == len(places), f"an axis is twice in {chosen}")
    if places != sorted(places) and (gamma is not None or beta is not None):
        raise UndocumentedError(f"the order of the dimensions of gamma and beta for the axes {chosen}")
    shape = [x.shape[axis] if axis in places else 1 for axis in range(x.ndim)]
    result = _normalized(wide(x), tuple(places), epsilon)
    for parameter in (gamma, beta):
        wanted = tuple(x.shape[axis] for axis in places)
        require(parameter is None or parameter.shape == wanted, f"gamma and beta must have the shape {list(wanted)}")
    if gamma is not None:
        result = result * wide(gamma).reshape(shape)
    return result if beta is None else result + wide(beta).reshape(shape)


def _normalized(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    centered = x - x.mean(axes, keepdims=True)
    result: Array = centered / np.sqrt(np.square(centered).mean(axes, keepdims=True) + epsilon)
    return result


@operator("l2_norm(x: T, epsilon: const U = 1e-6) -> T", T=FLOAT, U=FLOAT)
def l2_norm(x: Array, epsilon: float) -> Array:
    require(x.ndim >= 3, f"x has the rank {x.ndim}, not 3 or more")
    return wide(x) / np.sqrt(np.square(wide(x)).sum((-3, -2, -1), keepdims=True) + epsilon)


@operator(
    "local_response_norm(x: T, size: const int32, alpha: const U = 1e-4, beta: const U = 0.75, k: const U = 1.0) -> T",
    T=FLOAT,
    U=FLOAT,
)
def local_response_norm(x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    require(3 <= x.ndim <= 4, f"x has the rank {x.ndim}, not 3 or 4")
    if size % 2 == 0:
        raise UndocumentedError("the neighbours of a channel where size is even")
    squares = np.pad(np.square(wide(x)), [(0, 0), (size // 2, size // 2), *[(0, 0)] * (x.ndim - 2)])
    total = sum(squares[:, start : start + x.shape[1]] for start in range(size))
    result: Array = wide(x) / (k + alpha / size * total) ** beta
    return result
