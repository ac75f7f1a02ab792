"""How far two backends may be apart, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

__all__ = ["EXACT", "TOLERANCES", "Tolerance", "difference"]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """A number of ULPs, units in the last place of the larger result.

    Args:
        ulps: for float32. Both round float16 from float32, so where this is not 0 they may be one ULP of float16 apart.
        reason: why it is not 0.
        floor: smaller results count ULPs of this number: where terms cancel, the error of the terms is left.
        integers: how far integers may be apart.
    """

    ulps: int
    reason: str
    floor: float = 0.0
    integers: int = 0


EXACT: Final = Tolerance(0, "data movement, choices, integers, and IEEE operations in an order that does not matter")

_APPROXIMATED: Final = "onnxruntime evaluates a polynomial, NumPy calls libm; both are good to a few ULPs"
_NEAR_ZERO: Final = "the same, and 1 + erf(x) or x + 3 cancel where the result is near zero"
_SUMMED: Final = "the same, and a logarithm near zero has the error of a sum near 1"
_NORMALIZED: Final = "mean and variance are summed in another order, and subtracting the mean cancels"
_RECURRENT: Final = "every step goes through approximated activations, and gates add terms that cancel"

TOLERANCES: Final[dict[str, Tolerance]] = {
    **dict.fromkeys(("cos", "exp", "log", "pow", "sin", "softsign", "tan"), Tolerance(4, _APPROXIMATED)),
    **dict.fromkeys(("elu", "erf", "sigmoid", "tanh"), Tolerance(8, _APPROXIMATED)),
    "softplus": Tolerance(16, _APPROXIMATED),  # 11 ULPs at -3.7 with NumPy 2.1
    "softmax": Tolerance(8, _APPROXIMATED),
    "l2_pool2d": Tolerance(2, "dividing by the number of values and multiplying by it again may round"),
    **dict.fromkeys(("reduce_log_sum", "reduce_log_sum_exp"), Tolerance(8, _SUMMED, floor=1.0)),
    **dict.fromkeys(("gelu", "hard_swish"), Tolerance(4, _NEAR_ZERO, floor=1.0)),
    **dict.fromkeys(
        ("batch_normalization", "instance_normalization", "layer_normalization"), Tolerance(32, _NORMALIZED, floor=1.0)
    ),
    **dict.fromkeys(("gru", "gru_cell", "lstm", "lstm_cell"), Tolerance(16, _RECURRENT, floor=1.0)),
    "resample2d": Tolerance(4, "weights are rounded, which also decides what is half way", floor=4.0, integers=1),
}
"""Where operators are not `EXACT` on the values that the tests draw."""


def difference(actual: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], tolerance: Tolerance) -> str | None:
    """Where and how far `actual` is outside of the tolerance around `expected`; None if it is not."""
    if (actual.dtype, actual.shape) != (expected.dtype, expected.shape):
        return f"{actual.dtype} {actual.shape} and {expected.dtype} {expected.shape}"
    if actual.dtype.kind == "f":
        unit, allowed = "ULP", tolerance.ulps if actual.dtype == np.float32 else min(tolerance.ulps, 1)
        with np.errstate(all="ignore"):
            size = np.maximum(np.maximum(np.abs(actual), np.abs(expected)), actual.dtype.type(tolerance.floor))
            distance = np.abs(actual.astype(np.float64) - expected.astype(np.float64)) / np.spacing(size)
        distance = np.where((actual == expected) | (np.isnan(actual) & np.isnan(expected)), 0.0, distance)
    else:
        unit, allowed = "units", tolerance.integers
        distance = np.maximum(actual, expected).astype(np.uint64) - np.minimum(actual, expected).astype(np.uint64)
    wrong = ~(distance <= allowed)
    if not wrong.any():
        return None
    first = tuple(int(i) for i in np.argwhere(wrong)[0])
    return (
        f"{int(wrong.sum())} of {actual.size} differ by more than {allowed} {unit}, at worst {distance.max():.1f};"
        f" at {first}: {actual[first]!r} and {expected[first]!r}"
    )
