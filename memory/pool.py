"""The buffer pool: keeps idle buffers for reuse, under a budget.

Idle views are kept on *shelves*, one for each descriptor, so that a loop reuses the same few views, together with the
objects that backends have attached to them. If the shelf of a descriptor is empty, it takes an idle buffer of its size
class from another shelf, and only then a new one from the allocator.

Guarantees: every allocated buffer is either in use or idle, and together they never exceed the budget. Taking a view
from a shelf and putting one back are single atomic steps without a lock. Everything else holds one lock, and no other
lock is taken while it is held.

A buffer is counted as long as it lives. So the figures stay right even if an interrupt loses a view: a buffer that
cannot be reached is freed, and no longer counted.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import Any, Final

from webnn.errors import MLError, OperationError
from webnn.forking import reentrant_lock
from webnn.graph.arguments import described
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.quick_dataclass import dataclass
from webnn.memory.allocator import ALIGNMENT, Allocator
from webnn.memory.buffer import Buffer, View, bytes_in_memory

__all__ = ["BufferPool", "MemoryInfo", "Shelf", "size_class"]

IDLE_BYTES: Final = 64 * 1024 * 1024
"""The most bytes that one shelf keeps, but at least two views. Further views are freed when they are put back."""


@dataclass(frozen=True, slots=True)
class MemoryInfo:
    """The memory of a pool, in bytes.

    Attributes:
        in_use: used by values, and by arrays that were lent to the program.
        idle: kept for reuse.
        peak: the maximum of both together so far.
        budget: the limit of both together; None for no limit.
        uploaded: copied so far from host memory to the memory of the device; 0 if tensors are in host memory.
        downloaded: copied so far from the memory of the device to host memory; 0 if tensors are in host memory.
    """

    in_use: int
    idle: int
    peak: int
    budget: int | None
    uploaded: int = 0
    downloaded: int = 0


def size_class(size: int) -> int:
    """The size of the buffers for requests of `size` bytes: at most an eighth larger, and a multiple of 64.

    >>> size_class(24), size_class(602112)
    (64, 655360)
    """
    size = max(size, 1)
    step = max(ALIGNMENT, 1 << max(0, (size - 1).bit_length() - 4))
    return -(-size // step) * step


class Shelf:
    """The idle views of one descriptor."""

    __slots__ = ("__weakref__", "_keep", "_pool", "descriptor", "size", "views")

    def __init__(self, pool: BufferPool, descriptor: MLOperandDescriptor) -> None:
        self._pool = pool
        self.descriptor = descriptor
        self.size = size_class(bytes_in_memory(descriptor))
        self.views: list[View] = []
        self._keep = max(2, IDLE_BYTES // self.size)

    def take(self) -> View:
        """A view with undefined content. The view that was put back last is taken first.

        Raises:
            OperationError: the view would exceed the budget, or the allocator has not enough memory.
        """
        try:
            return self.views.pop()
        except IndexError:
            return self._pool.make(self)

    def put(self, view: View) -> None:
        """Put a view back that came from `take`. It must not be read or written any more."""
        if len(self.views) < self._keep:
            self.views.append(view)


class _Watch(weakref.ref[Any]):
    """A weak reference to the `life` of a buffer, which knows the buffer's size when that is gone."""

    __slots__ = ("size",)

    size: int


class BufferPool:
    """Hands out views and takes them back.

    Args:
        allocator: where new buffers come from.
        budget: the most bytes to allocate at the same time; None for no limit.
    """

    def __init__(self, allocator: Allocator, budget: int | None = None) -> None:
        self.allocator = allocator
        self.budget = budget
        self._lock = reentrant_lock()  # reentrant, because the garbage collector may run a finalizer anywhere
        # The users of a descriptor hold its shelf. When the last of them is freed, so are the shelf and its views.
        self._shelves: weakref.WeakValueDictionary[object, Shelf] = weakref.WeakValueDictionary()
        self._buffers: dict[int, _Watch] = {}
        # Not subtracted yet. The garbage collector appends to it, without the lock.
        self._freed: deque[_Watch] = deque()
        self._total = 0
        self._is_total_right = True  # False while it changes: after an interrupt there it is added up again
        self._peak = 0

    def shelf(self, descriptor: MLOperandDescriptor) -> Shelf:
        """The shelf of `descriptor`. Equal descriptors have the same shelf."""
        with self._lock:
            shelf = self._shelves.get(descriptor.key)
            if shelf is None:
                shelf = self._shelves[descriptor.key] = Shelf(self, descriptor)
            return shelf

    def make(self, shelf: Shelf) -> View:
        """A view for an empty shelf, of an idle buffer of its size class or of a new buffer."""
        with self._lock:
            return self._idle_buffer(shelf.size, shelf.descriptor) or self._allocate(shelf.size, shelf.descriptor)

    def holds(self, size: int) -> bool:
        """Whether the budget allows `size` more bytes in use."""
        if self.budget is None:
            return True
        with self._lock:
            return self._allocated() - self._idle() + size <= self.budget

    def check(self, size: int) -> None:
        """Raise `OperationError` if `size` more bytes in use would exceed the budget."""
        if not self.holds(size):
            raise OperationError(
                f"the memory budget of {self.budget} bytes does not hold {size} more: {self.info().in_use} are in use;"
                " destroy tensors or drop arrays that are not needed, await the queued work,"
                " or create the context with a larger memory_budget"
            )

    def info(self) -> MemoryInfo:
        """The current figures."""
        with self._lock:
            idle = self._idle()
            return MemoryInfo(self._allocated() - idle, idle, self._peak, self.budget, *self.allocator.copied())

    def trim(self) -> None:
        """Free all idle buffers."""
        with self._lock:
            for shelf in list(self._shelves.values()):
                shelf.views.clear()

    def _allocated(self) -> int:
        # Adding up the buffers each time would take longer the more of them there are. No call comes between the two
        # halves of a change, since a finalizer may run there that calls this.
        if not self._is_total_right:
            for key, watch in list(self._buffers.items()):
                if watch() is None:
                    self._buffers.pop(key, None)
            self._total = sum(watch.size for watch in list(self._buffers.values()))
            self._is_total_right = True
        while self._freed:
            self._is_total_right = False
            watch = self._freed.popleft()
            key = id(watch)
            if key in self._buffers:
                self._total -= watch.size
                self._buffers.pop(key, None)
            self._is_total_right = True
        return self._total

    def _idle(self) -> int:
        return sum(len(shelf.views) * shelf.size for shelf in list(self._shelves.values()))

    def _idle_buffer(self, size: int, descriptor: MLOperandDescriptor) -> View | None:
        for shelf in list(self._shelves.values()):
            if shelf.size == size:
                try:
                    buffer = shelf.views.pop().buffer
                except IndexError:
                    continue
                assert buffer is not None, "a borrowed view was put on a shelf"
                return buffer.view(descriptor)
        return None

    def _allocate(self, size: int, descriptor: MLOperandDescriptor) -> View:
        if self.budget is not None and self._allocated() + size > self.budget:
            self.trim()
            self.check(size)
        try:
            buffer: Buffer = self.allocator.allocate(size)
        except MemoryError:
            self.trim()
            try:
                buffer = self.allocator.allocate(size)
            except MemoryError as error:
                raise OperationError(
                    f"the system has no memory for {size} more bytes: {error};"
                    " destroy tensors or drop arrays that are not needed"
                ) from error
        except MLError:
            raise
        except Exception as error:  # the caller holds locks, and expects errors of this package
            raise OperationError(f"allocating {size} bytes failed: {described(error)}") from error
        self._allocated()
        self._is_total_right = False
        watch = _Watch(buffer.life, self._freed.append)
        watch.size = size = buffer.size
        key = id(watch)
        self._buffers[key] = watch
        self._total += size
        self._is_total_right = True
        self._peak = max(self._peak, self._allocated())
        return buffer.view(descriptor)
