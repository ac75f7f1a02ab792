"""Arrays that are lent out: read-only, without a copy, over memory that comes back when the last of them is gone.

Very small arrays are copied instead, which costs less than lending.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import numpy as np

__all__ = ["SMALL", "Lease", "lend"]

SMALL: Final = 4096
"""Bytes up to which an array is copied rather than lent."""


T = TypeVar("T")


class _Lent(np.ndarray[Any, Any]):
    """What a lease is a view of. NumPy shortens a chain of bases where it meets two of one type; this one it keeps."""


class Lease(np.ndarray[Any, Any]):
    """The base of a lent array. NumPy keeps it alive as long as any view of the array lives."""

    _give_back: Callable[[Any], None] | None = None
    _held: object = None

    def hold(self, held: T, give_back: Callable[[T], None]) -> None:
        """Call `give_back(held)` once the array and all views of it are gone.

        It may be called from any thread, also in the middle of anything: it must be as small as `deque.append`.
        """
        self._held = held
        self._give_back = give_back

    def __del__(self) -> None:
        # May run on any thread and at any allocation, so `_give_back` must neither lock nor raise.
        if self._give_back is not None:
            self._give_back(self._held)


def lend(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A read-only array with the elements of `array`; its base is a `Lease`, unless it is very small and was copied.

    NumPy would refuse to make it writable again if a read-only `memoryview` stood between it and its memory, but making
    one for each array takes longer than all the rest of this.
    """
    if array.nbytes <= SMALL:
        copy = array.copy()
        copy.setflags(write=False)
        return copy
    lease = array.view(_Lent).view(Lease)
    lease.flags.writeable = False
    return lease.view(np.ndarray)
