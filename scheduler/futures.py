"""A promise as `concurrent.futures` sees it: `wait` and `as_completed` read private attributes of futures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from webnn.scheduler.status import CANCELLED, PENDING, REJECTED, RESOLVED, Status, settling

if TYPE_CHECKING:
    from webnn.scheduler.promise import Promise

__all__ = ["FUTURE_STATES", "Installed"]

FUTURE_STATES: Final = {
    PENDING: "PENDING",
    RESOLVED: "FINISHED",
    REJECTED: "FINISHED",
    CANCELLED: "CANCELLED_AND_NOTIFIED",
}
"""The name of each status in `concurrent.futures`, which `wait` and `as_completed` compare with."""


class Installed(list[Any]):
    """The waiters and the condition of a promise, for `concurrent.futures.wait` and `as_completed`.

    Those functions hold the condition while they read the states of all futures and install their waiters. An
    interrupt in between may leave it held for ever, so holding it must block no thread. Instead, the state is reported
    as it was when the condition was acquired. A waiter that is installed after the promise has settled is told at once.
    """

    def __init__(self, promise: Promise[Any]) -> None:
        super().__init__()
        self._promise = ref(promise)
        self._told: set[int] = set()
        self._holders = 0
        self.reported: Status | None = None
        """The state to report while the condition is held."""

    def acquire(self) -> bool:
        """Report the current state until `release`."""
        promise = self._promise()
        with settling:
            if self._holders == 0 and promise is not None:
                self.reported = promise._status
            self._holders += 1
        return True

    def release(self) -> None:
        """Report the actual state again."""
        with settling:
            self._holders -= 1
            if self._holders <= 0:
                self._holders, self.reported = 0, None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def append(self, waiter: Any) -> None:
        """Add a waiter. It never calls the promise, so the promise must settle without that."""
        promise = self._promise()
        with settling:
            super().append(waiter)
            late = promise is not None and promise._status is not PENDING and self.reported is PENDING
        if promise is None:
            return
        if late:
            self.notify(promise)
        elif promise._source is not None:
            promise._source.expect_elsewhere(promise)

    def notify(self, promise: Promise[Any]) -> None:
        """Tell all waiters, each of them once."""
        with settling:
            for waiter in self:
                if id(waiter) in self._told:
                    continue
                if promise._status is CANCELLED:
                    waiter.add_cancelled(promise)
                elif promise._error is not None:
                    waiter.add_exception(promise)
                else:
                    waiter.add_result(promise)
                self._told.add(id(waiter))  # last: told twice, it may wake too early; never told, it waits for ever
