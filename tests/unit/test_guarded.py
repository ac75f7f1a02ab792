"""The allocator around that of a device: what its library raises becomes an error of ours; nothing else is touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from webnn.errors import DeviceLostError, OperationError
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.memory.allocator import Allocator
from webnn.memory.buffer import Buffer, View
from webnn.memory.guarded import GuardedAllocator


class Opaque:
    """Elements on a device, of which the runtime knows nothing."""


class Odd(Allocator):
    """Fails with `error`, if there is one."""

    error: Exception | None = None

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error

    def allocate(self, size: int) -> Buffer:
        self._fail()
        return Buffer(np.zeros(size, np.uint8), size)

    def write(self, view: View, data: np.ndarray[Any, Any]) -> None:
        self._fail()

    def clear(self, view: View) -> None:
        self._fail()

    def host_array(self, view: View) -> np.ndarray[Any, Any]:
        self._fail()
        return np.ones(2, np.float32)


CALLS = {
    "allocating 8 bytes on the device": lambda a: a.allocate(8),
    r"copying float32 \[2\] to the device": lambda a: a.write(View(None, Opaque()), np.zeros(2, np.float32)),
    "clearing memory of the device": lambda a: a.clear(View(None, Opaque())),
    "copying a tensor from the device": lambda a: a.host_array(View(None, Opaque())),
}


@pytest.mark.parametrize("what", list(CALLS))
def test_what_the_library_raises_says_what_was_to_be_done(what: str) -> None:
    odd, lost = Odd(), list[str]()
    guarded = GuardedAllocator(odd, lost.append)
    CALLS[what](guarded)
    odd.error = LookupError("no such engine")
    with pytest.raises(OperationError, match=f"^{what} failed: LookupError: no such engine"):
        CALLS[what](guarded)
    odd.error = MemoryError("full")
    with pytest.raises(MemoryError, match="full"):
        CALLS[what](guarded)
    assert lost == []
    odd.error = DeviceLostError("unplugged")
    with pytest.raises(DeviceLostError, match="unplugged"):
        CALLS[what](guarded)
    assert lost == ["unplugged"]


def test_views_are_those_of_the_device() -> None:
    view = GuardedAllocator(Odd(), len).view(MLOperandDescriptor("float32", (2,)))
    assert view.buffer is not None
    assert view.buffer.size == 8
