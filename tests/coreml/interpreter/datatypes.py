"""The data types of ML Programs under the names of the documentation, and the arrays that have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

__all__ = ["BLOB_TYPES", "DTYPES", "NAMES", "Array", "ValueType", "wide"]

Array: TypeAlias = np.ndarray[Any, Any]

DTYPES: Final[dict[str, Any]] = {
    "fp16": np.dtype(np.float16),
    "fp32": np.dtype(np.float32),
    "int8": np.dtype(np.int8),
    "int16": np.dtype(np.int16),
    "int32": np.dtype(np.int32),
    "uint8": np.dtype(np.uint8),
    "uint16": np.dtype(np.uint16),
    "uint32": np.dtype(np.uint32),
    "bool": np.dtype(np.bool_),
    "string": np.dtype(object),
}

NAMES: Final[dict[str, str]] = {
    "FLOAT16": "fp16",
    "FLOAT32": "fp32",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "BOOL": "bool",
    "STRING": "string",
}
"""From the names of `MIL.proto`. 64-bit types are there too, but no operator takes them."""

BLOB_TYPES: Final[dict[int, str]] = {
    1: "fp16",
    2: "fp32",
    3: "uint8",
    4: "int8",
    6: "int16",
    7: "uint16",
    14: "int32",
    15: "uint32",
}
"""The codes of data types in blob files."""


@dataclass(frozen=True, slots=True)
class ValueType:
    """The declared type of a value."""

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


def wide(array: Array) -> Array:
    """`array` in the type to compute in: float64 or int64, both exact; booleans and strings as they are."""
    if array.dtype.kind == "f":
        return array.astype(np.float64)
    return array.astype(np.int64) if array.dtype.kind in "iu" else array
