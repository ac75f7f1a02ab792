"""The memory of a device, whose library raises errors of its own: here they become errors of this package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from webnn.errors import DeviceLostError, MLError, OperationError
from webnn.graph.arguments import described
from webnn.memory.allocator import Allocator
from webnn.memory.buffer import Buffer, View

__all__ = ["GuardedAllocator"]


class GuardedAllocator(Allocator):
    """An allocator that raises nothing but `MemoryError` and `MLError`.

    Args:
        allocator: allocates and copies.
        lost: called with the reason when it finds that the device is gone. Locks may be held then.
    """

    def __init__(self, allocator: Allocator, lost: Callable[[str], object]) -> None:
        self._allocator = allocator
        self._lost = lost

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except DeviceLostError as error:
            self._lost(str(error))
            raise
        except (MLError, MemoryError):
            raise
        except Exception as error:  # the libraries of devices have no common base
            raise OperationError(f"{what} failed: {described(error)}") from error

    def allocate(self, size: int) -> Buffer:
        """A new buffer of `size` bytes."""
        with self._explained(f"allocating {size} bytes on the device"):
            return self._allocator.allocate(size)

    def write(self, view: View, data: np.ndarray[Any, Any]) -> None:
        """Copy `data` to the device."""
        with self._explained(f"copying {data.dtype} {list(data.shape)} to the device"):
            self._allocator.write(view, data)

    def copied(self) -> tuple[int, int]:
        """What the allocator has counted."""
        return self._allocator.copied()

    def clear(self, view: View) -> None:
        """Fill the view with zeros."""
        with self._explained("clearing memory of the device"):
            self._allocator.clear(view)

    def lent(self, view: View) -> Any:
        """The elements in the memory of the device."""
        with self._explained("lending a tensor of the device"):
            return self._allocator.lent(view)

    def host_array(self, view: View) -> np.ndarray[Any, Any]:
        """A copy in host memory."""
        with self._explained("copying a tensor from the device"):
            return self._allocator.host_array(view)
