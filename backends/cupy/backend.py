"""The CuPy backend: the kernels of the arrays backend on an NVIDIA GPU, with tensors in its memory.

Nothing is compiled: each operator launches several of CuPy's kernels, and convolutions are products, since CuPy 14 has
no cuDNN.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np

from webnn.backends.arrays.backend import ArraysBackend, ArraysExecutable
from webnn.backends.base import DeviceType
from webnn.forking import import_lock
from webnn.graph.arguments import described
from webnn.memory.allocator import Allocator
from webnn.memory.buffer import Buffer, View

__all__ = ["CuPyAllocator", "CuPyBackend"]


class CuPyAllocator(Allocator):
    """Memory of the current CUDA device, from CuPy's pool.

    Every call and every kernel uses the default stream of the device, which keeps their order on all threads.
    """

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy

    def allocate(self, size: int) -> Buffer:
        """A new buffer of `size` bytes. Raises `MemoryError` if the device has not enough memory."""
        try:
            return Buffer(self._cupy.empty(size, self._cupy.uint8), size)
        except self._cupy.cuda.memory.OutOfMemoryError as error:
            raise MemoryError(f"the CUDA device has no {size} bytes left: {error}") from error

    def write(self, view: View, data: np.ndarray[Any, Any]) -> None:
        """Copy `data` to the device."""
        view.array.set(np.ascontiguousarray(data))
        self.uploaded += data.nbytes

    def clear(self, view: View) -> None:
        """Fill the view with zeros."""
        view.array.fill(0)

    def host_array(self, view: View) -> np.ndarray[Any, Any]:
        """A copy in host memory."""
        array: np.ndarray[Any, Any] = view.array.get()
        self.downloaded += array.nbytes
        return array


class CuPyExecutable(ArraysExecutable):
    """A graph as a list of kernels to call on the device."""

    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        """Launch each kernel in turn, and wait for the last: errors of the device belong to this run."""
        super().run(inputs, outputs)
        self.xp.cuda.get_current_stream().synchronize()


class CuPyBackend(ArraysBackend):
    """Every operator on an NVIDIA GPU, for programs that ask for it by name or for an accelerator."""

    name: ClassVar[str] = "cupy"
    device_type: DeviceType = "gpu"
    executable: ClassVar[type[ArraysExecutable]] = CuPyExecutable

    def __init__(self) -> None:
        with import_lock:  # here, since most machines have none
            import array_api_compat.cupy as namespace  # noqa: PLC0415

        super().__init__(namespace)

    @classmethod
    def unavailable(cls) -> str | None:
        """Why there is no CuPy or no CUDA device."""
        for package in ("cupy", "array_api_compat"):
            if find_spec(package) is None:
                return f"{package} is not installed: pip install cupy-cuda12x array-api-compat"
        with import_lock:
            import cupy  # noqa: PLC0415

        try:
            count = cupy.cuda.runtime.getDeviceCount()
        except cupy.cuda.runtime.CUDARuntimeError as error:
            return f"CUDA found no device: {described(error)}"
        return None if count else "CUDA found no device"

    @property
    def allocator(self) -> Allocator:
        """Memory of the device."""
        return CuPyAllocator(self.xp)
