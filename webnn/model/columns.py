"""Batches as data frames have them: a column for each input, whose rows may differ in shape, or fail one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from webnn.formats.outline import ValueOutline
from webnn.graph.dtypes import DATA_TYPES
from webnn.model.loaded import Loaded
from webnn.model.rows import Outcome, computed
from webnn.model.signature import Array, along

__all__ = ["computed_columns", "is_ragged"]


def is_ragged(inputs: Any) -> bool:
    """Whether an input is a column of objects: rows that differ in shape, or that are missing."""
    return isinstance(inputs, Mapping) and any(
        isinstance(column, np.ndarray) and column.dtype == object for column in inputs.values()
    )


def computed_columns(
    loaded: Loaded, columns: Mapping[str, Any], outputs: Sequence[ValueOutline], errors: str | None
) -> dict[str, Array]:
    """A column for each output.

    Args:
        loaded: computes them.
        columns: the inputs, with the items along the dimension of the batch, or as an array of objects.
        outputs: the outputs, as the file declares them.
        errors: the name of another column, with the message of each row that failed, and "" in the others. Without it,
            the first error is raised.
    """
    axes = {row.name: row.axis for row in loaded.signature.rows}
    counts = [_count(column, axes.get(name)) for name, column in columns.items() if _count(column, axes.get(name)) >= 0]
    count = max(counts, default=0)

    def row(number: int) -> dict[str, Any]:
        return {name: _row(column, axes.get(name), number) for name, column in columns.items()}

    outcomes = computed(loaded, [lambda number=i: row(number) for i in range(count)], here=False)  # type: ignore[misc]
    for number, outcome in enumerate(outcomes):
        if errors is None and isinstance(outcome, Exception):
            outcome.add_note(f"in row {number} of {count}")
            raise outcome
    batch = loaded.signature.batch
    made = {output.name: _column(outcomes, output, batch) for output in outputs}
    if errors is not None:
        made[errors] = np.array(
            [f"{type(outcome).__name__}: {outcome}" if isinstance(outcome, Exception) else "" for outcome in outcomes],
            dtype=str,
        )
    return made


def _count(column: Any, axis: int | None) -> int:
    """The number of rows of a column; -1 for an input that all rows share."""
    if axis is None:
        return -1
    if _is_objects(column):
        return len(column)
    shape = np.shape(column)
    return shape[axis] if len(shape) > axis else -1


def _row(column: Any, axis: int | None, number: int) -> Any:
    if axis is None:
        return column
    if _is_objects(column):
        return column[number]
    array = np.asanyarray(column)  # a row of a masked array keeps its mask, and is refused
    return along(array, axis, number, number + 1).squeeze(axis)


def _is_objects(column: Any) -> bool:
    return isinstance(column, np.ndarray) and column.dtype == object and column.ndim == 1


def _column(outcomes: Sequence[Outcome], output: ValueOutline, batch: str | None) -> Array:
    """The results of one output. Rows that failed are NaN or 0, or None where the shapes of rows differ.

    Where all have failed, rows have the type and the shape that the file declares; None if it leaves these open.
    """
    found = [None if isinstance(outcome, Exception) else outcome[output.name] for outcome in outcomes]
    given = {(array.dtype, array.shape) for array in found if array is not None} or _declared(output, batch)
    if len(given) == 1:
        ((dtype, shape),) = given
        column = np.full((len(found), *shape), np.nan if dtype.kind == "f" else 0, dtype)
    else:
        column = np.full(len(found), None, object)
    for number, array in enumerate(found):
        if array is not None:
            column[number] = array
    return column


def _declared(output: ValueOutline, batch: str | None) -> set[tuple[np.dtype[Any], tuple[int, ...]]]:
    """The type and the shape of a row of `output`, if the file declares them."""
    row = DATA_TYPES.get(output.data_type)  # type: ignore[call-overload]
    if row is None or output.shape is None or batch not in output.shape:
        return set()
    axis = output.shape.index(batch)
    sizes = (*output.shape[:axis], *output.shape[axis + 1 :])
    shape = tuple(size for size in sizes if isinstance(size, int))
    return {(row.dtype, shape)} if len(shape) == len(sizes) else set()
