"""Memory of the device. A view has a value on the device, an array of the program that is not there yet, or both.

Memory cannot be allocated directly: runs make the values of their outputs, and a view takes each of them over. What the
program writes is copied at the call, and goes to the device with the first run that reads it; so a write never waits
for the device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from webnn.backends.webgpu.device import download, upload
from webnn.backends.webgpu.kernels import KEPT_AS
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.memory.allocator import Allocator
from webnn.memory.buffer import Buffer, View

__all__ = ["DeviceArray", "WebGpuAllocator"]


class DeviceArray:
    """The elements of a view: on the device, in host memory, or both. All of it is replaced at once.

    Args:
        descriptor: the data type and shape.
    """

    __slots__ = ("array", "descriptor", "value")

    def __init__(self, descriptor: MLOperandDescriptor) -> None:
        self.descriptor = descriptor
        self.array: np.ndarray[Any, Any] | None = None
        """In host memory; None if the elements were computed on the device."""
        self.value: Any = None
        """On the device: an `OrtValue`; None as long as no run has read what the program wrote."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements for the program."""
        return self.descriptor.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The dimensions."""
        return self.descriptor.shape


class _DeviceBuffer(Buffer):
    """The place of one value on the device, of at most `size` bytes."""

    def view(self, descriptor: MLOperandDescriptor) -> View:
        """A view without a value."""
        return View(self, DeviceArray(descriptor))


class WebGpuAllocator(Allocator):
    """Memory of the device that onnxruntime has chosen."""

    def allocate(self, size: int) -> Buffer:
        """A new buffer; runs make the values that it holds."""
        return _DeviceBuffer(None, size)

    def write(self, view: View, data: np.ndarray[Any, Any]) -> None:
        """Keep a copy of `data`, for the first run that reads it."""
        elements: DeviceArray = view.array
        copy = np.array(data, order="C")
        elements.value, elements.array = None, copy

    def clear(self, view: View) -> None:
        """Keep zeros."""
        elements: DeviceArray = view.array
        descriptor = elements.descriptor
        elements.value, elements.array = None, np.zeros(descriptor.shape, descriptor.dtype)

    def host_array(self, view: View) -> np.ndarray[Any, Any]:
        """A copy in host memory; waits for the runs that compute it."""
        elements: DeviceArray = view.array
        descriptor, array = elements.descriptor, elements.array
        if array is not None:
            return array.copy()
        array = download(elements.value, KEPT_AS.get(descriptor.data_type, descriptor.data_type))
        self.downloaded += array.nbytes
        return array.astype(descriptor.dtype, copy=False).reshape(descriptor.shape)

    def value(self, view: View) -> Any:
        """The value of a view on the device. What the program wrote is copied there the first time."""
        elements: DeviceArray = view.array
        if elements.value is None:
            array, descriptor = elements.array, elements.descriptor
            assert array is not None, "a view is read before anything was written or computed"
            kept = array.astype(KEPT_AS.get(descriptor.data_type, descriptor.dtype), copy=False)
            elements.value = upload(kept)
            self.uploaded += kept.nbytes
            elements.array = None
        return elements.value
