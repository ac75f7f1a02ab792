"""A buffer is bytes on a device; a view is what one tensor value sees of it."""

from __future__ import annotations

from typing import Any

from webnn.graph.descriptor import MLOperandDescriptor

__all__ = ["Buffer", "View"]


class View:
    """A buffer read as one data type and shape.

    Views are made once per buffer and descriptor and then found again, so that what a backend attaches to them (an
    OrtValue, a device pointer) is made once too.
    """

    __slots__ = ("array", "buffer", "handle", "key")

    def __init__(self, buffer: Buffer, descriptor: MLOperandDescriptor, array: Any) -> None:
        self.buffer = buffer
        self.key = descriptor.key
        self.array = array
        """The elements, as an array of the allocator's library (NumPy for host memory), writable."""
        self.handle: Any = None
        """For the backend that runs on it; whoever sets it knows its type."""


class Buffer:
    """A run of bytes from an allocator, of at least the size asked for."""

    __slots__ = ("_last", "_views", "memory", "size")

    def __init__(self, memory: Any, size: int) -> None:
        self.memory = memory
        """One-dimensional array of bytes, of the allocator's library."""
        self.size = size
        self._last: View | None = None
        self._views: dict[object, View] = {}

    def view(self, descriptor: MLOperandDescriptor) -> View:
        """The buffer's first bytes as an array of `descriptor`; the same object each time."""
        key = descriptor.key
        view = self._last
        if view is not None and (view.key is key or view.key == key):
            return view
        view = self._views.get(key)
        if view is None:
            array = self.memory[: descriptor.byte_length].view(descriptor.dtype).reshape(descriptor.shape)
            view = self._views[key] = View(self, descriptor, array)
        self._last = view
        return view
