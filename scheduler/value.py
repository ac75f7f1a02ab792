"""Names and values.

A tensor has a `Name`. Its content is a `Value`: made by exactly one write or task, kept in exactly one buffer, and
never changed once it has been made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

from webnn.memory.buffer import View
from webnn.memory.pool import Shelf

if TYPE_CHECKING:
    from webnn.scheduler.donation import Undo
    from webnn.scheduler.task import Task

__all__ = ["Name", "Value"]


class Value:
    """One immutable content of a tensor.

    It is pending (`producer` is set), available (`view` is set) or failed (`error` is set). `holds` is the number of
    names, queued or running readers, promises and lent arrays that can still reach it. After an interrupt the number
    may be too high, but never too low. The view of such a value does not go back to its shelf: its memory is freed with
    the value itself.
    """

    __slots__ = ("__weakref__", "error", "holds", "owner", "producer", "shelf", "undo", "view")

    def __init__(self, shelf: Shelf, producer: Task | None, view: View | None) -> None:
        self.shelf = shelf
        """The shelf that its view comes from, and returns to when the last hold is given up."""
        self.producer = producer
        self.view = view
        self.holds = 1
        """The code that makes the value has the first hold."""
        self.error: BaseException | None = None
        self.undo: Undo | None = None
        """How to restore it, if its memory was borrowed; see `donation.py`."""
        self.owner: ref[Value] | None = None
        """The value whose memory it has borrowed, if that one may have to be restored."""


class Name:
    """A name, which can mean one value after another. Each tensor has one."""

    __slots__ = ("shelf", "value")

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.value: Value | None = None
        """None until the first write or dispatch; the name reads as zeros until then."""
