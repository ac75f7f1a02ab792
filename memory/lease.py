"""Lending of arrays: read-only, without a copy, until the last view of the array is freed.

Small arrays are copied instead, because that takes less time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import numpy as np

__all__ = ["SMALL", "lend"]

SMALL: Final = 4096
"""Bytes. Arrays up to this size are copied instead of lent."""


T = TypeVar("T")


class _Lent(np.ndarray[Any, Any]):
    """The base of a lease. NumPy skips a base of the same type as the view, but keeps one of another type."""


class _Lease(np.ndarray[Any, Any]):
    """The base of a lent array. NumPy keeps it alive while any view of the array lives."""

    _give_back: Callable[[Any], None] | None = None
    _held: object = None

    def __del__(self) -> None:
        # This may run on any thread and during any allocation, so `_give_back` must not lock or raise.
        if self._give_back is not None:
            self._give_back(self._held)


def lend(array: np.ndarray[Any, Any], held: T, give_back: Callable[[T], None]) -> np.ndarray[Any, Any]:
    """A read-only array with the elements of `array`. `give_back(held)` is called once, when it is no longer used.

    That is when the array and all views of it are freed. A small array is copied, and `give_back` is called at once.

    `give_back` may be called on any thread, in the middle of any other code, so it must do as little as `deque.append`.

    A read-only `memoryview` as the base would keep users from making the array writable again, but it would take longer
    to make than everything else here.
    """
    if array.nbytes <= SMALL:
        copy = array.copy()
        copy.setflags(write=False)
        give_back(held)
        return copy
    base = array.view(_Lent).view(_Lease)
    base._give_back = give_back
    base._held = held
    base.flags.writeable = False
    return base.view(np.ndarray)
