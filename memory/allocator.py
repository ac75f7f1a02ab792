"""Where buffers come from. One allocator per kind of memory; a backend says which one its executables read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

import numpy as np

from webnn.memory.buffer import Buffer, View

__all__ = ["ALIGNMENT", "Allocator", "HostAllocator"]

ALIGNMENT: Final = 64
"""Bytes; a cache line, and what the widest vector instructions want."""


class Allocator(ABC):
    """Makes buffers, and moves bytes between them and host arrays."""

    @abstractmethod
    def allocate(self, size: int) -> Buffer:
        """A new buffer of `size` bytes with undefined content; raises `MemoryError` when there is none."""

    @abstractmethod
    def write(self, view: View, data: np.ndarray[Any, Any]) -> None:
        """Copy a host array of the view's type and shape into it. When it returns, `data` may change."""

    @abstractmethod
    def clear(self, view: View) -> None:
        """Fill with zeros."""

    @abstractmethod
    def host_array(self, view: View) -> np.ndarray[Any, Any]:
        """The view's elements on the host: its own memory if that is host memory, a copy if not."""


class HostAllocator(Allocator):
    """Ordinary memory, aligned to 64 bytes, seen by NumPy."""

    def allocate(self, size: int) -> Buffer:
        """A new buffer of `size` bytes; raises `MemoryError` when the system has none."""
        memory = np.empty(size + ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        return Buffer(memory[start : start + size], size)

    def write(self, view: View, data: np.ndarray[Any, Any]) -> None:
        """Copy `data` into the view."""
        view.array[...] = data  # costs a third of `np.copyto` for a few elements

    def clear(self, view: View) -> None:
        """Fill with zeros."""
        view.array.fill(0)

    def host_array(self, view: View) -> np.ndarray[Any, Any]:
        """The view's own array."""
        array: np.ndarray[Any, Any] = view.array
        return array
