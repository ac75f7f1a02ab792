"""Element-wise arithmetic on arrays."""

from typing import Any, Final

from webnn.backends.arrays.kernels import Array, Arrays, dtype_of, kernels, one_to_one
from webnn.graph.dtypes import FLOATS
from webnn.graph.ir import Node

__all__ = ["erf_and_complement"]

one_to_one(
    {
        "add": "add",
        "sub": "subtract",
        "mul": "multiply",
        "max": "maximum",
        "min": "minimum",
        "abs": "abs",
        "ceil": "ceil",
        "cos": "cos",
        "exp": "exp",
        "floor": "floor",
        "log": "log",
        "neg": "negative",
        "round_even": "round",
        "sin": "sin",
        "sqrt": "sqrt",
        "tan": "tan",
    }
)


@kernels.lowers("div")
def div(xp: Any, node: Node, operands: Arrays) -> Array:
    """Integer quotients are truncated toward 0, and 0 where the divisor is 0."""
    a, b = operands["a"], operands["b"]
    if node.output.data_type in FLOATS:
        return a / b
    divisor = xp.where(b == 0, xp.ones_like(b), b)
    floor = a // divisor
    rounded_down = (floor * divisor != a) & ((a < 0) != (divisor < 0))
    return xp.where(b == 0, xp.zeros_like(floor), floor + xp.astype(rounded_down, floor.dtype))


@kernels.lowers("pow")
def pow(xp: Any, node: Node, operands: Arrays) -> Array:
    """Integers are exact and wrap around; a negative exponent leaves only the bases 1 and -1."""
    a, b = operands["a"], operands["b"]
    if node.output.data_type in FLOATS:
        return xp.pow(a, b)
    negative = b < 0
    # For the bases 1 and -1 it only matters whether the exponent is odd.
    power = xp.pow(a, xp.where(negative, b & 1, b))
    return xp.where(negative & (a != 1) & (a != -1), xp.zeros_like(power), power)


@kernels.lowers("identity")
def identity(xp: Any, node: Node, operands: Arrays) -> Array:
    """The operand itself; no kernel writes into its operands."""
    return operands["input"]


@kernels.lowers("reciprocal")
def reciprocal(xp: Any, node: Node, operands: Arrays) -> Array:
    """`1 / x`."""
    return 1 / operands["input"]


@kernels.lowers("sign")
def sign(xp: Any, node: Node, operands: Arrays) -> Array:
    """1 if above 0, -1 if below, and 0 otherwise, which includes NaN."""
    x = operands["input"]
    return xp.astype(x > 0, x.dtype) - xp.astype(x < 0, x.dtype)


@kernels.lowers("cast")
def cast(xp: Any, node: Node, operands: Arrays) -> Array:
    """Nearest for floats, lowest bits between integers; from float to integer truncated, bounded, 0 for NaN."""
    x, dtype = operands["input"], dtype_of(xp, node.output)
    if node["input"].data_type not in FLOATS or node.output.data_type in FLOATS:
        return xp.astype(x, dtype)
    bounds = xp.iinfo(dtype)
    x = xp.astype(x, xp.float64)  # exact for bounds of 32 bits; for those of 64 bits `high` rounds up to the power of 2
    low, high = float(bounds.min), float(bounds.max)
    result = xp.astype(xp.where((low < x) & (x < high), x, xp.zeros_like(x)), dtype)
    result = xp.where(x >= high, xp.asarray(bounds.max, dtype=dtype), result)
    return xp.where(x <= low, xp.asarray(bounds.min, dtype=dtype), result)


@kernels.lowers("erf")
def erf(xp: Any, node: Node, operands: Arrays) -> Array:
    """The error function, to the last bit or so of float32."""
    x = operands["input"]
    return xp.astype(erf_and_complement(xp, xp.astype(x, xp.float64))[0], x.dtype)


# Coefficients of the Cephes library's single-precision erf and erfc, highest power first; in float64 arithmetic their
# error is below a float32's last bit.
_ERF: Final = (
    7.853861353153693e-5,
    -8.010193625184903e-4,
    5.188327685732524e-3,
    -2.685381193529856e-2,
    1.128358514861418e-1,
    -3.761262582423300e-1,
    1.128379165726710,
)
"""erf(x) / x as a polynomial of x**2, for |x| <= 1."""
_ERFC_NEAR: Final = (
    2.326819970068386e-2,
    -1.387039388740657e-1,
    3.687424674597105e-1,
    -5.824733027278666e-1,
    6.210004621745983e-1,
    -4.944515323274145e-1,
    3.404879937665872e-1,
    -2.741127028184656e-1,
    5.638259427386472e-1,
)
"""x * exp(x**2) * erfc(x) as a polynomial of 1 / x**2, for 1 < x < 2."""
_ERFC_FAR: Final = (
    -1.047766399936249e1,
    1.297719955372516e1,
    -7.495518717768503,
    2.921019019210786,
    -1.015265279202700,
    4.218463358204948e-1,
    -2.820767439740514e-1,
    5.641895067754075e-1,
)
"""The same for x >= 2."""


def erf_and_complement(xp: Any, x: Array) -> tuple[Array, Array]:
    """`erf(x)` and `1 - erf(x)` of float64 `x`, each with the relative accuracy of a float32."""
    size = xp.abs(x)
    small, outer = xp.minimum(size, 1.0), xp.maximum(size, 1.0)
    inner = xp.sign(x) * small * _polynomial(_ERF, small * small)
    inverse_square = 1 / (outer * outer)
    near, far = _polynomial(_ERFC_NEAR, inverse_square), _polynomial(_ERFC_FAR, inverse_square)
    tail = xp.exp(-outer * outer) / outer * xp.where(outer < 2, near, far)
    erf = xp.where(size <= 1, inner, xp.sign(x) * (1 - tail))
    complement = xp.where(size <= 1, 1 - inner, xp.where(x > 0, tail, 2 - tail))
    return erf, complement


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    result = coefficients[0]
    for coefficient in coefficients[1:]:
        result = result * x + coefficient
    return result
