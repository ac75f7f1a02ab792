"""Items one by one: those of equal shapes are computed together, and each gets its own outputs or its own error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from webnn.errors import ContextLostError
from webnn.model.loaded import Call, Loaded, Outputs
from webnn.model.signature import Feeds, Shapes, along

__all__ = ["Outcome", "computed"]

Outcome: TypeAlias = dict[str, np.ndarray[Any, Any]] | Exception
Group: TypeAlias = tuple[Shapes, tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class Item:
    """One item, checked.

    Attributes:
        number: its place among the items.
        feeds: its inputs, with the dimension of the batch.
        count: its size there; 1 for most.
        bare: whether it came without that dimension, and its outputs go without.
    """

    number: int
    feeds: Feeds
    count: int
    bare: bool


def computed(loaded: Loaded, items: Sequence[Callable[[], Any]], *, here: bool) -> list[Outcome]:
    """The outputs of each item, or its error; in their order.

    Args:
        loaded: computes them.
        items: functions that return the inputs of an item, with the dimension of the batch or without it. What one of
            them raises is the error of that item alone.
        here: run on this thread, for a thread beside others that do the same.

    Raises:
        ContextLostError: the model was closed.
    """
    outcomes: list[Outcome] = [{}] * len(items)
    groups: dict[Group, list[Item]] = {}
    for number, inputs in enumerate(items):
        try:
            if loaded.signature.batch is None:
                outcomes[number] = loaded.compute(loaded.call(inputs()), here=here)
                continue
            item = _checked(loaded, number, inputs())
        except ContextLostError:
            raise
        except Exception as error:
            outcomes[number] = error
        else:
            groups.setdefault(_group(loaded, item), []).append(item)
    for group in groups.values():
        _compute(loaded, group, outcomes, here)
    return outcomes


def _checked(loaded: Loaded, number: int, inputs: Any) -> Item:
    feeds, bare = loaded.signature.item(inputs)
    return Item(number, feeds, loaded.signature.count(feeds), bare)


def _group(loaded: Loaded, item: Item) -> Group:
    """Items that can be computed together have equal shapes, and equal inputs where these have no batch."""
    shared = tuple(item.feeds[row.name].tobytes() for row in loaded.signature.rows if row.axis is None)
    return loaded.signature.shapes(item.feeds), shared


def _compute(loaded: Loaded, group: Sequence[Item], outcomes: list[Outcome], here: bool) -> None:
    """Compute the items of a group, together or, if that fails, one by one."""
    first = group[0].feeds
    if len(group) > 1 and all(item.count == 1 for item in group):
        shapes = loaded.signature.shapes(first)
        if loaded.goes_one_by_one(shapes, len(group), here=here):
            for item in group:
                _compute(loaded, [item], outcomes, here)
            return
    feeds = {
        row.name: first[row.name]
        if row.axis is None or len(group) == 1
        else np.concatenate([item.feeds[row.name] for item in group], row.axis)
        for row in loaded.signature.rows
    }
    count = sum(item.count for item in group)
    try:
        call = Call(feeds, loaded.signature.shapes(feeds), count)
        outputs = loaded.compute(call, here=here)
        axes = loaded.axes(call)
    except ContextLostError:
        raise
    except Exception as error:
        if len(group) == 1:
            outcomes[group[0].number] = error
            return
        for item in group:
            _compute(loaded, [item], outcomes, here)
        return
    loaded.calls += 1
    loaded.items += count
    start = 0
    for item in group:
        outcomes[item.number] = _taken(outputs, axes, start, item)
        start += item.count


def _taken(outputs: Outputs, axes: Mapping[str, Any], start: int, item: Item) -> Outputs:
    """The outputs of one item, as views of the batch's."""
    taken: Outputs = {}
    for name, array in outputs.items():
        axis, rows = axes[name].axis, axes[name].rows
        part = along(array, axis, start * rows, (start + item.count) * rows)
        taken[name] = part.squeeze(axis) if item.bare and rows == 1 else part
    return taken
