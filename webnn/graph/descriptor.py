"""`MLOperandDescriptor`: the data type and shape of an operand, and the checks that every shape passes.

Spec: https://www.w3.org/TR/webnn/#api-mloperanddescriptor
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from webnn.errors import ValidationError
from webnn.graph.arguments import enum_value, unsigned_list
from webnn.graph.dtypes import DATA_TYPES, DataType, element_bits, numpy_dtype

__all__ = [
    "MAX_BYTE_LENGTH",
    "MAX_DIMENSION",
    "MAX_RANK",
    "MAX_TENSOR_COUNT",
    "MLOperandDescriptor",
    "output_descriptor",
]

MAX_RANK: Final = 8
"""The specification's N: the largest number of dimensions of any operand."""
MAX_DIMENSION: Final = 2**31 - 1
"""A "valid dimension" is 1 to this."""
MAX_BYTE_LENGTH: Final = 2**31 - 1
"""`opSupportLimits().maxTensorByteLength`."""
MAX_TENSOR_COUNT: Final = 8192
"""A "valid tensor count" is 1 to this: inputs of `concat`, outputs of `split`."""


class MLOperandDescriptor:
    """A data type and a shape, immutable and checked: `MLOperandDescriptor("float32", [2, 3])`.

    Raises:
        ValidationError: an unknown data type; a dimension that is not 1 to 2**31 - 1; more than 8 dimensions; more
            than 2**31 - 1 elements or bytes.
    """

    __slots__ = ("byte_length", "data_type", "dtype", "key", "shape")

    data_type: DataType
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    byte_length: int
    """The size in bytes: 4-bit types count two elements to a byte, rounded up."""
    key: tuple[DataType, tuple[int, ...]]
    """Equal for equal descriptors; hashes fast."""

    def __init__(self, data_type: DataType, shape: Sequence[int]) -> None:
        self.data_type = enum_value("data type", data_type, DATA_TYPES)
        self.shape = unsigned_list("shape", shape)
        self.dtype = numpy_dtype(self.data_type)
        self.key = (self.data_type, self.shape)
        if len(self.shape) > MAX_RANK:
            raise ValidationError(
                f"shape {self.shape} has {len(self.shape)} dimensions, at most {MAX_RANK} are supported"
            )
        for dimension in self.shape:
            if not 1 <= dimension <= MAX_DIMENSION:
                raise ValidationError(f"shape {self.shape}: dimension {dimension} is not in 1 to {MAX_DIMENSION}")
        count = math.prod(self.shape)
        if count > MAX_DIMENSION:
            raise ValidationError(f"shape {self.shape} has {count} elements, at most {MAX_DIMENSION} are supported")
        self.byte_length = (count * element_bits(self.data_type) + 7) // 8
        if self.byte_length > MAX_BYTE_LENGTH:
            raise ValidationError(
                f"{self.data_type} {self.shape} takes {self.byte_length} bytes, at most {MAX_BYTE_LENGTH} are supported"
            )

    @property
    def rank(self) -> int:
        """The number of dimensions, 0 for a scalar."""
        return len(self.shape)

    @property
    def element_count(self) -> int:
        """The number of elements, 1 for a scalar."""
        return math.prod(self.shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MLOperandDescriptor) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"MLOperandDescriptor({self.data_type!r}, {list(self.shape)})"


def output_descriptor(data_type: DataType, shape: Sequence[int]) -> MLOperandDescriptor:
    """That of a result whose dimensions are sums or products, which may be too large for any argument."""
    largest = max(shape, default=1)
    if largest > MAX_DIMENSION:
        raise ValidationError(f"output shape {tuple(shape)}: dimension {largest} is not in 1 to {MAX_DIMENSION}")
    try:
        return MLOperandDescriptor(data_type, shape)
    except ValidationError as error:
        raise ValidationError(f"output {error}") from None
