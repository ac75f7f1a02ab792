"""Conversion of arrays, buffers and lists of numbers to NumPy arrays. All data from outside comes in here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from webnn.errors import ValidationError
from webnn.graph.arguments import shown
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import FLOATS, DataType, data_type_of, integer_range, numpy_dtype

__all__ = [
    "array_from",
    "beyond",
    "check_unmasked",
    "is_array",
    "of_booleans",
    "of_one_item",
    "owner_of",
    "random_array",
    "written_dtype",
]


def array_from(data: object, descriptor: MLOperandDescriptor | None = None) -> np.ndarray[Any, Any]:
    """`data` as a C-contiguous array in native byte order. An array that is one already is not copied.

    Args:
        data: an array (`__dlpack__`, `__array__`), a buffer, or, with a descriptor, nested lists of numbers.
        descriptor: the required data type and shape. As in the specification, raw bytes (`bytes`, `bytearray`, a
            `memoryview` or array of unsigned bytes) and one-dimensional arrays of that type are accepted as the
            elements in row-major order. Booleans are uint8, which is what WebNN has in their place.

    Raises:
        ValidationError: the data is not numeric, or does not match the descriptor's data type, shape or size.
    """
    array = of_booleans(_as_array(data, descriptor), np.dtype(np.uint8) if descriptor is None else descriptor.dtype)
    if descriptor is None:
        data_type_of(array.dtype)
        return _contiguous(array)
    if array.dtype == np.uint8 and array.ndim <= 1 and descriptor.data_type != "uint8":
        array = _from_bytes(array, descriptor)
    elif array.dtype != descriptor.dtype or not array.dtype.isnative:
        given = f"{written_dtype(array.dtype)} {list(array.shape)}"
        raise ValidationError(f"expected {descriptor}, got {given}; {_conversion(data, array, descriptor)}")
    if array.shape != descriptor.shape:
        if array.ndim != 1 or array.size != descriptor.element_count:
            raise ValidationError(
                f"expected {descriptor}, got shape {list(array.shape)}{of_one_item(array.shape, descriptor.shape)}"
            )
        array = array.reshape(descriptor.shape)
    return _contiguous(array)


def written_dtype(dtype: np.dtype[Any]) -> str:
    """The name of `dtype` for messages, which says so if its bytes are swapped."""
    return dtype.name if dtype.isnative else f"{dtype.str!r} (not in native byte order)"


def is_array(data: object) -> bool:
    """Whether `data` has a data type and a shape of its own, so that `array_from` needs no descriptor for it."""
    return isinstance(data, memoryview) or any(hasattr(data, protocol) for protocol in (*_OF_NUMPY, "__dlpack__"))


def _conversion(data: object, array: np.ndarray[Any, Any], descriptor: MLOperandDescriptor) -> str:
    """What to write for `data`, which has another data type; for the end of a message."""
    name = descriptor.dtype.name
    if array.dtype.names:
        return f"it has fields, take one: array[{array.dtype.names[0]!r}]"
    if array.dtype.kind == "c":
        return f"WebNN has no complex numbers: take array.real.astype({name!r}), .imag or abs(array)"
    return f"convert it: {_TORCH}{name})" if _is_of_torch(data) else f"convert it: array.astype({name!r})"


_OF_NUMPY: Final = ("__array__", "__array_interface__", "__array_struct__")
_TORCH: Final = "tensor.detach().cpu().to(torch."


def _is_of_torch(data: object) -> bool:
    return type(data).__module__.partition(".")[0] == "torch"


def check_unmasked(data: object) -> None:
    """Raise an error for masked elements, also of arrays in a list: conversions would show what is under the masks."""
    ma = sys.modules.get("numpy.ma")  # slow to import; without the module there are no masked arrays
    if ma is None:
        return
    if isinstance(data, ma.MaskedArray):
        if count := ma.count_masked(data):
            raise ValidationError(
                f"{count} of {data.size} elements are masked, and WebNN has no masks: write array.filled(value)"
            )
    elif isinstance(data, list | tuple) and data and isinstance(data[0], list | tuple | np.ndarray):
        for item in data:
            check_unmasked(item)


def of_booleans(array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """`array`, or the 0 and 1 that it is made of if it holds booleans and `dtype` is uint8. Nothing is copied."""
    return array.view(np.uint8) if array.dtype == np.bool_ and dtype == np.uint8 else array


def _contiguous(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.ndim == 0 or (type(array) is np.ndarray and array.flags.c_contiguous):
        return array
    return np.ascontiguousarray(array)  # it would make a scalar one-dimensional


def of_one_item(shape: Sequence[int], expected: Sequence[int | str]) -> str:
    """What to write if an array lacks only the first dimension, which is 1 or open; for the end of a message."""
    whole = (1, *shape)
    fits = len(whole) == len(expected) and all(
        isinstance(a, str) or a == b for a, b in zip(expected, whole, strict=True)
    )
    return "; add the first dimension: array[np.newaxis]" if fits else ""


def beyond(array: np.ndarray[Any, Any], data_type: DataType) -> int | None:
    """The number in an array of integers that `data_type` cannot hold, the largest first; None if it holds all."""
    if not array.size:
        return None
    low, high = integer_range(data_type)
    smallest, largest = int(array.min()), int(array.max())
    return largest if largest > high else smallest if smallest < low else None


def owner_of(array: np.ndarray[Any, Any]) -> object:
    """The object that holds the memory of `array`: an array, or `bytes`, a memory map and so on."""
    base: object = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    return base.obj if isinstance(base, memoryview) else base


def _as_array(data: object, descriptor: MLOperandDescriptor | None) -> np.ndarray[Any, Any]:
    if data.__class__ is np.ndarray:
        return data
    check_unmasked(data)
    if isinstance(data, np.ndarray):
        return data
    if isinstance(data, np.generic):
        return np.asarray(data)
    try:
        if isinstance(data, bytes | bytearray):
            return np.frombuffer(data, np.uint8)
        if any(hasattr(data, protocol) for protocol in _OF_NUMPY):
            return np.asarray(data)
        if hasattr(data, "__dlpack__"):
            return np.from_dlpack(data)
        if isinstance(data, list | tuple | int | float):
            if descriptor is None:
                raise TypeError(
                    "a list has no data type; write np.array(..., 'float32')"
                    if isinstance(data, list | tuple)
                    else f"a number has no data type; write constant('float32', {data!r})"
                )
            return _from_numbers(data, descriptor.data_type)
        return np.asarray(_buffer(data))
    except (TypeError, ValueError, OverflowError, BufferError, RuntimeError) as error:
        wanted = "an array or a buffer" if descriptor is None else str(descriptor)
        name = "float32" if descriptor is None else descriptor.dtype.name
        unsaid = _is_of_torch(data) and "Use " not in str(error)  # PyTorch says what to do, but for bfloat16
        hint = f"; convert it: {_TORCH}{name})" if unsaid else ""
        raise ValidationError(f"expected {wanted}, got {type(data).__name__}: {error}{hint}") from None


def _buffer(data: object) -> memoryview:
    try:
        return memoryview(data)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError("it is not an array, a buffer or a list of numbers") from None


def _from_numbers(data: object, data_type: DataType) -> np.ndarray[Any, Any]:
    """Nested lists of numbers. Floats are rounded to the data type; integers must be in its range."""
    given, dtype = np.asarray(data), numpy_dtype(data_type)
    if given.dtype == dtype:
        return given
    if given.dtype.kind not in "biuf" and not all(isinstance(item, int | float) for item in given.flat):
        raise TypeError("it holds items that are not numbers")  # NumPy would parse strings, and read None as NaN
    if data_type in FLOATS:
        with np.errstate(over="ignore"):
            return given.astype(dtype)
    low, high = integer_range(data_type)
    integers = given.dtype.kind in "biu" and given.size > 0
    for item in (int(given.min()), int(given.max())) if integers else given.ravel().tolist():
        if not low <= item <= high or item != int(item):
            raise ValueError(f"{shown(item)} is not an integer from {low} to {high}, the range of {data_type}")
    return given.astype(dtype)


def _from_bytes(array: np.ndarray[Any, Any], descriptor: MLOperandDescriptor) -> np.ndarray[Any, Any]:
    if array.nbytes != descriptor.byte_length:
        raise ValidationError(f"expected {descriptor.byte_length} bytes for {descriptor}, got {array.nbytes}")
    array = np.ascontiguousarray(array)
    if descriptor.data_type in ("int4", "uint4"):  # two in each byte, the first one in the low bits
        nibbles = np.stack([array & 15, array >> 4], axis=-1).reshape(-1)[: descriptor.element_count]
        if descriptor.data_type == "int4":
            nibbles = ((nibbles ^ 8).astype(np.int8) - 8).astype(np.int8)
        return nibbles.astype(numpy_dtype(descriptor.data_type)).reshape(descriptor.shape)
    return array.view(descriptor.dtype).reshape(descriptor.shape)


def random_array(descriptor: MLOperandDescriptor, generator: np.random.Generator) -> np.ndarray[Any, Any]:
    """Floats of the standard normal distribution; integers from 0 to 9, which are indices into most things."""
    if descriptor.data_type.startswith("float"):
        return generator.standard_normal(descriptor.shape, np.float32).astype(descriptor.dtype)
    return generator.integers(0, 10, descriptor.shape).astype(descriptor.dtype)
