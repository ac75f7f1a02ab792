"""The WebNN data types that hold ONNX's element types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import ml_dtypes
import numpy as np

from webnn.backends.onnx.messages import TensorProto
from webnn.formats.onnx.file.element_types import type_name
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.graph.dtypes import DataType

__all__ = ["HELD_AS", "data_type_for", "held"]

HELD_AS: Final[Mapping[np.dtype[Any], np.dtype[Any]]] = {
    np.dtype(np.bool_): np.dtype(np.uint8),
    np.dtype(np.float64): np.dtype(np.float32),
    np.dtype(ml_dtypes.bfloat16): np.dtype(np.float32),
    np.dtype(np.int16): np.dtype(np.int32),
    np.dtype(np.uint16): np.dtype(np.int32),
    np.dtype(ml_dtypes.int2): np.dtype(ml_dtypes.int4),
    np.dtype(ml_dtypes.uint2): np.dtype(ml_dtypes.uint4),
}
"""The NumPy types that hold those which WebNN lacks. A uint16 is held by a signed type, since quantization subtracts a
zero point from it."""

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
        raise UnsupportedNodeError(f"no WebNN type holds {type_name(element_type)}")
    return _ELEMENT_TYPES[element_type]


def held(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """`array` in a type that WebNN has; not copied if its type is one already."""
    target = HELD_AS.get(array.dtype)
    if target is None:
        return array
    with np.errstate(over="ignore"):  # the lowest float64, written for minus infinity, becomes infinite
        return array.astype(target)
