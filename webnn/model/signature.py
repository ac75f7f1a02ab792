"""The inputs of a model, and whether given arrays fit them. Pure: no graph, thread or clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from webnn.errors import ValidationError
from webnn.formats.outline import Size, ValueOutline
from webnn.graph.arguments import printable, unsigned, unsigned_list
from webnn.graph.arrays import array_from, of_booleans, of_one_item, written_dtype
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import DATA_TYPES

__all__ = ["Array", "Feeds", "Shapes", "Signature", "along", "written"]

Array: TypeAlias = np.ndarray[Any, Any]
Feeds: TypeAlias = dict[str, Array]
Shapes: TypeAlias = tuple[tuple[int, ...], ...]
"""The shapes of the open inputs, in their order. In a batch, dimensions of the batch are 0."""


@dataclass(frozen=True, slots=True)
class Row:
    """One input.

    Attributes:
        shape: with the names of open dimensions; None if the model declares none.
        dtype: None if the data type is none of WebNN's.
        axis: the dimension of the batch, or None.
        is_open: whether the shape has open dimensions, that of the batch among them.
    """

    name: str
    data_type: str
    dtype: np.dtype[Any] | None
    shape: tuple[Size, ...] | None
    axis: int | None
    is_open: bool


class Signature:
    """The inputs of a model.

    Args:
        where: the model, for messages.
        inputs: with open dimensions.
        batch: the name of the dimension of the batch, if there is one.

    Raises:
        ValidationError: no input has the dimension `batch`, or one has it twice.
    """

    def __init__(self, where: str, inputs: Sequence[ValueOutline], batch: str | None) -> None:
        self.where = where
        self.batch = batch
        self.rows = [_row(where, value, batch) for value in inputs]
        self.open = [row for row in self.rows if row.is_open]
        if batch is not None and all(row.axis is None for row in self.rows):
            raise ValidationError(
                f"{where}: batch={batch!r}, but no input has a dimension of that name; the inputs are {self}"
            )

    @property
    def only_batch_is_open(self) -> bool:
        """Whether all other dimensions have a size."""
        return all(
            row.shape is not None and not any(isinstance(size, str) and size != self.batch for size in row.shape)
            for row in self.rows
        )

    def __str__(self) -> str:
        return ", ".join(f"{printable(row.name)!r} {written(row.data_type, row.shape)}" for row in self.rows) or "none"

    def feeds(self, inputs: Mapping[str, Any] | Any) -> Feeds:
        """`inputs` as arrays by name, each of the declared data type and shape.

        Raises:
            ValidationError: a name is missing or unknown, or an array does not fit.
        """
        rows = self.rows
        if not isinstance(inputs, Mapping):
            if len(rows) != 1:
                raise ValidationError(
                    f"{self.where}: inputs must be a mapping of names to arrays, got {type(inputs).__name__};"
                    f" the inputs are {self}"
                )
            inputs = {rows[0].name: inputs}
        if len(inputs) != len(rows) or any(row.name not in inputs for row in rows):
            raise ValidationError(f"{self.where}: {self._wrong_names(inputs)}; the inputs are {self}")
        return {row.name: self._array(row, inputs[row.name]) for row in rows}

    def item(self, inputs: Mapping[str, Any] | Any) -> tuple[Feeds, bool]:
        """The feeds of one item, and whether it came without the dimension of the batch, which is added then.

        Raises:
            ValidationError: it does not fit, with that dimension or without it.
        """
        rows = [row for row in self.rows if row.axis is not None]
        given = inputs if isinstance(inputs, Mapping) else {self.rows[0].name: inputs} if len(self.rows) == 1 else {}
        ranks = {row.name: np.ndim(given[row.name]) for row in rows if row.name in given}
        bare = bool(ranks) and all(ranks.get(row.name, -1) == len(row.shape or ()) - 1 for row in rows)
        if bare:
            given = {**given}
            for row in rows:
                array = self._array(_bare(row), given[row.name])
                given[row.name] = np.expand_dims(array, row.axis or 0)
            inputs = given
        return self.feeds(inputs), bare

    def shapes(self, feeds: Feeds) -> Shapes:
        """The shapes of the open inputs."""
        if self.batch is None:
            return tuple([feeds[row.name].shape for row in self.open])
        return tuple([_without(feeds[row.name].shape, row.axis) for row in self.open])

    def count(self, feeds: Feeds) -> int:
        """The number of items in a batch.

        Raises:
            ValidationError: the inputs differ in it.
        """
        counts: dict[str, int] = {
            row.name: feeds[row.name].shape[row.axis] for row in self.rows if row.axis is not None
        }
        count = next(iter(counts.values()))
        if any(other != count for other in counts.values()):
            each = ", ".join(f"{printable(name)!r} has {number}" for name, number in counts.items())
            raise ValidationError(
                f"{self.where}: all inputs must have the same number of items in dimension {self.batch!r}: {each}"
            )
        return count

    def shapes_of(self, sizes: Mapping[str, int | Sequence[int]]) -> Shapes:
        """The shapes of the open inputs where dimensions have these `sizes`, by name, or inputs whole shapes.

        The batch is left out. Raises `ValidationError` if a dimension has no size.
        """
        found: list[tuple[int, ...]] = []
        for row in self.open:
            given = sizes.get(row.name)
            if given is not None:
                found.append(_without(unsigned_list(f"{self.where}: {row.name!r}", given), row.axis))
                continue
            shape: list[int] = []
            for i, size in enumerate(row.shape or ("?",)):
                if i != row.axis and isinstance(size, str) and size not in sizes:
                    raise ValidationError(
                        f"{self.where}: no size is given for dimension {size!r} of input {printable(row.name)!r}"
                        f" {written(row.data_type, row.shape)}; give one, such as {{{size!r}: 64}}"
                    )
                shape.append(
                    0
                    if i == row.axis
                    else size
                    if isinstance(size, int)
                    else unsigned(f"size of {size!r}", sizes[size])
                )
            found.append(tuple(shape))
        return tuple(found)

    def named(self, shapes: Shapes, size: int | None) -> dict[str, tuple[int, ...]]:
        """The whole shape of each open input by its name, in a batch of `size`."""
        named = {}
        for row, shape in zip(self.open, shapes, strict=True):
            named[row.name] = shape if size is None else _without(shape, row.axis, size)
        return named

    def dimensions(self, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
        """The size of each named dimension, where the open inputs have these shapes.

        Raises:
            ValidationError: two inputs give a dimension different sizes.
        """
        found: dict[str, int] = {}
        for row in self.open:
            for symbol, size in zip(row.shape or (), shapes[row.name], strict=True):
                if isinstance(symbol, str) and found.setdefault(symbol, size) != size:
                    raise ValidationError(
                        f"{self.where}: dimension {symbol!r} is {size} in input {printable(row.name)!r} and"
                        f" {found[symbol]} in another input; the inputs are {self}"
                    )
        return found

    def _array(self, row: Row, data: Any) -> Array:
        shape = row.shape
        if data.__class__ is np.ndarray and data.dtype is row.dtype:
            if data.shape == shape:
                return data
            array: Array = data
        else:
            array = self._converted(row, data)
        if shape is not None and (
            len(shape) != array.ndim
            or any(size != given and not isinstance(size, str) for size, given in zip(shape, array.shape, strict=True))
        ):
            hint = of_one_item(array.shape, shape)
            raise self._unfit(row, f"{array.dtype.name} {list(array.shape)}{hint}")
        if row.is_open and 0 in _without(array.shape, row.axis, 1):
            raise self._unfit(row, f"{array.dtype.name} {list(array.shape)}, which has no elements")
        return array

    def _converted(self, row: Row, data: Any) -> Array:
        if row.dtype is None:
            raise self._unfit(row, f"{type(data).__name__}, and WebNN has no such data type")
        if isinstance(data, np.ndarray) and row.is_open:
            data = of_booleans(data, row.dtype)
            if data.dtype != row.dtype:
                raise self._wrong_type(row, data)
        try:
            if row.shape is not None and not row.is_open:
                return array_from(data, MLOperandDescriptor(row.data_type, row.shape))  # type: ignore[call-overload]
            if isinstance(data, list | tuple | int | float):  # only nested lists tell their shape by themselves
                given = np.asarray(data)
                return array_from(data, MLOperandDescriptor(row.data_type, given.shape))  # type: ignore[call-overload]
            array = array_from(data)
        except (ValidationError, ValueError) as error:
            raise ValidationError(f"{self.where}: input {printable(row.name)!r}: {error}") from None
        if array.dtype != row.dtype:
            raise self._wrong_type(row, array)
        return array

    def _wrong_type(self, row: Row, array: Array) -> ValidationError:
        hint = f"convert it: array.astype({row.dtype.name!r})" if row.dtype is not None else "WebNN has no such type"
        return self._unfit(row, f"{written_dtype(array.dtype)} {list(array.shape)}; {hint}")

    def _unfit(self, row: Row, given: str) -> ValidationError:
        wanted = written(row.data_type, row.shape)
        return ValidationError(f"{self.where}: input {printable(row.name)!r}: expected {wanted}, got {given}")

    def _wrong_names(self, given: Iterable[Any]) -> str:
        expected, given = [row.name for row in self.rows], list(given)
        missing = ", ".join(repr(printable(name)) for name in expected if name not in given)
        unknown = ", ".join(repr(printable(str(name))) for name in given if name not in expected)
        return " and ".join(
            [*([f"missing {missing}"] if missing else []), *([f"unknown {unknown}"] if unknown else [])]
        )


def written(data_type: str, shape: Sequence[Size] | None) -> str:
    """A data type and a shape, for messages."""
    if shape is None:
        return f"{data_type or '?'} of any shape"
    return f"{data_type or '?'} [{', '.join(map(str, shape))}]"


def _row(where: str, value: ValueOutline, batch: str | None) -> Row:
    shape = None if value.shape is None else tuple(value.shape)
    axes = [i for i, size in enumerate(shape or ()) if batch is not None and size == batch]
    if len(axes) > 1:
        raise ValidationError(
            f"{where}: batch={batch!r} names two dimensions of input {printable(value.name)!r}"
            f" {written(value.data_type, shape)}; the items of a batch lie along one"
        )
    row = DATA_TYPES.get(value.data_type)  # type: ignore[call-overload]
    is_open = shape is None or any(isinstance(size, str) for size in shape)
    return Row(value.name, value.data_type, row.dtype if row else None, shape, axes[0] if axes else None, is_open)


def _bare(row: Row) -> Row:
    """The row of an input without the dimension of the batch."""
    shape = tuple(size for i, size in enumerate(row.shape or ()) if i != row.axis)
    return Row(row.name, row.data_type, row.dtype, shape, None, any(isinstance(size, str) for size in shape))


def _without(shape: tuple[int, ...], axis: int | None, instead: int = 0) -> tuple[int, ...]:
    return shape if axis is None else (*shape[:axis], instead, *shape[axis + 1 :])


def along(array: Array, axis: int, start: int, stop: int) -> Array:
    """The elements of `array` from `start` to `stop` along a dimension; a view."""
    return array[(slice(None),) * axis + (slice(start, stop),)]
