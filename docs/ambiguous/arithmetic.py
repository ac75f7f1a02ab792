"""Special values and precision of floats, reductions and normalizations."""

from __future__ import annotations

from math import inf, nan
from typing import Final

import numpy as np

from docs.ambiguous.case import Case, floats, halves

__all__ = ["ARITHMETIC"]

_DIVIDE: Final = (
    "Divide the values of the first input tensor with the values of the second tensor, element-wise. Integer types are "
    "truncated toward zero."
)
_POWER: Final = (
    "Compute the values of the values of the first input tensor to the power of the values of the second input tensor, "
    "element-wise."
)
_EPSILON: Final = "A small value to prevent computational error due to divide-by-zero."
_SOFTMAX: Final = "const expX = builder.exp(builder.sub(input, maxX));"
_UNARY: Final = "api-mlgraphbuilder-unary"
_BINARY: Final = "api-mlgraphbuilder-binary"
_REDUCE: Final = "api-mlgraphbuilder-reduce"

_FLOATS: Final = (
    Case(
        "division-by-zero",
        _BINARY,
        _DIVIDE,
        "Nothing is said about division by zero; IEEE 754 gives infinities and NaN.",
        lambda b, x: b.div(x(floats(1, -1, 0, 1)), x(floats(0, 0, 0, -0.0))),
    ),
    Case(
        "zero-times-infinity",
        _BINARY,
        "Compute the element-wise binary addition, subtraction, multiplication, division, power, maximum and minimum",
        "IEEE 754 gives NaN.",
        lambda b, x: b.mul(x(floats(0, 0)), x(floats(inf, nan))),
    ),
    Case(
        "power-special-values",
        _BINARY,
        _POWER,
        "IEEE 754 gives 1 for every base to the power of 0, and for 1 to every power.",
        lambda b, x: b.pow(x(floats(0, nan, 1, -8, 0, -2)), x(floats(0, 0, nan, 1 / 3, -1, 3))),
    ),
    Case(
        "square-root-special-values",
        _UNARY,
        "Compute the square root of the input tensor, element-wise.",
        "IEEE 754 gives NaN for negative numbers, but for -0, and Infinity for Infinity.",
        lambda b, x: b.sqrt(x(floats(inf, -1, -0.0, 3e38))),
    ),
    Case(
        "logarithm-special-values",
        _UNARY,
        "Compute the natural logarithm of the input tensor, element-wise.",
        "C and IEEE 754 give -Infinity for 0, and NaN for negative numbers.",
        lambda b, x: b.log(x(floats(0, -1, inf, nan))),
    ),
    Case(
        "reciprocal-of-zero",
        _UNARY,
        "Compute the reciprocal of the input tensor, element-wise.",
        "IEEE 754 gives infinities.",
        lambda b, x: b.reciprocal(x(floats(0, -0.0, inf, nan))),
    ),
    Case(
        "sine-of-large-numbers",
        _UNARY,
        "Compute the sine of the input tensor, element-wise.",
        "How the angle is reduced is not said: the exact results are -0.506366, -0.349994 and NaN.",
        lambda b, x: b.sin(x(floats(100, 1e6, inf))),
    ),
    Case(
        "sign-of-nan",
        _UNARY,
        "Compute the sign (-1, 0, 1) of the input tensor, [...] returning 1 if > 0, -1 if < 0, and 0 otherwise.",
        "NaN is neither: 0. The sign of a zero is not said.",
        lambda b, x: b.sign(x(floats(nan, 2, -2, inf))),
        decided=True,
    ),
    Case(
        "sign-of-zeros",
        _UNARY,
        "Compute the sign (-1, 0, 1) of the input tensor, [...] returning 1 if > 0, -1 if < 0, and 0 otherwise.",
        "The sign of the result is not said.",
        lambda b, x: b.sign(x(floats(0.0, -0.0))),
    ),
    Case(
        "subnormal-numbers",
        _BINARY,
        "Compute the element-wise binary addition, subtraction, multiplication, division, power, maximum and minimum",
        "Whether numbers below 1.2e-38 become 0 is not said.",
        lambda b, x: b.mul(x(floats(1e-38, 1e-40, 2)), x(floats(0.1, 1, 1))),
    ),
    Case(
        "gelu-exactness",
        "api-mlgraphbuilder-gelu-method",
        "Compute the gaussian error linear unit function (GELU) of the input tensor.",
        "The expression has erf; the approximation with tanh gives 0.841192 for 1. The exact results are 0.841345, "
        "-1.43e-06 and -1.75e-09. Followed to the letter, it is NaN for -Infinity.",
        lambda b, x: b.gelu(x(floats(1, -5, -6.2, -inf))),
    ),
    Case(
        "softplus-of-large-numbers",
        "api-mlgraphbuilder-softplus-method",
        "The calculation follows the expression `ln(1 + exp(x))`.",
        "Followed to the letter, it overflows for 100, and gives 0 for -30, where the exact result is 9.36e-14.",
        lambda b, x: b.softplus(x(floats(100, -30, inf, -inf))),
    ),
    Case(
        "linear-infinity",
        "api-mlgraphbuilder-linear",
        "Calculate a linear function `y = alpha * x + beta` on the input tensor.",
        "0 times infinity is NaN where the formula is followed to the letter.",
        lambda b, x: b.linear(x(floats(inf, 2)), alpha=0, beta=1),
    ),
    Case(
        "matmul-zero-times-infinity",
        "api-mlgraphbuilder-matmul",
        "Compute the matrix product of two input tensors.",
        "0 times infinity is NaN unless zeros are skipped.",
        lambda b, x: b.matmul(x(floats([0, 1], [1, 0])), x(floats([inf, 1], [1, nan]))),
    ),
)

_REDUCTIONS: Final = (
    Case(
        "softmax-of-minus-infinity",
        "api-mlgraphbuilder-softmax-method",
        _SOFTMAX,
        "A row of -Infinity is NaN by the emulation, and so is one with Infinity.",
        lambda b, x: b.softmax(x(floats([-inf, -inf], [inf, 1], [-inf, 1])), 1),
    ),
    Case(
        "softmax-of-nan",
        "api-mlgraphbuilder-softmax-method",
        _SOFTMAX,
        "NaN spreads over its row by the emulation if reduceMax hands it on.",
        lambda b, x: b.softmax(x(floats([nan, 1], [1, 2])), 1),
    ),
    Case(
        "sum-order",
        _REDUCE,
        "Compute the sum of the input values.",
        "The order of summation is not said, and decides whether the 1 is lost.",
        lambda b, x: b.reduce_sum(x(floats(1e8, 1, -1e8, 1))),
    ),
    Case(
        "sum-of-float16-that-overflows",
        _REDUCE,
        "Compute the sum of the input values.",
        "The precision of partial sums is not said.",
        lambda b, x: b.reduce_sum(x(halves(60000, 60000, -60000))),
    ),
    Case(
        "mean-that-overflows",
        _REDUCE,
        "Compute the average value of the input values.",
        "Whether the sum may overflow on the way is not said.",
        lambda b, x: b.reduce_mean(x(floats(3e38, 3e38))),
    ),
    Case(
        "norm-that-overflows",
        _REDUCE,
        "the square root of the sum of the square of the input values.",
        "Whether the squares may overflow, or vanish, on the way is not said: the exact results are 1.414e30 and "
        "1.414e-30.",
        lambda b, x: b.reduce_l2(x(floats([1e30, 1e30], [1e-30, 1e-30])), axes=[1]),
    ),
    Case(
        "log-sum-exp-that-overflows",
        _REDUCE,
        "return builder.log(builder.reduceSum(builder.exp(input), options));",
        "Followed to the letter, it overflows for 100, where the exact result is 100.693.",
        lambda b, x: b.reduce_log_sum_exp(x(floats([100, 100], [-inf, -inf], [inf, 0])), axes=[1]),
    ),
    Case(
        "log-sum-of-negatives",
        _REDUCE,
        "Compute the log value of the sum of the input values.",
        "Nothing is said about sums that are not positive.",
        lambda b, x: b.reduce_log_sum(x(floats([-1, -1], [1, -1])), axes=[1]),
    ),
    Case(
        "reduction-without-axes",
        _REDUCE,
        "If present and empty, no dimensions are reduced, [...] the reduction function is applied to each value in the "
        "tensor individually.",
        "",
        lambda b, x: b.reduce_l2(x(floats(-3, 2)), axes=[]),
        decided=True,
    ),
    Case(
        "cumulative-sum-of-infinities",
        "api-mlgraphbuilder-cumulativesum",
        "Compute the accumulated sum of a series of values along the given axis",
        "With `exclusive`, the value itself must not be subtracted from the sum that includes it.",
        lambda b, x: b.cumulative_sum(x(floats(1, inf, 2, -inf)), 0, exclusive=True),
    ),
)

_NORMALIZATIONS: Final = (
    Case(
        "batch-normalization-epsilon-zero",
        "api-mlgraphbuilder-batchnorm",
        _EPSILON,
        "With an epsilon and a variance of 0 it is a division by zero.",
        lambda b, x: b.batch_normalization(
            x(floats([1, 2])), b.constant(floats(1, 1)), b.constant(floats(0, 0)), epsilon=0
        ),
    ),
    Case(
        "batch-normalization-negative-variance",
        "api-mlgraphbuilder-batchnorm",
        _EPSILON,
        "Nothing is said about a negative variance.",
        lambda b, x: b.batch_normalization(
            x(floats([1, 2])), b.constant(floats(0, 0)), b.constant(floats(-1, 4)), epsilon=0
        ),
    ),
    Case(
        "layer-normalization-of-equal-values",
        "api-mlgraphbuilder-layernorm",
        _EPSILON,
        "Equal values have no variance. By the emulation, 0 is divided by the square root of epsilon.",
        lambda b, x: b.layer_normalization(x(floats([0.1, 0.1, 0.1], [1e4, 1e4, 1e4])), axes=[1], epsilon=0),
    ),
    Case(
        "layer-normalization-without-axes",
        "api-mlgraphbuilder-layernorm",
        "If empty, no dimensions are reduced.",
        "With no axes each value is its own mean: 0 plus the bias by the emulation.",
        lambda b, x: b.layer_normalization(x(floats([1, 2])), axes=[]),
    ),
    Case(
        "instance-normalization-of-one-value",
        "api-mlgraphbuilder-instancenorm",
        _EPSILON,
        "One value has no variance.",
        lambda b, x: b.instance_normalization(x(np.full((1, 1, 1, 1), 3, np.float32)), epsilon=0),
    ),
)

ARITHMETIC: Final = (*_FLOATS, *_REDUCTIONS, *_NORMALIZATIONS)
