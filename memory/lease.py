"""Lending of arrays: read-only, without a copy, until the last view of the array is freed.

Whoever lends one watches its `Lease` with a weak reference. A finalizer would do, too, were it not for Python code in
finalizers: a Ctrl-C that comes while it runs is lost.

Very small arrays are copied instead, which costs less than lending.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

__all__ = ["SMALL", "Lease", "lend"]

SMALL: Final = 4096
"""Bytes. Arrays up to this size are copied instead of lent."""


class _Lent(np.ndarray[Any, Any]):
    """The base of a lease. NumPy skips a base of the same type as the view, but keeps one of another type."""


class Lease(np.ndarray[Any, Any]):
    """The base of a lent array. NumPy keeps it alive as long as any view of the array lives."""

    held: object = None
    """What is kept alive with it."""


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
