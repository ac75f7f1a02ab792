"""Names and values.

A tensor has a `Name`. Its content is a `Value`: made by exactly one write or task, kept in exactly one buffer, and
never changed once it has been made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from webnn.forking import Hold
from webnn.memory.buffer import View
from webnn.memory.pool import BufferPool, Shelf

if TYPE_CHECKING:
    from webnn.scheduler.donation import Undo
    from webnn.scheduler.renaming import Renaming
    from webnn.scheduler.task import Task

__all__ = ["Name", "NewValues", "Value"]


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

    @property
    def freed_bytes(self) -> int:
        """The bytes of memory that it gives back when it is bound to another value."""
        value = self.value
        return self.shelf.size if value is not None and value.holds == 1 and value.view is not None else 0


class NewValues:
    """Makes the values that no task computes: copies of the program's arrays, and the zeros of unwritten tensors.

    Their memory is taken at the call, while that of a task's outputs is taken when the task starts. So a budget may
    refuse it: it reserves the memory of queued tasks.

    Args:
        lock: the timeline's lock.
        renaming: the timeline's state, which `lock` guards.
        pool: the memory of values.
    """

    def __init__(self, lock: Hold, renaming: Renaming, pool: BufferPool) -> None:
        self._lock = lock
        self._renaming = renaming
        self._pool = pool

    def copy_of(self, data: np.ndarray[Any, Any], shelf: Shelf) -> Value:
        """A new value with a copy of `data`, in memory of `shelf`. The caller has its first hold.

        Raises:
            OperationError: the budget does not allow it, or there is no memory.
        """
        view = self._unreserved(shelf)
        try:
            self._pool.allocator.write(view, data)
        except BaseException:
            shelf.put(view)
            raise
        return Value(shelf, None, view)

    def zeros(self, name: Name) -> Value:
        """Bind a name that was never written to a value of zeros. Called under the lock.

        Raises:
            OperationError: as for `copy_of`.
        """
        view = self._unreserved(name.shelf)
        try:
            self._pool.allocator.clear(view)
        except BaseException:
            name.shelf.put(view)
            raise
        value = Value(name.shelf, None, view)
        renaming = self._renaming
        renaming.bind(name, value)
        if renaming.trace is not None:
            renaming.trace.wrote(value, renaming.trace.clock(), 0, "zeros")
        return value

    def _unreserved(self, shelf: Shelf) -> View:
        """Memory that is not reserved for a queued task."""
        if self._pool.budget is None:
            return shelf.take()
        with self._lock:
            self._pool.check(self._renaming.queued_bytes + shelf.size)
            return shelf.take()
