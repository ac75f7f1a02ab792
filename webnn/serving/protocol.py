"""The terms of the protocol: data types, tensors as clients see them, and refusals.

Protocol: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import DataType

__all__ = ["DATATYPES", "HEADER_LENGTH", "JSON", "OCTETS", "SENT", "Port", "Refused", "Unsupported"]

DATATYPES: Final[Mapping[DataType, str]] = {
    "float32": "FP32",
    "float16": "FP16",
    "int32": "INT32",
    "uint32": "UINT32",
    "int64": "INT64",
    "uint64": "UINT64",
    "int8": "INT8",
    "uint8": "UINT8",
}
"""The protocol's name of each data type."""

Unsupported: Final[Mapping[str, str]] = {
    "BF16": "WebNN has no bfloat16: send FP32",
    "FP64": "WebNN has no float64: send FP32",
    "BYTES": "WebNN has no strings: send numbers",
    "BOOL": "WebNN has no booleans: send UINT8, 0 and 1",
    "INT16": "WebNN has no int16: send INT32",
    "UINT16": "WebNN has no uint16: send INT32",
}
"""The data types of the protocol that no model has, with what to do."""

SENT: Final[Mapping[str, Mapping[str, str]]] = {
    "UINT8": {"BOOL": "u1"},
    "INT32": {"INT16": "<i2", "UINT16": "<u2"},
    "FP32": {"BF16": "<u2"},
}
"""By the data type that a served model has in place of one that WebNN lacks: those that its file may declare, which
clients may send, and NumPy's type of their bytes. The model's type has all of their values."""

HEADER_LENGTH: Final = b"inference-header-content-length"
"""The header with the length of the JSON part of a body that has binary tensors."""
JSON: Final = b"application/json"
OCTETS: Final = b"application/octet-stream"


class Refused(Exception):  # noqa: N818 (it is an answer, not a failure of the server)
    """A request that is answered with an error.

    Args:
        status: the HTTP status.
        message: for the client.
        headers: further headers of the answer.
    """

    def __init__(self, status: int, message: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Port:
    """An input or an output of a served model.

    Attributes:
        name: as the model has it.
        datatype: the protocol's name of its data type.
        dtype: NumPy's.
        shape: the shape of one item, with the leading 1 if `batched`.
        batched: whether the leading dimension may have any size in a request, which is the number of items.
    """

    name: str
    datatype: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    batched: bool

    @classmethod
    def of(cls, name: str, descriptor: MLOperandDescriptor, *, batched: bool) -> Port:
        """The port of a tensor of a graph."""
        return cls(name, DATATYPES[descriptor.data_type], descriptor.dtype, descriptor.shape, batched)

    @property
    def open_shape(self) -> list[int]:
        """The shape for clients, -1 for any size."""
        return [-1, *self.shape[1:]] if self.batched else list(self.shape)

    def shape_of(self, items: int) -> tuple[int, ...]:
        """The shape of so many items; that of the only one if it is not batched."""
        return (items, *self.shape[1:]) if self.batched else self.shape

    @property
    def elements(self) -> int:
        """The number of elements of one item."""
        product = 1
        for size in self.shape:
            product *= size
        return product

    def sent_as(self, datatype: object, *, binary: bool) -> Port:
        """The port as a client sends it: of one of the types in `SENT`, or as it is."""
        stored = SENT.get(self.datatype, {})
        if not isinstance(datatype, str) or datatype not in stored:
            return self
        in_json = datatype == "BF16" and not binary
        return replace(self, datatype=datatype, dtype=self.dtype if in_json else np.dtype(stored[datatype]))

    def widened(self, values: np.ndarray[Any, Any], datatype: str) -> np.ndarray[Any, Any]:
        """The array of the model for one that was sent as `datatype`."""
        if values.dtype == self.dtype:
            return values
        if datatype == "BF16":  # the upper half of a float32
            return (values.astype("<u4") << 16).view(self.dtype)
        return values.astype(self.dtype)

    def metadata(self) -> dict[str, Any]:
        """Its entry in the metadata of the model."""
        return {"name": self.name, "datatype": self.datatype, "shape": self.open_shape}
