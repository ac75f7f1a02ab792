"""The element types of ONNX tensors, and the NumPy types of those that the importer reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from webnn.backends.onnx.messages import TensorProto
from webnn.graph.lean_imports import small_dtype

__all__ = ["element_dtype", "type_name"]

_DTYPES: Final[Mapping[int, np.dtype[Any]]] = {
    TensorProto.FLOAT: np.dtype(np.float32),
    TensorProto.FLOAT16: np.dtype(np.float16),
    TensorProto.DOUBLE: np.dtype(np.float64),
    TensorProto.BOOL: np.dtype(np.bool_),
    TensorProto.INT8: np.dtype(np.int8),
    TensorProto.INT16: np.dtype(np.int16),
    TensorProto.INT32: np.dtype(np.int32),
    TensorProto.INT64: np.dtype(np.int64),
    TensorProto.UINT8: np.dtype(np.uint8),
    TensorProto.UINT16: np.dtype(np.uint16),
    TensorProto.UINT32: np.dtype(np.uint32),
    TensorProto.UINT64: np.dtype(np.uint64),
}
_SMALL: Final[Mapping[int, str]] = {
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.INT4: "int4",
    TensorProto.UINT4: "uint4",
    TensorProto.INT2: "int2",
    TensorProto.UINT2: "uint2",
}


def element_dtype(element_type: int) -> np.dtype[Any] | None:
    """The NumPy type of ONNX's `element_type`.

    None for those that the importer does not read: strings, complex numbers and 8-bit floats.
    """
    return small_dtype(_SMALL[element_type]) if element_type in _SMALL else _DTYPES.get(element_type)


def type_name(element_type: int) -> str:
    """ONNX's name of an element type."""
    names = TensorProto.DataType
    return names.Name(element_type).lower() if element_type in names.values() else f"number {element_type}"
