"""The data types of operands and tensors, and the conversion of numbers to their values.

The table has one row per data type. Everything else about data types is looked up in it.
Spec: https://www.w3.org/TR/webnn/#api-mloperanddescriptor and #algorithms-casting
"""

import math
from functools import cache
from typing import Any, Final, Literal, TypeAlias, cast, get_args

import numpy as np

from webnn.errors import ValidationError
from webnn.graph.lean_imports import small_dtype
from webnn.graph.other_names import DATA_TYPE_NAMES
from webnn.graph.quick_dataclass import dataclass

__all__ = [
    "ALL",
    "DATA_TYPES",
    "FLOATS",
    "INDICES",
    "SIGNED",
    "DataType",
    "DataTypeLike",
    "Number",
    "cast_number",
    "data_type_of",
    "dtype_name",
    "element_bits",
    "integer_range",
    "numpy_dtype",
]

DataType: TypeAlias = Literal[
    "float32", "float16", "int32", "uint32", "int64", "uint64", "int8", "uint8", "int4", "uint4"
]
"""The specification's eight data types, plus the 4-bit integers of quantized constants."""

DataTypeLike: TypeAlias = DataType | np.dtype[Any] | type[np.generic]
"""A data type by its name, or as NumPy has it: `"float32"`, `np.float32`, `array.dtype`, `ml_dtypes.int4`."""

Number: TypeAlias = int | float
"""`MLNumber`: a Python int keeps its precision where a 64-bit type needs it."""


@cache
def dtype_name(dtype: np.dtype[Any]) -> str:
    """`dtype.name`, which NumPy puts together anew in each call: that was a tenth of the import of a model."""
    return str(dtype.name)


@dataclass(frozen=True, slots=True)
class _Row:
    dtype: np.dtype[Any]
    bits: int


@dataclass(frozen=True, slots=True)
class _SmallRow:
    """A row whose data type is imported when it is asked for."""

    name: str
    bits: int

    @property
    def dtype(self) -> np.dtype[Any]:
        return small_dtype(self.name)


DATA_TYPES: Final[dict[DataType, _Row | _SmallRow]] = {
    "float32": _Row(np.dtype(np.float32), 32),
    "float16": _Row(np.dtype(np.float16), 16),
    "int32": _Row(np.dtype(np.int32), 32),
    "uint32": _Row(np.dtype(np.uint32), 32),
    "int64": _Row(np.dtype(np.int64), 64),
    "uint64": _Row(np.dtype(np.uint64), 64),
    "int8": _Row(np.dtype(np.int8), 8),
    "uint8": _Row(np.dtype(np.uint8), 8),
    "int4": _SmallRow("int4", 4),
    "uint4": _SmallRow("uint4", 4),
}

ALL: Final[tuple[DataType, ...]] = cast(tuple[DataType, ...], get_args(DataType)[:8])
"""The specification's eight types, in its order. Operators that allow the 4-bit types name them as well."""
FLOATS: Final[tuple[DataType, ...]] = ("float32", "float16")
SIGNED: Final[tuple[DataType, ...]] = ("float32", "float16", "int32", "int64", "int8")
INDICES: Final[tuple[DataType, ...]] = ("int32", "uint32", "int64")

_FLOAT16_MAX: Final = 65504.0

_BY_DTYPE: Final[dict[np.dtype[Any], DataType]] = {
    row.dtype: name for name, row in DATA_TYPES.items() if isinstance(row, _Row)
}


def numpy_dtype(data_type: DataType) -> np.dtype[Any]:
    """The NumPy dtype of one element. In memory, an element of a 4-bit type takes a whole byte."""
    return DATA_TYPES[data_type].dtype


def element_bits(data_type: DataType) -> int:
    """The size of one element in bits, in a packed buffer."""
    return DATA_TYPES[data_type].bits


def data_type_of(dtype: np.dtype[Any]) -> DataType:
    """The data type of the elements of a NumPy array with this dtype.

    Raises:
        ValidationError: `dtype` is not in native byte order, or WebNN has no such data type.
    """
    found = _BY_DTYPE.get(dtype)
    if found is not None:
        return found
    if dtype.name == "int4" or dtype.name == "uint4":
        return "int4" if dtype.name == "int4" else "uint4"
    if not dtype.isnative:
        raise ValidationError(
            f"dtype {dtype.str!r} is not in native byte order; convert it: array.astype({dtype.name!r})"
        )
    if dtype.name in DATA_TYPE_NAMES:
        raise ValidationError(
            f"dtype {dtype.name!r} is not a WebNN data type; convert it: array.astype({DATA_TYPE_NAMES[dtype.name]!r})"
        )
    if dtype.names:
        raise ValidationError(
            f"dtype {dtype.name!r} has fields, which WebNN has not; take one: array[{dtype.names[0]!r}]"
        )
    raise ValidationError(
        f"dtype {dtype.name!r} is not a WebNN data type; convert the array with astype() to one of these:"
        f" {', '.join(DATA_TYPES)}"
    )


def integer_range(data_type: DataType) -> tuple[int, int]:
    """The lowest and the highest value of an integer data type."""
    bits = element_bits(data_type)
    return (0, (1 << bits) - 1) if data_type.startswith("u") else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def cast_number(value: Number, data_type: DataType) -> Number:
    """`value` as the nearest value of `data_type` (the specification's "cast").

    For a float type, the value is rounded to nearest, ties to even, and overflow gives infinity. For an integer type,
    it is clamped to the range and rounded, ties to even, and NaN gives 0. Python integers are converted exactly.

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
