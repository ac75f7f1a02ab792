"""Operators of `reduction.py`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.coreml.interpreter.datatypes import Array, wide
from tests.coreml.interpreter.signatures import NUMBER, Typed, operator, require


def _reduction(name: str, function: Callable[..., Array]) -> None:
    @operator(f"{name}(x: T, axes: const int32[] = None, keep_dims: const bool = False) -> T", T=NUMBER)
    def apply(x: Array, axes: Array | None, keep_dims: bool) -> Array:
        require(x.ndim >= 1, "x must be 1-dimensional or higher")
        chosen = range(x.ndim) if axes is None else [int(axis) for axis in axes]
        require(all(-x.ndim <= axis < x.ndim for axis in chosen), f"the axes {list(chosen)} of the rank {x.ndim}")
        require(len({axis % x.ndim for axis in chosen}) == len(chosen), f"an axis is twice in {list(chosen)}")
        return np.asarray(function(wide(x), axis=tuple(chosen), keepdims=keep_dims))


def _log_sum_exp(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
    highest = x.max(axis, keepdims=True)
    highest = np.where(np.isfinite(highest), highest, 0)
    total: Array = np.log(np.exp(x - highest).sum(axis, keepdims=True)) + highest
    return total if keepdims else total.squeeze(axis)


_reduction("reduce_sum", np.sum)
_reduction("reduce_mean", np.mean)
_reduction("reduce_prod", np.prod)
_reduction("reduce_max", np.max)
_reduction("reduce_min", np.min)
_reduction("reduce_l1_norm", lambda x, **options: np.sum(np.abs(x), **options))
_reduction("reduce_l2_norm", lambda x, **options: np.sqrt(np.sum(np.square(x), **options)))
_reduction("reduce_sum_square", lambda x, **options: np.sum(np.square(x), **options))
_reduction("reduce_log_sum", lambda x, **options: np.log(np.sum(x, **options)))
_reduction("reduce_log_sum_exp", _log_sum_exp)


def _place(name: str, function: Callable[..., Array]) -> None:
    @operator(
        f"{name}(x: T, axis: const int32 = -1, keep_dims: const bool = False, output_dtype: const string = 'int32')",
        T=NUMBER,
    )
    def apply(x: Array, axis: int, keep_dims: bool, output_dtype: str) -> Typed:
        """The *last* of equal values: "in case of ties, the identity of the return value is not guaranteed"."""
        require(x.ndim >= 1, "x must be 1-dimensional or higher")
        require(-x.ndim <= axis < x.ndim, f"the axis {axis} of the rank {x.ndim}")
        require(output_dtype in ("int32", "uint16"), f"output_dtype is {output_dtype}, not int32 or uint16")
        from_the_end = function(np.flip(wide(x), axis), axis=axis, keepdims=keep_dims)
        return Typed(x.shape[axis] - 1 - from_the_end, output_dtype)


_place("reduce_argmax", np.argmax)
_place("reduce_argmin", np.argmin)
