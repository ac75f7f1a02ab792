"""The activation functions on arrays."""

from collections.abc import Callable
from typing import Any

from webnn.backends.arrays.elementwise import erf_and_complement
from webnn.backends.arrays.kernels import Array, Arrays, Kernel, kernels, one_to_one
from webnn.graph.ir import Node

__all__: list[str] = []

one_to_one({"tanh": "tanh"})


def _in_float32(op: str) -> Callable[[Callable[..., Array]], Kernel]:
    """Register a kernel of one float operand, `kernel(xp, x, **options)`; it computes half precision in single."""

    def register(function: Callable[..., Array]) -> Kernel:
        @kernels.lowers(op)
        def compute(xp: Any, node: Node, operands: Arrays) -> Array:
            x = operands["input"]
            return xp.astype(function(xp, xp.astype(x, xp.float32), **node.attributes), x.dtype)

        return compute

    return register


@kernels.lowers("clamp")
def clamp(xp: Any, node: Node, operands: Arrays) -> Array:
    """`min(max(x, min_value), max_value)`."""
    x = operands["input"]
    low, high = (xp.asarray(node.attributes[name], dtype=x.dtype) for name in ("min_value", "max_value"))
    return xp.minimum(xp.maximum(x, low), high)


@_in_float32("elu")
def elu(xp: Any, x: Array, alpha: float) -> Array:
    """`max(0, x) + alpha * (exp(min(0, x)) - 1)`."""
    return xp.where(x >= 0, x, alpha * xp.expm1(xp.minimum(x, 0)))


@_in_float32("gelu")
def gelu(xp: Any, x: Array) -> Array:
    """`0.5 * x * (1 + erf(x / sqrt(2)))`; the sum in brackets is the complement at -x, without cancellation."""
    x = xp.astype(x, xp.float64)
    _, complement = erf_and_complement(xp, -x / 2**0.5)
    return 0.5 * x * complement


@_in_float32("hard_sigmoid")
def hard_sigmoid(xp: Any, x: Array, alpha: float, beta: float) -> Array:
    """`max(min(alpha * x + beta, 1), 0)`."""
    return xp.maximum(xp.minimum(alpha * x + beta, 1), 0)


@_in_float32("hard_swish")
def hard_swish(xp: Any, x: Array) -> Array:
    """`x * max(0, min(6, x + 3)) / 6`; six times the largest float32 is not infinite yet."""
    x = xp.astype(x, xp.float64)
    return x * xp.maximum(xp.minimum(x + 3, 6), 0) / 6


@_in_float32("leaky_relu")
def leaky_relu(xp: Any, x: Array, alpha: float) -> Array:
    """`max(0, x) + alpha * min(0, x)`."""
    return xp.where(x >= 0, x, alpha * x)


@_in_float32("linear")
def linear(xp: Any, x: Array, alpha: float, beta: float) -> Array:
    """`alpha * x + beta`."""
    return alpha * x + beta


@kernels.lowers("prelu")
def prelu(xp: Any, node: Node, operands: Arrays) -> Array:
    """`max(0, x) + slope * min(0, x)`."""
    x, slope = operands["input"], operands["slope"]
    return xp.where(x < 0, slope * x, x)


@kernels.lowers("relu")
def relu(xp: Any, node: Node, operands: Arrays) -> Array:
    """`max(0, x)`."""
    return xp.maximum(operands["input"], 0)


@_in_float32("sigmoid")
def sigmoid(xp: Any, x: Array) -> Array:
    """`1 / (exp(-x) + 1)`; where that is subnormal, `exp(-x)` is more than a float32 holds."""
    return 1 / (xp.exp(-xp.astype(x, xp.float64)) + 1)


@_in_float32("softmax")
def softmax(xp: Any, x: Array, axis: int) -> Array:
    """`exp(x)` over its sum along `axis`, scaled so that the largest is 1 and none overflows."""
    x = xp.astype(x, xp.float64)
    powers = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return powers / xp.sum(powers, axis=axis, keepdims=True)


@_in_float32("softplus")
def softplus(xp: Any, x: Array) -> Array:
    """`log(1 + exp(x))`."""
    return xp.logaddexp(x, xp.zeros_like(x))


@_in_float32("softsign")
def softsign(xp: Any, x: Array) -> Array:
    """`x / (1 + abs(x))`."""
    return x / (1 + xp.abs(x))
