"""`context.lend_tensor`: the value of a tensor where it is, for other libraries on the same device."""

from __future__ import annotations

from typing import Any

from webnn.errors import MLError
from webnn.memory.buffer import View
from webnn.scheduler.promise import RESOLVED, Promise, reject
from webnn.scheduler.results import Read

__all__ = ["Loan"]


class Loan(Read):
    """The source of a promise of a value in the memory of its device, which is held until the consumer frees it."""

    __slots__ = ()

    def _lend(self, promise: Promise[Any], view: View) -> None:
        try:
            result = self.timeline.allocator.lent(view)
        except MLError as error:
            reject(promise, error)
        else:
            promise._settle(RESOLVED, result, None)
