"""Operators of `elementwise_binary.py` and `elementwise_unary.py`, and `select`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from tests.coreml.interpreter.datatypes import DTYPES, Array, wide
from tests.coreml.interpreter.signatures import (
    FLOAT,
    NUMBER,
    NUMBER_OR_BOOL,
    SMALL,
    ProgramError,
    Typed,
    UndocumentedError,
    operator,
    require,
)

_NAMES: Final = {dtype: name for name, dtype in DTYPES.items()}


def broadcast(*arrays: Array) -> list[Array]:
    """The arrays in their common shape, by NumPy's rules, which the documentation refers to."""
    try:
        return list(np.broadcast_arrays(*arrays))
    except ValueError:
        raise ProgramError(f"the shapes {[list(array.shape) for array in arrays]} are not compatible") from None


def _binary(
    name: str, function: Callable[[Array, Array], Array], result: str = "T", types: tuple[str, ...] = NUMBER
) -> None:
    @operator(f"{name}(x: T, y: T) -> {result}", T=types)
    def apply(x: Array, y: Array) -> Array:
        return function(*broadcast(wide(x), wide(y)))


def _nonzero_divisor(x: Array, y: Array) -> None:
    if x.dtype.kind == "i" and not y.all():
        raise UndocumentedError("an integer is divided by zero")


def _real_div(x: Array, y: Array) -> Array:
    """Of integers only where the quotient is one: how others are rounded is not said."""
    _nonzero_divisor(x, y)
    return np.true_divide(x, y)


def _floor_div(x: Array, y: Array) -> Array:
    _nonzero_divisor(x, y)
    return x // y if x.dtype.kind == "i" else np.floor(x / y)


def _mod(x: Array, y: Array) -> Array:
    """`%` as in Python: coremltools lowers TensorFlow's FloorMod and PyTorch's `remainder` to it, and `fmod` not."""
    _nonzero_divisor(x, y)
    return np.remainder(x, y)


def _pow(x: Array, y: Array) -> Array:
    if x.dtype.kind == "i" and np.any(y < 0):
        raise UndocumentedError("an integer to a negative power")
    # Of integers too: every power that fits in 32 bits is exact.
    return np.power(x.astype(np.float64), y.astype(np.float64))


_binary("add", np.add)
_binary("sub", np.subtract)
_binary("mul", np.multiply)
_binary("real_div", _real_div)
_binary("floor_div", _floor_div)
_binary("mod", _mod)
_binary("pow", _pow)
# "x > y ? x : y", which takes y where x is NaN.
_binary("maximum", lambda x, y: np.where(x > y, x, y))
_binary("minimum", lambda x, y: np.where(x > y, y, x))
_binary("equal", np.equal, "bool")
_binary("not_equal", np.not_equal, "bool")
_binary("greater", np.greater, "bool")
_binary("greater_equal", np.greater_equal, "bool")
_binary("less", np.less, "bool")
_binary("less_equal", np.less_equal, "bool")
_binary("logical_and", np.logical_and, "bool", ("bool",))
_binary("logical_or", np.logical_or, "bool", ("bool",))
_binary("logical_xor", np.logical_xor, "bool", ("bool",))


def _unary(name: str, function: Callable[[Array], Array], types: tuple[str, ...] = FLOAT) -> None:
    @operator(f"{name}(x: T) -> T", T=types)
    def apply(x: Array) -> Array:
        return np.asarray(function(wide(x)))


_erf: Final = np.vectorize(math.erf, otypes=[np.float64])

_unary("abs", np.abs, NUMBER)
_unary("sign", np.sign, NUMBER)
_unary("square", np.square, NUMBER)
_unary("exp2", np.exp2, NUMBER)
_unary("acos", np.arccos)
_unary("asin", np.arcsin)
_unary("atan", np.arctan)
_unary("atanh", np.arctanh)
_unary("ceil", np.ceil)
_unary("cos", np.cos)
_unary("cosh", np.cosh)
_unary("erf", lambda x: _erf(x) if x.size else x)
_unary("exp", np.exp)
_unary("floor", np.floor)
_unary("round", np.round)  # 0.5 becomes 0: halves go to the even neighbour
_unary("sin", np.sin)
_unary("sinh", np.sinh)
_unary("sqrt", np.sqrt)
_unary("tan", np.tan)
_unary("tanh", np.tanh)


@operator("logical_not(x: bool) -> bool")
def logical_not(x: Array) -> Array:
    return np.logical_not(x)


@operator("clip(x: T, alpha: const T, beta: const T) -> T", T=FLOAT)
def clip(x: Array, alpha: float, beta: float) -> Array:
    require(alpha < beta, f"alpha ({alpha}) is not less than beta ({beta})")
    values = wide(x)
    return np.where(values < alpha, alpha, np.where(values > beta, beta, values))


@operator("threshold(x: T, alpha: const T) -> T", T=NUMBER)
def threshold(x: Array, alpha: float) -> Array:
    return np.where(wide(x) < alpha, alpha, wide(x))


@operator("inverse(x: T, epsilon: const U = 1e-4) -> T", T=FLOAT, U=FLOAT)
def inverse(x: Array, epsilon: float) -> Array:
    return 1.0 / (wide(x) + epsilon)


@operator("log(x: T, epsilon: const U = 1e-45) -> T", T=FLOAT, U=FLOAT)
def log(x: Array, epsilon: float) -> Array:
    return np.log(wide(x) + epsilon)


@operator("rsqrt(x: T, epsilon: const U = 1e-12) -> T", T=FLOAT, U=FLOAT)
def rsqrt(x: Array, epsilon: float) -> Array:
    return 1.0 / np.sqrt(wide(x) + epsilon)


@operator("cast(x: T, dtype: const string)", T=(*NUMBER_OR_BOOL, *SMALL))
def cast(x: Array, dtype: str) -> Typed:
    """A fraction is cut off; what the target does not have is not documented."""
    require(dtype in (*NUMBER_OR_BOOL, *SMALL), f"there is no cast to {dtype}")
    wanted = DTYPES[dtype]
    if dtype == "bool":
        return Typed(x != 0, dtype)
    if x.dtype.kind == "f" and wanted.kind in "iu":
        return Typed(np.trunc(wide(x)), dtype)
    return Typed(x.astype(np.int64) if x.dtype.kind == "b" else wide(x), dtype)


@operator("select(cond: bool, a: T, b: T) -> T", T=NUMBER_OR_BOOL)
def select(cond: Array, a: Array, b: Array) -> Array:
    return np.where(*broadcast(cond, a, b))
