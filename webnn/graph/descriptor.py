"""`MLOperandDescriptor`: the data type and shape of an operand, and the validation of shapes.

Spec: https://www.w3.org/TR/webnn/#api-mloperanddescriptor
"""

import math
from collections.abc import Sequence
from typing import Any, Final, overload

import numpy as np

from webnn.errors import ValidationError
from webnn.graph.arguments import data_type_named, unsigned_list
from webnn.graph.dtypes import DATA_TYPES, DataType, DataTypeLike
from webnn.graph.frozen import setters
from webnn.graph.quick_dataclass import dataclass

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
"""The largest "valid dimension"; the smallest is 1."""
MAX_BYTE_LENGTH: Final = 2**31 - 1
"""`opSupportLimits().maxTensorByteLength`."""
MAX_TENSOR_COUNT: Final = 8192
"""The largest "valid tensor count", of the inputs of `concat` and the outputs of `split`; the smallest is 1."""


@dataclass(frozen=True, slots=True, eq=False, init=False, repr=False)
class MLOperandDescriptor:
    """A shape and a data type, immutable and valid: `MLOperandDescriptor([2, 3], "float32")`.

    The data type may also be a NumPy type: `np.float32`, or the `dtype` of an array. The order of the specification's
    dictionary, `MLOperandDescriptor("float32", [2, 3])`, means the same.

    Raises:
        ValidationError: an unknown data type; a dimension that is not 1 to 2**31 - 1; more than 8 dimensions; more
            than 2**31 - 1 elements or bytes.
    """

    data_type: DataType
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    byte_length: int
    """The size in bytes. Two elements of a 4-bit type share a byte, and the size is rounded up."""
    key: tuple[DataType, tuple[int, ...]]
    """Equal for equal descriptors, and fast to hash."""

    @overload
    def __init__(self, shape: Sequence[int], data_type: DataTypeLike) -> None: ...
    @overload
    def __init__(self, data_type: DataTypeLike, shape: Sequence[int], /) -> None: ...
    def __init__(self, shape: Any, data_type: Any) -> None:
        if type(shape) is str or _is_type_and_shape(shape, data_type):
            shape, data_type = data_type, shape
        row = DATA_TYPES.get(data_type) if type(data_type) is str else None  # type: ignore[call-overload]
        if row is None:
            data_type = data_type_named("data type", data_type)
            row = DATA_TYPES[data_type]
        sizes = unsigned_list("shape", shape)
        count = math.prod(sizes)
        if len(sizes) > MAX_RANK or not 1 <= count <= MAX_DIMENSION:  # if the count is in range, so is each dimension
            raise ValidationError(_what_is_wrong(sizes))
        byte_length = (count * row.bits + 7) // 8
        if byte_length > MAX_BYTE_LENGTH:
            raise ValidationError(
                f"{data_type} {list(sizes)} takes {byte_length} bytes; at most {MAX_BYTE_LENGTH} are supported"
            )
        _set_data_type(self, data_type)
        _set_shape(self, sizes)
        _set_dtype(self, row.dtype)
        _set_byte_length(self, byte_length)
        _set_key(self, (data_type, sizes))

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

    def __str__(self) -> str:
        return f"{self.data_type} {list(self.shape)}"

    def __repr__(self) -> str:
        return f"MLOperandDescriptor({list(self.shape)}, {self.data_type!r})"


_set_data_type, _set_shape, _set_dtype, _set_byte_length, _set_key = setters(MLOperandDescriptor)


def _is_type_and_shape(first: object, second: object) -> bool:
    """Whether the data type, which need not be valid, comes before the shape."""
    return isinstance(first, type | np.dtype) or (
        isinstance(second, list | tuple) and not isinstance(first, list | tuple)
    )


def _what_is_wrong(sizes: tuple[int, ...]) -> str:
    if len(sizes) > MAX_RANK:
        return f"shape {list(sizes)} has {len(sizes)} dimensions; at most {MAX_RANK} are supported"
    for dimension in sizes:
        if not 1 <= dimension <= MAX_DIMENSION:
            return f"shape {list(sizes)}: dimension {dimension} is out of range; it must be 1 to {MAX_DIMENSION}"
    return f"shape {list(sizes)} has {math.prod(sizes)} elements; at most {MAX_DIMENSION} are supported"


def output_descriptor(data_type: DataType, shape: Sequence[int]) -> MLOperandDescriptor:
    """The descriptor of a result whose dimensions are sums or products, and so may be too large."""
    largest = max(shape, default=1)
    if largest > MAX_DIMENSION:
        raise ValidationError(
            f"output shape {list(shape)}: dimension {largest} is out of range; it must be 1 to {MAX_DIMENSION}"
        )
    try:
        return MLOperandDescriptor(data_type, shape)
    except ValidationError as error:
        raise ValidationError(f"output {error}") from None
