"""Conversion of Python values as the specification's WebIDL types convert JavaScript values.

Each function raises `ValidationError` for a value that its type does not accept. Messages start with the name of the
argument; the `operator` decorator puts the operator and its label in front.
"""

import math
import operator as _operator
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar, overload

import numpy as np

from webnn.errors import ValidationError
from webnn.graph.dtypes import DATA_TYPES, DataType, Number
from webnn.graph.other_names import DATA_TYPE_NAMES, VALUES

__all__ = [
    "axes_of",
    "axis_of",
    "boolean",
    "data_type_named",
    "described",
    "double",
    "double_list",
    "enum_value",
    "number",
    "printable",
    "shown",
    "signed",
    "unsigned",
    "unsigned_list",
]

E = TypeVar("E", bound=str)

_UNSIGNED_LONG_MAX = 2**32 - 1
_SCALAR_TYPES = set(np.sctypeDict.values())
"""The types of NumPy's scalars, without abstract ones such as `np.floating`, of which NumPy 2.1 makes data types."""


def unsigned(name: str, value: object) -> int:
    """`[EnforceRange] unsigned long`: 0 to 2**32 - 1, as an int, a NumPy integer or a float without a fraction."""
    return _integer(name, value, 0, _UNSIGNED_LONG_MAX)


def signed(name: str, value: object) -> int:
    """`[EnforceRange] long`: -2**31 to 2**31 - 1, as the same types that `unsigned` accepts."""
    return _integer(name, value, -(2**31), 2**31 - 1)


def _integer(name: str, value: object, low: int, high: int) -> int:
    result = value if type(value) is int else _as_integer(name, value)
    if not low <= result <= high:
        raise ValidationError(
            f"{name} must be an integer from {low} to {high}, got {shown(result)}{_open_size(name, result)}"
        )
    return result


def _open_size(name: str, value: object) -> str:
    """The end of a message for a dimension that is left open, as other libraries do it."""
    if value == -1 and name.startswith("new_shape["):
        return "; no size is inferred: give every size"
    if (value is None or value == -1 or isinstance(value, str)) and name.startswith("shape["):
        return "; a graph has fixed shapes: give every size, or use webnn.Model for a file with open dimensions"
    return ""


def _as_integer(name: str, value: object) -> int:
    if isinstance(value, bool) or value is None:
        raise ValidationError(f"{name} must be an integer, got {shown(value)}{_open_size(name, value)}")
    if isinstance(value, float) and value.is_integer():
        return int(value)
    try:
        return _operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ValidationError(f"{name} must be an integer, got {shown(value)}{_open_size(name, value)}") from None


def unsigned_list(name: str, value: object, *, length: int | None = None) -> tuple[int, ...]:
    """`sequence<[EnforceRange] unsigned long>`, with exactly `length` items if `length` is given."""
    plain = type(value) is tuple or type(value) is list
    if plain:
        for item in value:  # type: ignore[attr-defined]
            if type(item) is not int or not 0 <= item <= _UNSIGNED_LONG_MAX:
                plain = False
                break
    if plain:  # the common case does without a call for each item
        result: tuple[int, ...] = tuple(value)  # type: ignore[arg-type]
    else:
        items = _items(name, value, "integers", length or 1)
        result = tuple(unsigned(f"{name}[{i}]", item) for i, item in enumerate(items))
    if length is not None and len(result) != length:
        raise ValidationError(f"{name} must have {length} items, got {list(result)}")
    return result


def _integers(name: str, value: object) -> tuple[int, ...]:
    if type(value) is tuple or type(value) is list:  # the common case does without a call for each item
        for item in value:
            if type(item) is not int:
                break
        else:
            return tuple(value)
    return tuple(_as_integer(f"{name}[{i}]", item) for i, item in enumerate(_items(name, value, "integers")))


def _items(name: str, value: object, kind: str, length: int = 1) -> Iterable[object]:
    if (
        isinstance(value, str | bytes | Mapping)
        or not isinstance(value, Iterable)
        or getattr(value, "shape", None) == ()
    ):
        hint = f"; write {shown([value] * length)}" if type(value) in (int, float) else ""
        raise ValidationError(f"{name} must be a sequence of {kind}, got {shown(value)}{hint}")
    return value


def axis_of(name: str, value: object, shape: tuple[int, ...]) -> int:
    """An axis of an operand with this shape."""
    axis = value if type(value) is int else _as_integer(name, value)
    if not 0 <= axis < len(shape):
        raise ValidationError(f"{name} {shown(axis)} is {_out_of_range(shape, axis)}")
    return axis


def axes_of(name: str, value: object, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Axes of an operand with this shape, in any order and without duplicates."""
    axes = _integers(name, value)
    for i, axis in enumerate(axes):
        if not 0 <= axis < len(shape):
            raise ValidationError(f"{name} {shown(list(axes))}: {shown(axis)} is {_out_of_range(shape, axis)}")
        if axis in axes[:i]:
            raise ValidationError(f"{name} {list(axes)} has {axis} twice; list each axis once")
    return axes


def _out_of_range(shape: tuple[int, ...], axis: int) -> str:
    valid = f"valid axes: {', '.join(map(str, range(len(shape))))}" if shape else "a scalar has no axes"
    hint = f"; axes are not counted from the end: write {axis + len(shape)}" if -len(shape) <= axis < 0 else ""
    return f"out of range for shape {list(shape)} of rank {len(shape)} ({valid}){hint}"


@overload
def enum_value(name: str, value: object, allowed: Mapping[E, Any]) -> E: ...
@overload
def enum_value(name: str, value: object, allowed: Sequence[E]) -> E: ...
def enum_value(name: str, value: object, allowed: Mapping[E, Any] | Sequence[E]) -> E:
    """A WebIDL enum: one of the strings in `allowed`."""
    if isinstance(value, str) and value in allowed:
        return value  # type: ignore[return-value]
    known = VALUES.get(value.lower(), value.lower()) if isinstance(value, str) else None
    hint = f"; write {known!r}" if known in allowed else ""
    raise ValidationError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {shown(value)}{hint}")


def data_type_named(name: str, value: object, allowed: Collection[DataType] = DATA_TYPES) -> DataType:
    """One of the data types in `allowed`: by its name, or a dtype or scalar type of NumPy."""
    if isinstance(value, type) and issubclass(value, np.generic):
        value = np.dtype(value) if value in _SCALAR_TYPES else value.__name__
    if isinstance(value, np.dtype) and value.isnative:
        value = value.name
    if not isinstance(value, str) or value not in allowed:
        types = ", ".join(map(repr, allowed))
        raise ValidationError(f"{name} must be one of {types}, got {shown(value)}{_data_type_hint(value, allowed)}")
    return value  # type: ignore[return-value]  # it is one of `allowed`


def _data_type_hint(value: object, allowed: Collection[DataType]) -> str:
    """The end of a message: the data type to write for one of another library, such as `torch.float32` or "double"."""
    if value is None:
        return "; give the data type after the shape"
    text = value.__name__ if isinstance(value, type) else str(value)
    words = re.findall(r"\w+", text) or [""]
    name = DATA_TYPE_NAMES.get(words[-1], words[-1])
    with suppress(TypeError, ValueError):  # "f4" and the like
        name = name if name in allowed else np.dtype(text).name
    return f"; write {name!r}" if name in allowed else ""


def boolean(name: str, value: object) -> bool:
    """A WebIDL boolean: True, False or a NumPy boolean. Other objects are not converted, unlike in JavaScript."""
    if isinstance(value, bool):
        return value
    if type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    raise ValidationError(f"{name} must be True or False, got {shown(value)}")


def number(name: str, value: object) -> Number:
    """`MLNumber`: an int of any size, or a float, including NaN and the infinities."""
    if isinstance(value, bool | str | bytes | bytearray):  # float() would parse strings
        raise ValidationError(f"{name} must be a number, got {shown(value)}")
    if isinstance(value, int | float):
        return value
    try:
        return _operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        pass
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise ValidationError(f"{name} must be a number, got {shown(value)}") from None


def double(name: str, value: object) -> float:
    """A WebIDL `double`: a finite float."""
    try:
        result = float(number(name, value))
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise ValidationError(f"{name} must be finite, got {shown(value)}")
    return result


def double_list(name: str, value: object, *, length: int) -> tuple[float, ...]:
    """`sequence<double>` with exactly `length` items."""
    result = tuple(double(f"{name}[{i}]", item) for i, item in enumerate(_items(name, value, "numbers")))
    if len(result) != length:
        raise ValidationError(f"{name} must have {length} items, got {list(result)}")
    return result


def shown(value: object, length: int = 80) -> str:
    """The repr of `value` for a message, on one line and cut to `length`; the type if `repr` fails."""
    try:
        text = " ".join(line.strip() for line in repr(value).splitlines())
    except Exception:  # an integer of thousands of digits, or a class with a broken __repr__
        return f"<{type(value).__name__}>"
    return text if len(text) <= length else text[: length - 3] + "..."


def described(error: BaseException) -> str:
    """The type and text of another library's error, for a message of ours; only the type if it has no text."""
    try:
        text = str(error)
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def printable(text: str) -> str:
    """`text` with every character escaped that is not printable, such as line breaks and changes of direction."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
