"""Buffers, which are bytes on a device, and views of them with a data type and shape."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from webnn.graph.descriptor import MLOperandDescriptor

__all__ = ["BORROWED", "Buffer", "View", "borrowed", "bytes_in_memory"]


def bytes_in_memory(descriptor: MLOperandDescriptor) -> int:
    """The size of the elements in a buffer. Unlike in `byte_length`, each 4-bit element takes a whole byte."""
    return descriptor.element_count * descriptor.dtype.itemsize


class View:
    """A buffer as an array of one data type and shape.

    Views are reused, so that the object that a backend attaches to them (an OrtValue, a device pointer) is made once.
    """

    __slots__ = ("array", "buffer", "handle", "lendable")

    def __init__(self, buffer: Buffer | None, array: Any) -> None:
        self.buffer = buffer
        self.array = array
        """The elements, as a writable array of the allocator's library (NumPy for host memory)."""
        self.handle: Any = None
        """An object that the backend attaches. Only the backend knows its type."""
        self.lendable: np.ndarray[Any, Any] | None = None
        """The array as the base of leases (see `lease.py`), once it has been lent."""


class Buffer:
    """Contiguous bytes from an allocator, at least as many as requested."""

    __slots__ = ("__weakref__", "life", "memory", "size")

    def __init__(self, memory: Any, size: int) -> None:
        self.life = np.empty(0, np.uint8)
        """An object that goes with this one. It is an array, which the garbage collector does not know.

        Weak references to the buffer itself are cleared as soon as the collector finds it unreachable, even if the
        finalizer of a tensor then gives it back to its shelf.
        """
        self.memory = memory
        """A one-dimensional array of bytes, of the allocator's library."""
        self.size = size

    def view(self, descriptor: MLOperandDescriptor) -> View:
        """A view of the buffer's first bytes with the data type and shape of `descriptor`."""
        array = self.memory[: bytes_in_memory(descriptor)].view(descriptor.dtype).reshape(descriptor.shape)
        return View(self, array)


BORROWED: Final = object()
"""The handle of a view that `borrowed` has made. Backends attach nothing to it, since it serves one run."""


def borrowed(array: Any) -> View:
    """The memory of the program as a view, for the inputs of one run. Nothing may refer to it after the run."""
    view = View(None, array)
    view.handle = BORROWED
    return view
