"""How far a result may be from the exact one, for each operator: what docs/behaviour.md states under "Accuracy"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

__all__ = ["BOUNDS", "Bound", "excess"]

Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Bound:
    """A number of float32 ULPs, counted of `of`. A float16 result may be one ULP of float16 off beside.

    Args:
        ulps: how many.
        of: what they are counted of, where that is larger than the exact result.
        for_each: how many more there are for each value that goes into the result.
        below: an error up to this is always within the bound.
    """

    ulps: float
    of: str = "the result"
    for_each: float = 0.0
    below: float = 0.0


_SUM: Final = "the sum of the magnitudes"
_POOL: Final = "the average of the magnitudes"
_TINY: Final = float(np.finfo(np.float32).tiny)

BOUNDS: Final[dict[str, Bound]] = {
    **dict.fromkeys(("sqrt", "reciprocal", "dequantize_linear"), Bound(1)),
    **dict.fromkeys(("cos", "erf", "exp", "log", "pow", "sin", "softsign", "tan"), Bound(4)),
    "softplus": Bound(8),
    "sigmoid": Bound(4, below=_TINY),
    **dict.fromkeys(("elu", "tanh"), Bound(8, below=2e-34)),
    **dict.fromkeys(("gelu", "hard_swish"), Bound(4, "the input")),
    "softmax": Bound(128, "the result times the distance to the largest input", below=_TINY),
    **dict.fromkeys(("reduce_sum", "cumulative_sum"), Bound(256, _SUM)),
    "reduce_mean": Bound(256, _POOL),
    **dict.fromkeys(("reduce_l1", "reduce_sum_square"), Bound(256)),
    **dict.fromkeys(("reduce_l2", "l2_pool2d"), Bound(256, below=1e-35)),
    **dict.fromkeys(("reduce_log_sum", "reduce_log_sum_exp"), Bound(256, "1")),
    "reduce_product": Bound(4, for_each=1),
    "average_pool2d": Bound(256, _POOL),
    **dict.fromkeys(("matmul", "gemm", "conv2d", "conv_transpose2d"), Bound(64, _SUM, for_each=1 / 16)),
    "instance_normalization": Bound(64, "1"),
    **dict.fromkeys(
        ("batch_normalization", "layer_normalization"), Bound(64, "the largest input over the standard deviation")
    ),
    "resample2d": Bound(16, "the largest input", for_each=2),
}
"""Operators that are not here are exact, or within half a ULP of the exact result."""


def excess(result: Array, exact: Array, size: Array, bound: Bound, count: int = 0) -> float:
    """The largest error, as a multiple of the largest one allowed.

    Args:
        result: of float32 or float16.
        exact: in more bits.
        size: the magnitude that the bound's ULPs are counted of, where it is larger than the exact result.
        bound: what is allowed.
        count: how many values go into a result.
    """
    ulps = bound.ulps + bound.for_each * count
    info = np.finfo(result.dtype)
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(exact), np.broadcast_to(size, exact.shape))
        unit = _spacing(size, np.float32)
        allowed = np.maximum(ulps * unit, bound.below)
        if info.dtype == np.float16:
            allowed = allowed + _spacing(np.abs(exact), np.float16)
        error = np.abs(result.astype(np.longdouble) - exact)
        # At the end of the range the result may be infinite, if one that is as far off as allowed would be.
        beyond = np.isinf(result) & (np.sign(result) == np.sign(exact)) & (np.abs(exact) + allowed >= info.max)
        within = (np.abs(exact) - allowed <= info.max) & np.isfinite(result)
        relative = np.where(beyond, 0, np.where(within, error / allowed, np.inf))
    return float(np.max(relative))


def _spacing(size: Array, dtype: type[np.floating[Any]]) -> Array:
    """The ULP of numbers of that size; beyond the range, that at its end (which NumPy takes to be infinite)."""
    return np.spacing(np.minimum(size, 0.75 * np.finfo(dtype).max).astype(dtype)).astype(np.longdouble)
