"""`Promise`: a result that will come, for asyncio, trio and plain threads alike.

It has the words of `concurrent.futures.Future` and is awaitable. What must stay true:
- a promise settles exactly once, to a result, an error, or cancelled; whoever would settle it second is told so;
- callbacks run exactly once, without any lock held, on the thread that settles;
- cancelling one who waits leaves the promise, the work and the others who wait alone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError
from enum import Enum
from typing import Any, Final, Generic, NoReturn, TypeVar

from webnn.errors import InvalidStateError
from webnn.scheduler.bridge import Bridge, current_bridge

__all__ = ["PENDING", "RESOLVED", "Promise", "settling"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class _State(Enum):
    PENDING = "pending"
    RESOLVED = "resolved"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


PENDING: Final = _State.PENDING
RESOLVED: Final = _State.RESOLVED
REJECTED: Final = _State.REJECTED
CANCELLED: Final = _State.CANCELLED

_log = logging.getLogger("webnn")

settling = threading.RLock()
"""Guards the one transition of every promise, and callback lists. Held for a few instructions, never while calling out.
Reentrant, since the garbage collector may run a user's `__del__` at any allocation, and that may cancel a promise."""


class Promise(Generic[T_co]):
    """A result that will come.

    - `await promise` in asyncio or trio: the result, or its error raised.
    - `promise.result(timeout=None)` in a plain thread.
    - `done()`, `exception()`, `cancel()`, `cancelled()`, `add_done_callback(f)` as in `concurrent.futures`.

    Any number may wait, on any number of threads and loops. A promise is never left pending: destroying the context
    rejects it with `ContextLostError`. Cancelling a task that awaits it does not cancel the promise; `cancel()` does.
    """

    __slots__ = ("__weakref__", "_callbacks", "_error", "_result", "_state")

    def __init__(self) -> None:
        self._state: _State = PENDING
        self._result: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Any], object]] | None = None

    # For those who settle it.

    def resolve(self: Promise[T], result: T) -> bool:
        """Settle with a result; False if it was settled before (by `cancel`, or by the end of its context)."""
        return self._settle(RESOLVED, result, None)

    def reject(self, error: BaseException) -> bool:
        """Settle with an error; False if it was settled before."""
        return self._settle(REJECTED, None, error)

    def _settle(self, state: _State, result: Any, error: BaseException | None) -> bool:
        with settling:
            if self._state is not PENDING:
                return False
            self._result, self._error, self._state = result, error, state
            callbacks, self._callbacks = self._callbacks, None
        self._settled()
        if callbacks is not None:
            self._call(callbacks)
        return True

    def _call(self, callbacks: Iterable[Callable[[Any], object]]) -> None:
        callbacks = iter(callbacks)
        for callback in callbacks:
            try:
                callback(self)
            except Exception:  # somebody else's mistake must not keep the others, or a lane, from going on
                _log.exception("a callback of %r failed", self)
            except BaseException:
                self._call(callbacks)
                raise

    def _settled(self) -> None:
        """For subclasses: let go of what the promise held. Called once."""

    # For subclasses that can hurry the result along on the waiter's own thread.

    def _advance(self) -> bool:
        """Do what can be done here and now towards settling, within the small budget of a tick.

        Returns:
            Whether so much was done that the event loop must get a turn before the waiter goes on, or asks again.
        """
        return False

    def _drive(self, timeout: float | None) -> None:
        """As `_advance`, for a plain thread that is about to block: it may take as long as it takes."""

    def _expect(self) -> None:
        """See to it that it settles though nobody asks: somebody has left a callback and gone."""

    # For those who wait.

    def __await__(self) -> Generator[Any, Any, T_co]:
        while self._state is PENDING:
            if self._advance():
                yield from self._bridge().breathe()
            elif self._state is PENDING:
                yield from self._bridge().wait(self._subscribe)
        if self._state is RESOLVED:
            return self._result  # type: ignore[no-any-return]
        raise self._failure()

    def result(self, timeout: float | None = None) -> T_co:
        """Block this thread until the result is there, and return it.

        Args:
            timeout: seconds; None waits as long as it takes.

        Raises:
            TimeoutError: it was not there in time; the promise goes on.
            CancelledError: the promise was cancelled.
            MLError: what went wrong.
        """
        self._wait(timeout)
        if self._state is RESOLVED:
            return self._result  # type: ignore[no-any-return]
        raise self._failure()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Block until it has settled; the error, or None if there is a result."""
        self._wait(timeout)
        if self._state is CANCELLED:
            raise CancelledError
        return self._error

    def done(self) -> bool:
        """Whether it has settled. Never blocks, and never runs anything heavy."""
        if self._state is PENDING:
            self._advance()
        return self._state is not PENDING

    def cancelled(self) -> bool:
        """Whether `cancel` came before the result."""
        return self._state is CANCELLED

    def cancel(self) -> bool:
        """Give the result up: work that nobody else can observe is dropped if it has not begun.

        Returns:
            Whether the promise is cancelled now; False if it had settled already.
        """
        return self._settle(CANCELLED, None, None) or self._state is CANCELLED

    def add_done_callback(self, callback: Callable[[Promise[T_co]], object]) -> None:
        """Call `callback(promise)` once it has settled: now if it has, else on the thread that settles it."""
        if self._listen(callback):
            self._expect()

    def _listen(self, callback: Callable[[Any], object]) -> bool:
        """As `add_done_callback`, for one who asks for the result, too; whether it has still to settle."""
        with settling:
            if self._state is PENDING:
                if self._callbacks is None:
                    self._callbacks = []
                self._callbacks.append(callback)
                return True
        callback(self)
        return False

    def then(self, function: Callable[[T_co], T]) -> Promise[T]:
        """A promise of `function(result)`; it fails if this one fails, or if `function` raises."""
        return _Then(self, function)

    def _subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        def callback(_: object) -> None:
            wake()

        def unsubscribe() -> None:
            with settling:
                if self._callbacks is not None and callback in self._callbacks:
                    self._callbacks.remove(callback)

        self._listen(callback)
        return unsubscribe

    def _wait(self, timeout: float | None) -> None:
        if self._state is not PENDING:
            return
        self._drive(timeout)
        if self._state is not PENDING:
            return
        event = threading.Event()
        unsubscribe = self._subscribe(event.set)
        if not event.wait(timeout):
            unsubscribe()
            raise TimeoutError(f"no result after {timeout} s")

    def _failure(self) -> BaseException:
        if self._state is CANCELLED:
            return CancelledError()
        assert self._error is not None
        return self._error

    @staticmethod
    def _bridge() -> Bridge:
        bridge = current_bridge()
        if bridge is None:
            raise InvalidStateError("await needs a running asyncio or trio event loop; in a plain thread use .result()")
        return bridge

    def __bool__(self) -> bool:
        raise TypeError("a promise has no truth value: await it, or ask promise.done()")

    def __len__(self) -> int:
        raise TypeError("a promise has no length: await it, or call promise.result()")

    def __array__(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a promise has no data: await it, or call promise.result()")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._state.value}>"


class _Then(Promise[T]):
    __slots__ = ("_source",)

    def __init__(self, source: Promise[Any], function: Callable[[Any], T]) -> None:
        Promise.__init__(self)
        self._source = source

        def forward(source: Promise[Any]) -> None:
            if source.cancelled():
                self.cancel()
            elif (error := source.exception()) is not None:
                self.reject(error)
            else:
                try:
                    self.resolve(function(source.result()))
                except BaseException as failure:
                    self.reject(failure)
                    if not isinstance(failure, Exception):
                        raise

        source._listen(forward)

    def _advance(self) -> bool:
        return self._source._advance()

    def _expect(self) -> None:
        self._source._expect()

    def _drive(self, timeout: float | None) -> None:
        self._source._drive(timeout)
