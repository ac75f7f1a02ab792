"""Memory of a CUDA device, from the allocator of onnxruntime's execution provider or from the CUDA runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from webnn.backends.cuda.lending import LentArray
from webnn.backends.cuda.library import CudaLibrary
from webnn.backends.cuda.stream import Stream
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.memory.allocator import Allocator
from webnn.memory.buffer import Buffer, View, bytes_in_memory

__all__ = ["CudaAllocator", "DeviceArray", "allocated"]


@dataclass(frozen=True, slots=True)
class DeviceArray:
    """The elements of a view: where they are, and what they are."""

    address: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    size: int
    """In bytes."""


class _DeviceBuffer(Buffer):
    __slots__ = ()

    def view(self, descriptor: MLOperandDescriptor) -> View:
        address = self.memory.data_ptr()
        return View(self, DeviceArray(address, descriptor.dtype, descriptor.shape, bytes_in_memory(descriptor)))


class CudaAllocator(Allocator):
    """Allocates with the execution provider, and copies on the device's stream.

    Args:
        stream: the stream of the device.
        allocate: gives so many bytes on the device, as an object whose `data_ptr()` is their address.
    """

    def __init__(self, stream: Stream, allocate: Callable[[int], Any]) -> None:
        self._stream = stream
        self._allocate = allocate

    def allocate(self, size: int) -> Buffer:
        """A new buffer of `size` bytes. Raises `MemoryError` if the device has not enough memory."""
        try:
            return _DeviceBuffer(self._allocate(size), size)
        except MemoryError:
            raise
        except Exception as error:  # onnxruntime's exceptions have no common base
            self._stream.cuda.check(self._stream.handle)
            raise MemoryError(f"the CUDA device has no {size} bytes left: {error}") from error

    def write(self, view: View, data: np.ndarray[Any, Any]) -> None:
        """Queue a copy to the device; `data` may change afterwards."""
        self._stream.write(view.array.address, data)

    def clear(self, view: View) -> None:
        """Queue filling the view with zeros."""
        self._stream.clear(view.array.address, view.array.size)

    def lent(self, view: View) -> LentArray:
        """The elements on the device, for other libraries."""
        array = view.array
        return LentArray(array.address, array.dtype, array.shape, self._stream)

    def host_array(self, view: View) -> np.ndarray[Any, Any]:
        """A copy in host memory, once everything before is done."""
        result = np.empty(view.array.shape, view.array.dtype)
        self._stream.read(view.array.address, result)
        return result


class _Memory:
    """Memory from the CUDA runtime, which is given back with the object."""

    __slots__ = ("_address", "_cuda")

    def __init__(self, cuda: CudaLibrary, size: int) -> None:
        self._cuda = cuda
        self._address = cuda.memory(max(size, 1))

    def data_ptr(self) -> int:
        return self._address

    def __del__(self) -> None:
        address = getattr(self, "_address", None)
        if address is not None:
            self._cuda.free(memory=address)


def allocated(cuda: CudaLibrary, size: int) -> _Memory:
    """So many bytes of the device's memory; raises `MemoryError` if it has not enough."""
    return _Memory(cuda, size)
