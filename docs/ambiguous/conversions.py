"""Casts, quantization, and indices out of range or repeated."""

from __future__ import annotations

from math import inf, nan
from typing import Final

from docs.ambiguous.case import Case, floats, ints, octets

__all__ = ["CONVERSIONS"]

_LOWEST: Final = -(2**31)
_HIGHEST: Final = 2**31 - 1
_TO_INTEGER: Final = "If in range, truncated. If out of range, implementation-defined."
_TO_FLOAT: Final = "If in range, nearest representable value. If out of range, +/-Infinity."
_LOWEST_BITS: Final = (
    "If out of range, lowest N bits reinterpreted as target type, assuming two's complement for signed types."
)
_CLAMPED: Final = (
    "can not be clamped to the allowed range when the graph is built because the inputs are not known until execution. "
    "Implementations can introduce clamp() in the compiled graph if the specified clamping behavior is not provided by "
    "the underlying platform."
)
_QUANTIZE: Final = "output = clamp(roundEven(input / scale) + zeroPoint, 0, 255)"
_SCALES: Final = (
    "Values must be positive and nonzero, or else behaviors are implementation dependent (e.g. correct results, "
    "incorrect results, or compilation failure)."
)
_SCALES_BACK: Final = (
    "Values must be positive and nonzero, or else the behavior is implementation-defined (e.g. correct results, "
    "incorrect results, or compilation failure)."
)
_UNARY: Final = "api-mlgraphbuilder-unary"
_CAST: Final = "api-mlgraphbuilder-cast"

_CASTS: Final = (
    Case(
        "cast-float-to-int32",
        _CAST,
        _TO_INTEGER,
        "",
        lambda b, x: b.cast(x(floats(3e9, -3e9, inf, -inf, nan, -2.7)), "int32"),
    ),
    Case(
        "cast-float-to-int8",
        _CAST,
        _TO_INTEGER,
        "",
        lambda b, x: b.cast(x(floats(300, -300, 127.9, inf, -inf, nan)), "int8"),
    ),
    Case(
        "cast-float-to-uint8",
        _CAST,
        _TO_INTEGER,
        "The specification itself names -1 as an example that is implementation-defined.",
        lambda b, x: b.cast(x(floats(-1, 256, 300.7, -0.9, inf, nan)), "uint8"),
    ),
    Case(
        "cast-float-to-uint32",
        _CAST,
        _TO_INTEGER,
        "",
        lambda b, x: b.cast(x(floats(-1, 5e9, inf, nan)), "uint32"),
    ),
    Case(
        "cast-float-to-int64",
        _CAST,
        _TO_INTEGER,
        "",
        lambda b, x: b.cast(x(floats(1e19, -1e19, inf, nan)), "int64"),
    ),
    Case(
        "cast-float-to-float16",
        _CAST,
        _TO_FLOAT,
        "",
        lambda b, x: b.cast(x(floats(70000, -70000, 65519, 65520, 1e-8)), "float16"),
        decided=True,
    ),
    Case(
        "cast-integer-to-float16",
        _CAST,
        _TO_FLOAT,
        "",
        lambda b, x: b.cast(x(ints(70000, -70000, 2049, 2051)), "float16"),
        decided=True,
    ),
    Case(
        "cast-integer-to-integer",
        _CAST,
        _LOWEST_BITS,
        "",
        lambda b, x: b.cast(x(ints(-1, 300, -129, _LOWEST)), "int8"),
        decided=True,
    ),
    Case(
        "cast-integer-to-uint8",
        _CAST,
        _LOWEST_BITS,
        "The specification itself has -1 as an example: it yields 255.",
        lambda b, x: b.cast(x(ints(-1, 256, 300)), "uint8"),
        decided=True,
    ),
    Case(
        "cast-large-integer-to-float",
        _CAST,
        _TO_FLOAT,
        "16777217 and 16777219 lie half way between two floats; the nearest is not said to be the even one.",
        lambda b, x: b.cast(x(ints(16777217, 16777219, _HIGHEST)), "float32"),
    ),
)

_QUANTIZATION: Final = (
    Case(
        "round-even-halves",
        _UNARY,
        "Round the input tensor with halves to the nearest even value, element-wise",
        "The sign of a zero is not said.",
        lambda b, x: b.round_even(x(floats(0.5, 1.5, 2.5, -0.5, -1.5, 8388609))),
    ),
    Case(
        "quantize-halves-one-scale",
        "api-mlgraphbuilder-quantizelinear",
        _QUANTIZE,
        "",
        lambda b, x: b.quantize_linear(x(floats(0.5, 1.5, 2.5, 3.5)), b.constant(floats(1)), b.constant(octets(0))),
        decided=True,
    ),
    Case(
        "quantize-halves-many-scales",
        "api-mlgraphbuilder-quantizelinear",
        _QUANTIZE,
        "",
        lambda b, x: b.quantize_linear(
            x(floats(0.5, 1.5, 2.5, 3.5)), b.constant(floats(1, 1, 1, 1)), b.constant(octets(0, 0, 0, 0))
        ),
        decided=True,
    ),
    Case(
        "quantize-out-of-range",
        "api-mlgraphbuilder-quantizelinear",
        _QUANTIZE,
        "NaN passes through clamp, and its cast is implementation-defined.",
        lambda b, x: b.quantize_linear(
            x(floats(-1000, 1000, -inf, inf, nan)), b.constant(floats(1)), b.constant(octets(128))
        ),
    ),
    Case(
        "quantize-scale-zero",
        "api-mlgraphbuilder-quantizelinear",
        _SCALES,
        "",
        lambda b, x: b.quantize_linear(x(floats(-2, 0, 2)), b.constant(floats(0)), b.constant(octets(128))),
    ),
    Case(
        "quantize-scale-negative",
        "api-mlgraphbuilder-quantizelinear",
        _SCALES,
        "",
        lambda b, x: b.quantize_linear(x(floats(-2, 0, 2)), b.constant(floats(-1)), b.constant(octets(128))),
    ),
    Case(
        "dequantize-scale-zero",
        "api-mlgraphbuilder-dequantizelinear",
        _SCALES_BACK,
        "",
        lambda b, x: b.dequantize_linear(x(octets(0, 128, 255)), b.constant(floats(0)), b.constant(octets(128))),
    ),
    Case(
        "dequantize-scale-negative",
        "api-mlgraphbuilder-dequantizelinear",
        _SCALES_BACK,
        "",
        lambda b, x: b.dequantize_linear(x(octets(0, 128, 255)), b.constant(floats(-1)), b.constant(octets(128))),
    ),
)

_INDICES: Final = (
    Case(
        "gather-out-of-range",
        "api-mlgraphbuilder-gather",
        _CLAMPED,
        "No algorithm specifies the clamping; negative indices count from the end.",
        lambda b, x: b.gather(x(floats(10, 20, 30)), x(ints(3, 100, -1, -3, -4, -100))),
    ),
    Case(
        "gather-elements-out-of-range",
        "api-mlgraphbuilder-gatherelements",
        _CLAMPED,
        "No algorithm specifies the clamping; negative indices count from the end.",
        lambda b, x: b.gather_elements(x(floats(10, 20, 30)), b.constant(ints(3, 100, -1, -3, -4, -100))),
    ),
    Case(
        "gather-nd-out-of-range",
        "api-mlgraphbuilder-gathernd",
        _CLAMPED,
        "No algorithm specifies the clamping; negative indices count from the end.",
        lambda b, x: b.gather_nd(x(floats([1, 2], [3, 4])), x(ints([2, 0], [0, -1], [-3, 0], [5, 5]))),
    ),
    Case(
        "scatter-elements-out-of-range",
        "api-mlgraphbuilder-scatterelements",
        _CLAMPED,
        "No algorithm specifies the clamping; negative indices count from the end.",
        lambda b, x: b.scatter_elements(x(floats(0, 0, 0, 0)), b.constant(ints(100, -100)), x(floats(1, 2))),
    ),
    Case(
        "scatter-nd-out-of-range",
        "api-mlgraphbuilder-scatternd",
        _CLAMPED,
        "No algorithm specifies the clamping; negative indices count from the end.",
        lambda b, x: b.scatter_nd(x(floats(0, 0, 0, 0)), x(ints([100], [-100])), x(floats(1, 2))),
    ),
    Case(
        "scatter-elements-repeated",
        "api-mlgraphbuilder-scatterelements",
        "Scatter values from the updates tensor atop a copy of the input tensor",
        "Which of several updates of one place stays is not said.",
        lambda b, x: b.scatter_elements(x(floats(0, 0, 0)), b.constant(ints(1, 1, 0, 1)), x(floats(1, 2, 3, 4))),
    ),
    Case(
        "scatter-nd-repeated",
        "api-mlgraphbuilder-scatternd",
        "Scatter slices of values from the update tensor atop a copy of the input tensor according to the indices.",
        "Which of several updates of one place stays is not said.",
        lambda b, x: b.scatter_nd(x(floats(0, 0, 0)), x(ints([1], [1], [0], [1])), x(floats(1, 2, 3, 4))),
    ),
)

CONVERSIONS: Final = (*_CASTS, *_QUANTIZATION, *_INDICES)
