"""How far results may be from Chromium's, and why: its kernels are XNNPACK's and LiteRT's."""

from __future__ import annotations

from typing import Final

import numpy as np

from tests.property.tolerances import EXACT, TOLERANCES, Tolerance, difference
from webnn.browsers.chromium import Array

__all__ = ["disagreement", "without_subnormals"]

_ROOT: Final = "square roots are an estimate with one step of Newton's method"
_ANGLE: Final = "sine and cosine are good to so much of 1, and what is computed from them"
_HALF: Final = "options are rounded to float16 before they are computed with"
_AT_ONE: Final = "computed from exp(x), which is good to so much of 1"

CHROMIUM: Final[dict[str, Tolerance]] = {
    **TOLERANCES,
    **dict.fromkeys(("l2_pool2d", "reduce_l2", "sqrt"), Tolerance(2, _ROOT)),
    **dict.fromkeys(("sin", "cos"), Tolerance(4, _ANGLE, floor=1.0)),
    **dict.fromkeys(("average_pool2d", "reduce_mean"), Tolerance(1, "sums are multiplied by 1/n, which is rounded")),
    "tan": Tolerance(2048, _ANGLE, floor=1.0),
    "exp": Tolerance(8, "polynomials of other degrees"),
    **dict.fromkeys(("erf", "gelu", "softplus"), Tolerance(8, _AT_ONE, floor=1.0)),
    **dict.fromkeys(("hard_sigmoid", "hard_swish", "leaky_relu", "elu", "linear"), Tolerance(1, _HALF, floor=1.0)),
    "resample2d": Tolerance(16, "weights are rounded, and differ where sizes were made of scales", floor=1.0),
}
"""By operator; the others as between our own backends."""


def without_subnormals(array: Array) -> Array:
    """`array` with zero for what is too small for a normal number: Chromium's kernels neither read nor give those."""
    if array.dtype.kind != "f":
        return array
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(array) < np.finfo(array.dtype).tiny, array.dtype.type(0), array)


def disagreement(op: str, theirs: Array, ours: Array) -> str | None:
    """Where and how far results of `op` are outside of the tolerance; None if they are not."""
    return difference(without_subnormals(theirs), without_subnormals(ours), CHROMIUM.get(op, EXACT))
