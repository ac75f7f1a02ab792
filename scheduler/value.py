"""Names and values: what a tensor is, and what it holds.

A tensor has a `Name`. What it holds is a `Value`: made by exactly one write or task, kept in exactly one buffer, and
never changed once it is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from webnn.memory.buffer import View
from webnn.memory.pool import Shelf

if TYPE_CHECKING:
    from webnn.scheduler.task import Task

__all__ = ["Name", "Value"]


class Value:
    """One immutable content of a tensor.

    It is pending (`producer` is set), there (`view` is set) or failed (`error` is set). `holds` counts who can still
    reach it: names, queued and running tasks that read it, promises, and arrays that were handed out. After an
    interrupt it may count too many, never too few: the view of such a value does not go back to its shelf, and its
    memory is freed with the value itself.
    """

    __slots__ = ("error", "holds", "producer", "shelf", "view")

    def __init__(self, shelf: Shelf, producer: Task | None, view: View | None) -> None:
        self.shelf = shelf
        """Where its view comes from, and goes to when the last hold is gone."""
        self.producer = producer
        self.view = view
        self.holds = 1
        """Whoever makes it has the first hold."""
        self.error: BaseException | None = None


class Name:
    """Something that can mean one value after another; a tensor has one."""

    __slots__ = ("shelf", "value")

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.value: Value | None = None
        """None until the first write or dispatch: it then reads as zeros."""
