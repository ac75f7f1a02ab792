"""The data types of operands and tensors, and how a number becomes one of their values.

One row per type; everything else about types is looked up here.
Spec: https://www.w3.org/TR/webnn/#api-mloperanddescriptor and #algorithms-casting
"""

import math
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, cast, get_args

import ml_dtypes
import numpy as np

from webnn.errors import ValidationError

__all__ = [
    "ALL",
    "DATA_TYPES",
    "FLOATS",
    "INDICES",
    "SIGNED",
    "DataType",
    "Number",
    "cast_number",
    "data_type_of",
    "element_bits",
    "integer_range",
    "numpy_dtype",
]

DataType: TypeAlias = Literal[
    "float32", "float16", "int32", "uint32", "int64", "uint64", "int8", "uint8", "int4", "uint4"
]
"""The specification's eight data types, plus the 4-bit integers of quantized constants."""

Number: TypeAlias = int | float
"""`MLNumber`: a Python int keeps its precision where a 64-bit type needs it."""


@dataclass(frozen=True, slots=True)
class _Row:
    dtype: np.dtype[Any]
    bits: int


DATA_TYPES: Final[dict[DataType, _Row]] = {
    "float32": _Row(np.dtype(np.float32), 32),
    "float16": _Row(np.dtype(np.float16), 16),
    "int32": _Row(np.dtype(np.int32), 32),
    "uint32": _Row(np.dtype(np.uint32), 32),
    "int64": _Row(np.dtype(np.int64), 64),
    "uint64": _Row(np.dtype(np.uint64), 64),
    "int8": _Row(np.dtype(np.int8), 8),
    "uint8": _Row(np.dtype(np.uint8), 8),
    "int4": _Row(np.dtype(ml_dtypes.int4), 4),
    "uint4": _Row(np.dtype(ml_dtypes.uint4), 4),
}

ALL: Final[tuple[DataType, ...]] = cast(tuple[DataType, ...], get_args(DataType)[:8])
"""The specification's eight types, in its order. The 4-bit types are ours and are named where they are allowed."""
FLOATS: Final[tuple[DataType, ...]] = ("float32", "float16")
SIGNED: Final[tuple[DataType, ...]] = ("float32", "float16", "int32", "int64", "int8")
INDICES: Final[tuple[DataType, ...]] = ("int32", "uint32", "int64")

_FLOAT16_MAX: Final = 65504.0

_BY_DTYPE: Final[dict[np.dtype[Any], DataType]] = {row.dtype: name for name, row in DATA_TYPES.items()}


def numpy_dtype(data_type: DataType) -> np.dtype[Any]:
    """The NumPy dtype that holds one element of `data_type` (4-bit types take one byte per element in memory)."""
    return DATA_TYPES[data_type].dtype


def element_bits(data_type: DataType) -> int:
    """The size of one element, in bits, as the type is stored in a packed buffer."""
    return DATA_TYPES[data_type].bits


def data_type_of(dtype: np.dtype[Any]) -> DataType:
    """The data type whose elements a NumPy array of `dtype` holds.

    Raises:
        ValidationError: `dtype` has another byte order, or no WebNN type has its values.
    """
    found = _BY_DTYPE.get(dtype)
    if found is not None:
        return found
    if not dtype.isnative:
        raise ValidationError(f"dtype {dtype.str!r} has the other byte order; convert it: array.astype({dtype.name!r})")
    raise ValidationError(
        f"dtype {dtype.name!r} is no WebNN data type; these are: {', '.join(DATA_TYPES)}; array.astype converts"
    )


def integer_range(data_type: DataType) -> tuple[int, int]:
    """The lowest and the highest value of an integer type."""
    bits = element_bits(data_type)
    return (0, (1 << bits) - 1) if data_type.startswith("u") else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def cast_number(value: Number, data_type: DataType) -> Number:
    """`value` as the nearest value of `data_type` (the specification's "cast").

    Floats round to nearest even and overflow to infinity; integers clamp to the range and round half to even, and NaN
    becomes 0. Python integers keep all their digits on the way.

    >>> cast_number(300.5, "uint8"), cast_number(-1, "uint64"), cast_number(2**63 - 1, "int64")
    (255, 0, 9223372036854775807)
    """
    dtype = numpy_dtype(data_type)
    if data_type in FLOATS:
        if -_FLOAT16_MAX <= value <= _FLOAT16_MAX:  # the usual case; `errstate` takes longer than the conversion
            return float(dtype.type(value))
        with np.errstate(over="ignore"):
            try:
                return float(dtype.type(value))
            except OverflowError:  # a Python int beyond float64
                return math.inf if value > 0 else -math.inf
    if isinstance(value, float) and math.isnan(value):
        return 0
    low, high = integer_range(data_type)
    return round(min(max(value, low), high))
