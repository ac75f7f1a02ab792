"""The callbacks of a promise: those of the program, and the promises that `then` derives from it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from webnn.errors import InvalidStateError
from webnn.scheduler.bridge import Bridge, Waiter
from webnn.scheduler.status import CANCELLED, PENDING, REJECTED, RESOLVED

if TYPE_CHECKING:
    from webnn.scheduler.promise import Promise

__all__ = ["Callback", "Follower", "Following", "call", "loop_of"]

_log = logging.getLogger("webnn")


def call(callback: Callable[[Any], object], promise: Promise[Any]) -> None:
    """Call `callback(promise)`, and log what it raises."""
    try:
        callback(promise)
    except Exception:  # an error in one callback must not stop the other callbacks, or a lane
        _log.exception("a callback of %r failed", promise)


class Callback:
    """A user's callback. It is called once, on the event loop that it was added from, if there was one."""

    __slots__ = ("_called", "bridge", "function")

    def __init__(self, function: Callable[[Any], object], bridge: Bridge | None) -> None:
        self.function = function
        self.bridge = bridge
        self._called = False

    def __call__(self, promise: Promise[Any]) -> None:
        """Call it on its event loop, or here if there is none, or if the loop has ended."""
        if self.bridge is None or not self.bridge.post(lambda: call(self._once, promise)):
            self._once(promise)

    def _once(self, promise: Promise[Any]) -> None:
        if not self._called:
            self._called = True
            self.function(promise)


def loop_of(callback: Callable[[Any], object]) -> Waiter | Bridge | None:
    """The event loop that `callback` will call or wake; None if it does neither."""
    if isinstance(callback, Waiter):
        return callback
    return callback.bridge if isinstance(callback, Callback) else None


class Follower:
    """The callback that `then` adds to a promise."""

    __slots__ = ("_begun", "_derived", "_function")

    def __init__(self, function: Callable[[Any], Any], derived: Promise[Any]) -> None:
        self._function = function
        self._derived = derived
        self._begun = False

    def __call__(self, promise: Promise[Any]) -> None:
        """Like `follow`, but also announce the derived promise."""
        self.follow(promise)._announce()

    def follow(self, promise: Promise[Any]) -> Promise[Any]:
        """Settle the derived promise according to `promise`, and return it. The caller announces it."""
        derived = self._derived
        if promise._status is CANCELLED:
            derived._settle(CANCELLED, None, None, announce=False)
        elif promise._error is not None:
            derived._settle(REJECTED, None, promise._error, announce=False)
        elif derived._status is PENDING:
            try:
                if self._begun:
                    raise InvalidStateError("the function given to then() was interrupted")
                self._begun = True
                derived._settle(RESOLVED, self._function(promise._result), None, announce=False)
            except BaseException as error:
                derived._settle(REJECTED, None, error, announce=False)
                if not isinstance(error, Exception):
                    raise
        return derived


class Following:
    """The source of a promise made by `then`. It calls the source of the first promise of the chain."""

    __slots__ = ("_root",)

    def __init__(self, source: Promise[Any]) -> None:
        origin = source._source
        self._root: Promise[Any] = origin._root if isinstance(origin, Following) else source

    def advance(self, _: Promise[Any], awaits: bool = True) -> bool:
        """As the root does."""
        source = self._root._source
        return source is not None and source.advance(self._root, awaits)

    def drive(self, _: Promise[Any], timeout: float | None) -> None:
        """As the root does."""
        if (source := self._root._source) is not None:
            source.drive(self._root, timeout)

    def expect(self, _: Promise[Any]) -> None:
        """As the root does."""
        if (source := self._root._source) is not None:
            source.expect(self._root)

    def expect_elsewhere(self, _: Promise[Any]) -> None:
        """As the root does."""
        if (source := self._root._source) is not None:
            source.expect_elsewhere(self._root)

    def keep(self, _: Promise[Any] | None) -> None:
        """Do nothing: the promise that is followed refers to this one in its callbacks."""

    def let_go(self, _: object) -> None:
        """Do nothing: what this holds is freed with it."""
