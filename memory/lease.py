"""Lending of arrays: read-only, without a copy, until the last view of the array is freed.

The lender watches the array's `Lease` with a weak reference. A finalizer with Python code would not do, since a Ctrl-C
that comes while it runs is lost.

Very small arrays are copied instead, which costs less than lending.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

__all__ = ["SMALL", "Lease", "frozen", "lease_of_nothing", "lend", "lendable"]

SMALL: Final = 4096
"""Bytes. Arrays up to this size are copied instead of lent."""


class _Lent(np.ndarray[Any, Any]):
    """The base of a lease. NumPy skips a base of the same type as the view, but keeps one of another type."""


class Lease(np.ndarray[Any, Any]):
    """The base of a lent array. NumPy keeps it alive as long as any view of the array lives."""

    held: object = None
    """An object that lives as long as the lease."""


def lend(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A read-only array with the elements of `array`; its base is a `Lease`, unless it is very small and was copied.

    With a read-only `memoryview` as its base, NumPy would refuse to make it writable again. But making a `memoryview`
    for each array takes longer than the rest of this function.
    """
    if array.nbytes <= SMALL:
        copy = array.copy()
        copy.setflags(False)  # type: ignore[call-arg]  # `write`, by position: a third of the time
        return copy
    return lendable(array).view(Lease).view(np.ndarray)


def lendable(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """`array` as the base of leases: `lendable(array).view(Lease)` is one. It serves as often as `array` is lent."""
    base = array.view(_Lent)
    base.setflags(False)  # type: ignore[call-arg]  # as above
    return base


def lease_of_nothing() -> Lease:
    """A lease for the `base` of an object that is no array, and stands for the memory of a device."""
    return np.empty(0, np.uint8).view(_Lent).view(Lease)


def frozen(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """`array`, a copy that is given away, made read-only."""
    array.setflags(False)  # type: ignore[call-arg]  # as above
    return array
