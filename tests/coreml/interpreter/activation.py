"""Operators of `activation.py`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.coreml.interpreter.datatypes import Array, wide
from tests.coreml.interpreter.elementwise import _erf
from tests.coreml.interpreter.signatures import FLOAT, ProgramError, operator, require


def sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, 1.0) / (1.0 + small)


def _activation(signature: str, function: Callable[..., Array]) -> None:
    @operator(f"{signature} -> T", T=FLOAT, U=FLOAT)
    def apply(x: Array, **parameters: float) -> Array:
        return function(wide(x), **parameters)


_activation("relu(x: T)", lambda x: np.where(x < 0, 0, x))
_activation("relu6(x: T)", lambda x: np.where(x < 0, 0, np.where(x > 6, 6, x)))
_activation("sigmoid(x: T)", sigmoid)
_activation("silu(x: T)", lambda x: x * sigmoid(x))
_activation("softplus(x: T)", lambda x: np.logaddexp(0, x))
_activation("softsign(x: T)", lambda x: x / (1 + np.abs(x)))
_activation("elu(x: T, alpha: const U)", lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)))
_activation("leaky_relu(x: T, alpha: const U)", lambda x, alpha: np.where(x >= 0, x, alpha * x))
_activation("thresholded_relu(x: T, alpha: const U)", lambda x, alpha: np.where(x >= alpha, x, 0))
_activation("linear_activation(x: T, alpha: const U, beta: const U)", lambda x, alpha, beta: x * alpha + beta)
_activation("scaled_tanh(x: T, alpha: const U, beta: const U)", lambda x, alpha, beta: alpha * np.tanh(beta * x))
_activation(
    "sigmoid_hard(x: T, alpha: const U, beta: const U)",
    lambda x, alpha, beta: np.minimum(np.maximum(alpha * x + beta, 0), 1),
)
_activation(
    "clamped_relu(x: T, alpha: const U, beta: const U)",
    lambda x, alpha, beta: np.minimum(beta, np.where(x >= 0, x, alpha * x)),
)


@operator("gelu(x: T, mode: const string = 'EXACT') -> T", T=FLOAT)
def gelu(x: Array, mode: str) -> Array:
    values = wide(x)
    match mode:
        case "EXACT":
            return 0.5 * values * (1 + _erf(values / np.sqrt(2)))
        case "TANH_APPROXIMATION":
            return 0.5 * values * (1 + np.tanh(np.sqrt(2 / np.pi) * (values + 0.044715 * values**3)))
        case "SIGMOID_APPROXIMATION":
            return values * sigmoid(1.702 * values)
    raise ProgramError(f"there is no mode {mode}")


def channels(vector: Array, x: Array) -> Array:
    """A vector with one element for each channel of `x`, ready for broadcasting."""
    require(vector.shape == (x.shape[1],), f"{list(vector.shape)} parameters for {x.shape[1]} channels")
    return wide(vector).reshape(-1, *[1] * (x.ndim - 2))


@operator("prelu(x: T, alpha: const U[]) -> T", T=FLOAT, U=FLOAT)
def prelu(x: Array, alpha: Array) -> Array:
    require(3 <= x.ndim <= 5, f"x has the rank {x.ndim}, not 3, 4 or 5")
    require(x.ndim == 4 or np.ptp(alpha) <= 1e-5, f"x has the rank {x.ndim}: all values of alpha must be the same")
    return np.where(x > 0, wide(x), channels(alpha, x) * wide(x))


@operator("softplus_parametric(x: T, alpha: const U[], beta: const U[]) -> T", T=FLOAT, U=FLOAT)
def softplus_parametric(x: Array, alpha: Array, beta: Array) -> Array:
    require(x.ndim >= 3, f"x has the rank {x.ndim}, not 3 or more")
    return channels(alpha, x) * np.logaddexp(0, channels(beta, x) * wide(x))


@operator("softmax(x: T, axis: const int32 = -1) -> T", T=FLOAT)
def softmax(x: Array, axis: int) -> Array:
    require(-x.ndim <= axis < x.ndim, f"the axis {axis} of the rank {x.ndim}")
    powers = np.exp(wide(x) - wide(x).max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)
