"""The WebNN data types that hold ONNX's element types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from webnn.backends.onnx.messages import TensorProto
from webnn.formats.onnx.file.element_types import type_name
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.graph.dtypes import DataType, dtype_name, numpy_dtype

__all__ = ["NARROW", "data_type_for", "held", "held_dtype", "is_held_as_another"]

_HELD_AS: Final[Mapping[str, DataType]] = {
    "bool": "uint8",
    "float64": "float32",
    "bfloat16": "float32",
    "int16": "int32",
    "uint16": "int32",
    "int2": "int4",
    "uint2": "uint4",
}
"""The types that hold those of NumPy which WebNN lacks, by name. A uint16 is held by a signed type, since quantization
subtracts a zero point from it."""

NARROW: Final[Mapping[int, str]] = {
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.INT16: "int16",
    TensorProto.UINT16: "uint16",
}
"""The element types that WebNN lacks, and that round or wrap what is computed in the type that holds them."""

_ELEMENT_TYPES: Final[Mapping[int, DataType]] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float32",
    TensorProto.BFLOAT16: "float32",
    TensorProto.BOOL: "uint8",
    TensorProto.INT8: "int8",
    TensorProto.INT16: "int32",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
    TensorProto.UINT8: "uint8",
    TensorProto.UINT16: "int32",
    TensorProto.UINT32: "uint32",
    TensorProto.UINT64: "uint64",
    TensorProto.INT4: "int4",
    TensorProto.UINT4: "uint4",
    TensorProto.INT2: "int4",
    TensorProto.UINT2: "uint4",
}


def data_type_for(element_type: int) -> DataType:
    """The WebNN type that holds ONNX's `element_type`."""
    if element_type not in _ELEMENT_TYPES:
        nearest = "encode strings as numbers outside the graph" if element_type == TensorProto.STRING else ""
        raise UnsupportedNodeError(f"no WebNN type holds {type_name(element_type)}", nearest)
    return _ELEMENT_TYPES[element_type]


def held(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """`array` in a type that WebNN has; not copied if its type is one already."""
    if not is_held_as_another(array.dtype):
        return array
    with np.errstate(over="ignore"):  # the lowest float64, written for minus infinity, becomes infinite
        return array.astype(held_dtype(array.dtype))


def is_held_as_another(dtype: np.dtype[Any]) -> bool:
    """Whether WebNN lacks the type, and another one holds its values."""
    return dtype_name(dtype) in _HELD_AS


def held_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The NumPy type that holds `dtype`: itself, or the type in its place if WebNN lacks it."""
    return numpy_dtype(_HELD_AS[dtype_name(dtype)]) if is_held_as_another(dtype) else dtype
