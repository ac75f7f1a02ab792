"""Arrays that are lent out: read-only, without a copy, over memory that comes back when the last of them is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["lend"]


class _Lease(np.ndarray[Any, Any]):
    """The base of a lent array. NumPy keeps it alive as long as any view of the array lives."""

    _give_back: Callable[[object], None] | None = None
    _held: object = None

    def __del__(self) -> None:
        # May run on any thread and at any allocation, so `_give_back` must neither lock nor raise.
        if self._give_back is not None:
            self._give_back(self._held)


def lend(array: np.ndarray[Any, Any], held: object, give_back: Callable[[object], None]) -> np.ndarray[Any, Any]:
    """A read-only view of `array`; `give_back(held)` is called once, when it and all views of it are gone.

    `give_back` may be called from any thread, also in the middle of anything: it must be as small as `deque.append`.
    """
    base = array.view(_Lease)
    base._give_back = give_back
    base._held = held
    base.flags.writeable = False
    return base.view(np.ndarray)
