"""A buffer is bytes on a device; a view is what one tensor value sees of it."""

from __future__ import annotations

from typing import Any

from webnn.graph.descriptor import MLOperandDescriptor

__all__ = ["Buffer", "View", "bytes_in_memory"]


def bytes_in_memory(descriptor: MLOperandDescriptor) -> int:
    """What the elements take in a buffer: here, unlike in `byte_length`, 4-bit elements have a byte each."""
    return descriptor.element_count * descriptor.dtype.itemsize


class View:
    """A buffer read as one data type and shape.

    Views are kept and met again, so that what a backend attaches to them (an OrtValue, a device pointer) is made once.
    """

    __slots__ = ("array", "buffer", "handle")

    def __init__(self, buffer: Buffer, array: Any) -> None:
        self.buffer = buffer
        self.array = array
        """The elements, as an array of the allocator's library (NumPy for host memory), writable."""
        self.handle: Any = None
        """For the backend that runs on it; whoever sets it knows its type."""


class Buffer:
    """A run of bytes from an allocator, of at least the size asked for."""

    __slots__ = ("__weakref__", "memory", "size")

    def __init__(self, memory: Any, size: int) -> None:
        self.memory = memory
        """One-dimensional array of bytes, of the allocator's library."""
        self.size = size

    def view(self, descriptor: MLOperandDescriptor) -> View:
        """The buffer's first bytes as an array of `descriptor`."""
        array = self.memory[: bytes_in_memory(descriptor)].view(descriptor.dtype).reshape(descriptor.shape)
        return View(self, array)
