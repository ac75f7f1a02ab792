"""Allocators of buffers, one for each kind of memory. A backend declares which one its executables use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final

import numpy as np

from webnn.errors import NotSupportedError
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.memory.buffer import Buffer, View, bytes_in_memory

__all__ = ["ALIGNMENT", "Allocator", "HostAllocator"]

ALIGNMENT: Final = 64
"""Bytes: the size of a cache line, and the alignment for the widest vector instructions."""


class Allocator(ABC):
    """Allocates buffers, and copies data between them and host arrays."""

    is_host: ClassVar[bool] = False
    """Whether its buffers are host memory, so that `host_array` gives a view's own elements."""

    uploaded: int = 0
    """Bytes that were copied from host memory to the memory of a device."""
    downloaded: int = 0
    """Bytes that were copied from the memory of a device to host memory."""

    @abstractmethod
    def allocate(self, size: int) -> Buffer:
        """A new buffer of `size` bytes with undefined content. Raises `MemoryError` if there is not enough memory."""

    def view(self, descriptor: MLOperandDescriptor) -> View:
        """A view of a new buffer, of the data type and shape of `descriptor`, with undefined content."""
        return self.allocate(bytes_in_memory(descriptor)).view(descriptor)

    @abstractmethod
    def write(self, view: View, data: np.ndarray[Any, Any]) -> None:
        """Copy `data`, a host array of the view's data type and shape, into the view. `data` may change afterwards."""

    def copied(self) -> tuple[int, int]:
        """The bytes that were copied to the device so far, and those that were copied back."""
        return self.uploaded, self.downloaded

    @abstractmethod
    def clear(self, view: View) -> None:
        """Fill the view with zeros."""

    @abstractmethod
    def host_array(self, view: View) -> np.ndarray[Any, Any]:
        """The elements of the view as a host array: its own memory if it is host memory, otherwise a copy."""

    def lent(self, view: View) -> Any:
        """The elements of the view in the memory of the device, for other libraries; its `base` is a `Lease`.

        Raises:
            NotSupportedError: the memory of the device has no addresses. That is the default.
        """
        raise NotSupportedError("lend_tensor: this backend cannot lend the memory of its device; read the tensor")


class HostAllocator(Allocator):
    """Ordinary memory, aligned to 64 bytes, as NumPy arrays."""

    is_host: ClassVar[bool] = True

    def allocate(self, size: int) -> Buffer:
        """A new buffer of `size` bytes. Raises `MemoryError` if the system has not enough memory."""
        memory = np.empty(size + ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        return Buffer(memory[start : start + size], size)

    def write(self, view: View, data: np.ndarray[Any, Any]) -> None:
        """Copy `data` into the view."""
        view.array[...] = data  # for a few elements, it takes a third of the time of `np.copyto`

    def clear(self, view: View) -> None:
        """Fill the view with zeros."""
        view.array.fill(0)

    def host_array(self, view: View) -> np.ndarray[Any, Any]:
        """The view's own array."""
        array: np.ndarray[Any, Any] = view.array
        return array
