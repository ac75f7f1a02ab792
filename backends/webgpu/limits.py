"""What the backend supports: the specification's table, without what is wrong, or cannot be kept, on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from webnn.backends.webgpu.device import has_float16
from webnn.backends.webgpu.kernels import KEPT_AS
from webnn.graph.dtypes import DataType
from webnn.graph.limits import ALGORITHM_GAPS, LimitsTable, narrowed

__all__ = ["webgpu_limits"]

_SMALL: Final[tuple[DataType, ...]] = ("int8", "uint8")
_NIBBLES: Final[tuple[DataType, ...]] = ("int4", "uint4")
# fmt: off
_ON_SMALL: Final = (
    "cast", "clamp", "concat", "dequantize_linear", "equal", "expand", "gather", "gather_elements", "gather_nd",
    "greater", "greater_or_equal", "identity", "is_infinite", "is_nan", "lesser", "lesser_or_equal", "logical_and",
    "logical_not", "logical_or", "logical_xor", "max", "min", "not_equal", "pad", "quantize_linear", "relu", "reshape",
    "reverse", "scatter_elements", "scatter_nd", "sign", "slice", "split", "tile", "transpose", "triangular", "where",
)
# fmt: on
"""Operators that are right on integers of 8 bits which are kept in 32: no sum or product goes beyond their range."""


@cache
def webgpu_limits() -> LimitsTable:
    """The table, for the device of this process."""
    assert KEPT_AS.keys() == {*_SMALL}
    table = narrowed(ALGORITHM_GAPS)
    gaps: Mapping[str, Mapping[str, Sequence[DataType]]] = {
        op: {
            operand: (
                *(() if has_float16() else ("float16",)),
                *(() if op in _ON_SMALL else _SMALL),
                *(() if op == "dequantize_linear" else _NIBBLES),
            )
            for operand in rows
        }
        for op, rows in table.items()
    }
    return narrowed(gaps, table)
