"""Greater and lesser values, ties, comparisons, truth values, and integers."""

from __future__ import annotations

from math import inf, nan
from typing import Final

from docs.ambiguous.case import Case, floats, image, ints, octets

__all__ = ["EXTREMES"]

_LOWEST: Final = -(2**31)
_HIGHEST: Final = 2**31 - 1
_GREATER: Final = "Select the greater values of the two input tensors, element-wise."
_LESSER: Final = "Select the lesser values of the two input tensors, element-wise."
_DIVIDE: Final = (
    "Divide the values of the first input tensor with the values of the second tensor, element-wise. Integer types are "
    "truncated toward zero."
)
_POWER: Final = (
    "Compute the values of the values of the first input tensor to the power of the values of the second input tensor, "
    "element-wise."
)
_TIES: Final = "In case of ties, the identity of the return value is implementation dependent."
_MAXIMUM: Final = "Calculate the maximum value for patches of a feature map, and use it to create a pooled feature map."
_TRUE: Final = "treating any non-zero value as true and returning elements of 0 or 1."
_UNARY: Final = "api-mlgraphbuilder-unary"
_BINARY: Final = "api-mlgraphbuilder-binary"
_LOGICAL: Final = "api-mlgraphbuilder-logical"
_REDUCE: Final = "api-mlgraphbuilder-reduce"
_INDEX: Final = "api-mlgraphbuilder-argminmax"
_CLAMP: Final = "api-mlgraphbuilder-clamp"

_EXTREMES: Final = (
    Case(
        "max-nan",
        _BINARY,
        _GREATER,
        "A comparison with NaN is false, and nothing is said about NaN.",
        lambda b, x: b.max(x(floats(nan, 1)), x(floats(1, nan))),
    ),
    Case(
        "min-nan",
        _BINARY,
        _LESSER,
        "A comparison with NaN is false, and nothing is said about NaN.",
        lambda b, x: b.min(x(floats(nan, 1)), x(floats(1, nan))),
    ),
    Case(
        "max-zeros",
        _BINARY,
        _GREATER,
        "Which zero is the greater one is not said.",
        lambda b, x: b.max(x(floats(-0.0, 0.0)), x(floats(0.0, -0.0))),
    ),
    Case(
        "min-zeros",
        _BINARY,
        _LESSER,
        "Which zero is the lesser one is not said.",
        lambda b, x: b.min(x(floats(-0.0, 0.0)), x(floats(0.0, -0.0))),
    ),
    Case(
        "clamp-nan",
        _CLAMP,
        "Clamp the input tensor element-wise within a range specified by the minimum and maximum values.",
        "The emulation is min and max, which are silent on NaN.",
        lambda b, x: b.clamp(x(floats(nan, -3, 3)), min_value=-1, max_value=1),
    ),
    Case(
        "relu-nan",
        "api-mlgraphbuilder-relu-method",
        "return builder.max(builder.constant(input.dataType, 0), input);",
        "The emulation is max, which is silent on NaN and on the sign of zero.",
        lambda b, x: b.relu(x(floats(nan, -0.0, -1))),
    ),
    Case(
        "prelu-nan",
        "api-mlgraphbuilder-prelu",
        "slope, builder.min(builder.constant(input.dataType, 0), input)));",
        "The emulation is max and min, which are silent on NaN. It gives NaN for an infinite input and a slope of 0.",
        lambda b, x: b.prelu(x(floats(nan, -inf, inf)), x(floats(0.5, 0, 0))),
    ),
    Case(
        "leaky-relu-infinity",
        "api-mlgraphbuilder-leakyrelu",
        "The calculation follows the expression `max(0, x) + alpha * min(0, x)`.",
        "0 times infinity is NaN where the formula is followed to the letter.",
        lambda b, x: b.leaky_relu(x(floats(-inf, inf)), alpha=0),
    ),
    Case(
        "hard-swish-extremes",
        "api-mlgraphbuilder-hard-swish",
        "y = x * max(0, min(6, (x + 3))) / 6",
        "The formula gives NaN for -Infinity, and is silent on NaN.",
        lambda b, x: b.hard_swish(x(floats(-inf, inf, nan))),
    ),
    Case(
        "hard-sigmoid-nan",
        "api-mlgraphbuilder-hard-sigmoid",
        "Calculate the non-smooth hard sigmoid function on the input tensor",
        "The emulation is max and min, which are silent on NaN.",
        lambda b, x: b.hard_sigmoid(x(floats(-inf, inf, nan))),
    ),
    Case(
        "reduce-max-nan",
        _REDUCE,
        "Compute the maximum value of the input values.",
        "Nothing is said about NaN.",
        lambda b, x: b.reduce_max(x(floats([1, nan, 2], [nan, 1, 2], [1, 2, nan])), axes=[1]),
    ),
    Case(
        "reduce-min-nan",
        _REDUCE,
        "Compute the minimum value of the input values.",
        "Nothing is said about NaN.",
        lambda b, x: b.reduce_min(x(floats([1, nan, 2], [nan, 1, 2], [1, 2, nan])), axes=[1]),
    ),
    Case(
        "max-pool-nan",
        "api-mlgraphbuilder-pool2d-max",
        _MAXIMUM,
        "Nothing is said about NaN.",
        lambda b, x: b.max_pool2d(x(image([nan, 1, 1, 1], [2, 3, 2, nan])), window_dimensions=[2, 2], strides=[2, 2]),
    ),
    Case(
        "arg-max-ties",
        _INDEX,
        _TIES,
        "",
        lambda b, x: b.arg_max(x(floats([1, 3, 3], [2, 2, 1], [0.0, -0.0, -1])), 1),
    ),
    Case(
        "arg-min-ties",
        _INDEX,
        _TIES,
        "",
        lambda b, x: b.arg_min(x(floats([1, 1, 3], [2, 2, 2], [0.0, -0.0, 1])), 1),
    ),
    Case(
        "arg-max-nan",
        _INDEX,
        "Return the index location of the minimum or maximum values of all the input values along the axis.",
        "Nothing is said about NaN.",
        lambda b, x: b.arg_max(x(floats([1, nan, 3], [nan, 1, 2], [1, 2, nan])), 1),
    ),
    Case(
        "arg-min-nan",
        _INDEX,
        "Return the index location of the minimum or maximum values of all the input values along the axis.",
        "Nothing is said about NaN.",
        lambda b, x: b.arg_min(x(floats([1, nan, 3], [nan, 3, 2], [2, 1, nan])), 1),
    ),
    Case(
        "arg-max-infinities",
        _INDEX,
        "Return the index location of the minimum or maximum values of all the input values along the axis.",
        "Both are ties; an implementation that begins with the lowest finite number finds none.",
        lambda b, x: b.arg_max(x(floats([-inf, -inf, -inf], [1, inf, inf])), 1),
    ),
)

_LOGIC: Final = (
    Case(
        "equal-nan",
        _LOGICAL,
        "they are specifically defined to handle NaN cases and for performance reason to avoid double comparisons.",
        "In IEEE 754 NaN is not equal to itself.",
        lambda b, x: b.equal(x(floats(nan, 0.0)), x(floats(nan, -0.0))),
    ),
    Case(
        "not-equal-nan",
        _LOGICAL,
        "Compare if the values of the two input tensors are not equal, element-wise.",
        "In IEEE 754 NaN is not equal to itself.",
        lambda b, x: b.not_equal(x(floats(nan, 0.0)), x(floats(nan, -0.0))),
    ),
    Case(
        "greater-or-equal-nan",
        _LOGICAL,
        "they are specifically defined to handle NaN cases and for performance reason to avoid double comparisons.",
        "In IEEE 754 a comparison with NaN is false, which is not the negation of lesser.",
        lambda b, x: b.greater_or_equal(x(floats(nan, 1)), x(floats(1, nan))),
    ),
    Case(
        "logical-and-of-other-numbers",
        _LOGICAL,
        _TRUE,
        "",
        lambda b, x: b.logical_and(x(octets(2, 3, 0)), x(octets(1, 4, 5))),
        decided=True,
    ),
    Case(
        "logical-xor-of-other-numbers",
        _LOGICAL,
        _TRUE,
        "",
        lambda b, x: b.logical_xor(x(octets(2, 3, 0)), x(octets(1, 4, 5))),
        decided=True,
    ),
    Case(
        "logical-not-of-other-numbers",
        _LOGICAL,
        "Specifically, when the input value is non-zero, invert it to 0.",
        "",
        lambda b, x: b.logical_not(x(octets(0, 1, 2, 255))),
        decided=True,
    ),
    Case(
        "where-of-other-numbers",
        "api-mlgraphbuilder-where",
        "where non-zero is true and zero is false.",
        "What is not chosen leaves no trace.",
        lambda b, x: b.where(x(octets(0, 1, 2)), x(floats(nan, 2, 3)), x(floats(1, nan, inf))),
        decided=True,
    ),
    Case(
        "is-nan-and-infinite",
        _LOGICAL,
        "Check if the values of the input tensor are infinite, element-wise, returning 1's for positive or negative "
        "infinity and 0 otherwise.",
        "",
        lambda b, x: b.is_infinite(x(floats(nan, inf, -inf, 3e38))),
        decided=True,
    ),
)

_INTEGERS: Final = (
    Case(
        "integer-overflow",
        _BINARY,
        "Add the values of the two input tensors, element-wise.",
        "Nothing is said about integers that overflow.",
        lambda b, x: b.add(x(ints(_HIGHEST, _LOWEST)), x(ints(1, -1))),
    ),
    Case(
        "integer-product-overflow",
        _BINARY,
        "Compute the element-wise binary addition, subtraction, multiplication, division, power, maximum and minimum",
        "Nothing is said about integers that overflow.",
        lambda b, x: b.mul(x(ints(65536, 65537)), x(ints(65536, 65537))),
    ),
    Case(
        "integer-sum-overflow",
        _REDUCE,
        "Compute the sum of the input values.",
        "Nothing is said about integers that overflow.",
        lambda b, x: b.reduce_sum(x(ints([_HIGHEST, 1], [_LOWEST, -1])), axes=[1]),
    ),
    Case(
        "integer-cumulative-sum-overflow",
        "api-mlgraphbuilder-cumulativesum",
        "Compute the accumulated sum of a series of values along the given axis",
        "Nothing is said about integers that overflow.",
        lambda b, x: b.cumulative_sum(x(ints(_HIGHEST, 1, 1)), 0),
    ),
    Case(
        "integer-lowest-negated",
        _UNARY,
        "Compute the numerical negative value of the input tensor, element-wise.",
        "The negative of the lowest integer is none.",
        lambda b, x: b.neg(x(ints(_LOWEST, 5))),
    ),
    Case(
        "integer-lowest-absolute",
        _UNARY,
        "Compute the absolute value of the input tensor, element-wise.",
        "The absolute value of the lowest integer is none of its type.",
        lambda b, x: b.abs(x(ints(_LOWEST, -5))),
    ),
    Case(
        "integer-division",
        _BINARY,
        _DIVIDE,
        "",
        lambda b, x: b.div(x(ints(7, -7, 7, -7)), x(ints(2, 2, -2, -2))),
        decided=True,
    ),
    Case(
        "integer-division-by-zero",
        _BINARY,
        _DIVIDE,
        "Nothing is said about division by zero.",
        lambda b, x: b.div(x(ints(7, 2, 0)), x(ints(2, 0, 0))),
    ),
    Case(
        "integer-division-overflow",
        _BINARY,
        _DIVIDE,
        "The quotient of the lowest integer and -1 is none of its type.",
        lambda b, x: b.div(x(ints(_LOWEST, 6)), x(ints(-1, -1))),
    ),
    Case(
        "integer-power-negative",
        _BINARY,
        _POWER,
        "Nothing is said about integers to a negative power.",
        lambda b, x: b.pow(x(ints(2, 1, -1, 0)), x(ints(3, -1, -1, -1))),
    ),
    Case(
        "integer-power-overflow",
        _BINARY,
        _POWER,
        "Nothing is said about integers that overflow.",
        lambda b, x: b.pow(x(ints(3, -3, 2)), x(ints(21, 21, 31))),
    ),
)

EXTREMES: Final = (*_EXTREMES, *_LOGIC, *_INTEGERS)
