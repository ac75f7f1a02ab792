"""`Promise`: a result that is computed later, for asyncio, trio and plain threads.

It is a `concurrent.futures.Future` that can be awaited. Invariants:
- A promise settles exactly once, in `_settle`: to a result, to an error, or as cancelled.
- A callback of the program is called exactly once. No lock is held while a callback runs.
- Cancelling a waiter affects neither the promise nor its other waiters. The work goes on while the promise can be
  reached.
- A promise that can no longer be reached, and that has no callback, gives up its work. Its source does this.

Interrupts. A signal handler can raise between any two steps. A promise has settled once `_status` is stored. The
waiters are told after that, which is repeated until it is complete (`_announce`). So the package's own callbacks may be
called twice, and must allow for it. Callbacks of the program are called once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Future
from copy import copy
from typing import Any, ClassVar, Final, NoReturn, Protocol, TypeVar
from weakref import ref

from webnn.errors import InvalidStateError
from webnn.graph.other_names import PROMISE
from webnn.graph.spelling import named_elsewhere, without_operators
from webnn.graph.unpicklable import Unpicklable
from webnn.scheduler.bridge import Bridge, current_bridge, current_waiter
from webnn.scheduler.callbacks import Callback, Follower, Following, call
from webnn.scheduler.futures import FUTURE_STATES, Installed
from webnn.scheduler.status import CANCELLED, PENDING, REJECTED, RESOLVED, Status, settling

__all__ = ["CANCELLED", "PENDING", "RESOLVED", "Promise", "Source", "abandon", "reject", "resolve", "settling"]

_COLLECTED: Final = (
    "the result was given up when the garbage collector freed the object whose finalizer waits for it now;"
    " call promise.result() before that, for instance in a method close()"
)
_NO_LOOP: Final = "await needs a running asyncio or trio event loop; in a plain thread use .result()"

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Source(Protocol):
    """The source of a promise's result. The promise refers to it until it settles."""

    def advance(self, promise: Promise[Any], awaits: bool = True) -> bool:
        """Do the work towards settling that is possible on this thread, within the small budget of a tick.

        With `awaits`, the caller can do nothing before the promise has settled, and the work may take a little longer.

        Returns:
            Whether it took so long that the event loop must get a turn before the waiter goes on or calls again.
        """
        ...

    def drive(self, promise: Promise[Any], timeout: float | None) -> None:
        """Like `advance`, but without a budget: for a plain thread that is about to block."""
        ...

    def expect(self, promise: Promise[Any]) -> None:
        """Make sure that the promise settles even if it is never awaited. Called when a callback is added."""
        ...

    def expect_elsewhere(self, promise: Promise[Any]) -> None:
        """Like `expect`, for a caller that holds `settling`: takes no lock of a timeline."""
        ...

    def keep(self, promise: Promise[Any] | None) -> None:
        """Keep the promise alive until it settles, since a callback waits for it. None ends this."""
        ...

    def let_go(self, result: Any) -> None:
        """Release everything: the promise has settled, to `result` or without one (None). May be called again."""
        ...


@named_elsewhere(PROMISE)
@without_operators(lambda promise: promise._await_first())
class Promise(Unpicklable, Future[T_co]):  # type: ignore[type-var]  # `Future` is invariant for its setters, which are refused here
    """A result that is computed later.

    - `await promise` in asyncio or trio: the result, or its error raised.
    - `promise.result(timeout=None)` in a plain thread.
    - `done()`, `exception()`, `cancel()`, `cancelled()`, `add_done_callback(f)` as in `concurrent.futures`, whose
      `wait` and `as_completed` take promises, as do `asyncio.wait`, `asyncio.gather` and `asyncio.wrap_future`.

    Any number of tasks and threads may wait for it, on any number of event loops. A promise is never left pending:
    destroying the context rejects it with `ContextLostError`.

    Cancelling a task that awaits the promise does not cancel the promise; `cancel()` does. Work that has not begun is
    dropped once none of its promises can be reached. To have it done even if the awaiting task is cancelled, keep the
    promise in a variable outside that task.
    """

    __slots__ = ("_callbacks", "_error", "_installed", "_result", "_source", "_status", "_traceback")

    _why_unpicklable: ClassVar[str] = "await it, or call promise.result(), and send the result"

    def __init__(self, source: Source | None = None) -> None:  # the base class makes a condition, which costs too much
        self._status: Status = PENDING
        self._result: Any = None
        self._error: BaseException | None = None
        self._callbacks: deque[Callable[[Any], object]] | None = None
        self._source = source
        self._installed: Installed | None = None

    # Settling.

    def _settle(self, status: Status, result: Any, error: BaseException | None, announce: bool = True) -> bool:
        """Settle, and tell the waiters if `announce`; otherwise the caller does. Returns False if it had settled."""
        try:
            with settling:
                if self._status is not PENDING:
                    return False
                if error is not None:
                    self._traceback = error.__traceback__
                self._result, self._error, self._status = result, error, status
            source, self._source = self._source, None
            if source is not None:
                source.let_go(result)
            if announce and (self._callbacks is not None or self._installed is not None):
                self._announce()
        except BaseException:
            if self._status is not PENDING and announce:
                self._announce()
            raise
        return True

    def _announce(self) -> None:
        """Call the callbacks of a settled promise and of the promises that follow it. There may be thousands."""
        settled, interrupt = deque[Promise[Any]]((self,)), None
        callback: Callable[[Any], object] | None = None
        tried: object = None
        while True:
            try:
                while settled:  # inside of `try`: only this call knows what else has settled
                    promise, callback = settled[0], None
                    if promise._source is not None:  # an interrupt came before `_settle` had done this
                        promise._source.let_go(promise._result)
                        promise._source = None
                    if promise._installed is not None:
                        promise._installed.notify(promise)
                    while promise._callbacks:
                        callback = promise._callbacks[0]
                        if isinstance(callback, Follower):
                            settled.append(callback.follow(promise))
                        else:
                            call(callback, promise)
                        promise._callbacks.popleft()
                    promise._callbacks = None
                    settled.popleft()
                break
            except BaseException as error:
                interrupt = interrupt or error
                if callback is not None and callback is tried and settled and settled[0]._callbacks:
                    settled[0]._callbacks.popleft()  # it was interrupted twice: do not try it again
                tried = callback
        if interrupt is not None:
            raise interrupt

    # For waiters.

    def __await__(self) -> Generator[Any, Any, T_co]:
        while self._status is PENDING:
            source = self._source
            late = source is not None and source.advance(self)
            source = None  # it watches this promise, and this frame must not keep it alive for longer
            if late:
                yield from self._bridge().breathe()
            elif self._status is PENDING:
                waiter = current_waiter()
                if waiter is None:
                    raise InvalidStateError(_NO_LOOP)
                try:
                    if self._listen(waiter):
                        yield from waiter.suspend()
                except BaseException:
                    self._forget(waiter)
                    # The exception keeps this frame alive, which must not keep the promise alive.
                    del self, waiter
                    raise
        if self._status is RESOLVED:
            return self._result  # type: ignore[no-any-return]
        raise self._failure()

    def result(self, timeout: float | None = None) -> T_co:
        """Block this thread until the promise has settled, and return the result.

        Args:
            timeout: seconds; None for no limit.

        Raises:
            TimeoutError: the promise did not settle in time. It stays pending.
            CancelledError: the promise was cancelled.
            MLError: the work failed. Each call raises a new exception, whose cause is the one that `exception()`
                returns.
        """
        if self._status is PENDING:
            self._wait(timeout)
        if self._status is RESOLVED:
            return self._result  # type: ignore[no-any-return]
        raise self._failure()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Block until the promise has settled. Returns its error, or None if it has a result."""
        if self._status is PENDING:
            self._wait(timeout)
        if self._status is CANCELLED:
            raise CancelledError
        return self._error

    def done(self) -> bool:
        """Whether it has settled. Never blocks, and never does expensive work."""
        if self._status is PENDING and self._source is not None:
            self._source.advance(self, False)
        return self._status is not PENDING

    def running(self) -> bool:
        """Always False: a promise shows the end of a run, but not its beginning."""
        return False

    def cancelled(self) -> bool:
        """Whether it was cancelled before it had a result."""
        return self._status is CANCELLED

    def cancel(self) -> bool:
        """Give up the result. The work is dropped, unless something else can observe it; see `context.run`.

        Returns:
            Whether the promise is now cancelled; False if it already had a result or an error.
        """
        return self._settle(CANCELLED, None, None) or self._status is CANCELLED

    def add_done_callback(self, callback: Callable[[Promise[T_co]], object]) -> None:
        """Call `callback(promise)` when the promise settles, or now if it has settled.

        A callback that is added from an event loop is called on that loop. If the loop has ended by then, or if the
        callback was added from a plain thread, it is called on the thread that settles the promise. An exception that
        it raises is logged.

        On that thread, a callback may wait for other promises of the context: a thread is added in its place if need
        be.
        """
        bridge = current_bridge()
        if self._listen(Callback(callback, bridge)) and self._source is not None:
            self._source.expect(self)

    def remove_done_callback(self, callback: Callable[[Promise[T_co]], object]) -> int:
        """Remove a callback. Returns how many times it had been added."""
        with settling:
            found = [c for c in self._callbacks or () if isinstance(c, Callback) and c.function == callback]
        for each in found:
            self._forget(each)
        return len(found)

    def then(self, function: Callable[[T_co], T]) -> Promise[T]:
        """A promise of `function(result)`. It fails if this one fails, or if `function` raises.

        `function` is called on the thread that settles this promise, or now if it has settled. It is called whether or
        not the new promise is kept.
        """
        derived: Promise[T] = Promise(Following(self))
        self._listen(Follower(function, derived))
        return derived

    def _listen(self, callback: Callable[[Any], object]) -> bool:
        """Call `callback` when the promise settles, or now if it has. Returns whether it is still pending."""
        with settling:
            if self._status is PENDING:
                if self._callbacks is None:
                    self._callbacks = deque()
                    if self._source is not None:
                        self._source.keep(self)
                self._callbacks.append(callback)
                return True
        if isinstance(callback, Follower):
            callback.follow(self)._announce()
        else:
            call(callback, self)
        return False

    def _forget(self, callback: Callable[[Any], object]) -> None:
        """Remove a callback that was given to `_listen`, unless the promise has settled since."""
        with settling:
            if self._status is PENDING and self._callbacks is not None and callback in self._callbacks:
                self._callbacks.remove(callback)
                if not self._callbacks:
                    self._callbacks = None
                    if self._source is not None:
                        self._source.keep(None)

    def _wait(self, timeout: float | None) -> None:
        if self._source is not None:
            self._source.drive(self, timeout)
        if self._status is not PENDING or _was_collected(self):
            return
        event = threading.Event()

        def wake(_: object) -> None:
            event.set()

        self._listen(wake)
        try:
            if event.wait(None if timeout is None else min(timeout, threading.TIMEOUT_MAX)):
                return
        except BaseException:
            self._forget(wake)
            raise
        self._forget(wake)
        if self._status is PENDING:
            raise TimeoutError(f"no result after {timeout} s")

    def _failure(self) -> BaseException:
        if self._status is CANCELLED:
            return CancelledError()
        assert self._error is not None
        return _own(self._error, self._traceback)

    @staticmethod
    def _bridge() -> Bridge:
        bridge = current_bridge()
        if bridge is None:
            raise InvalidStateError(_NO_LOOP)
        return bridge

    # For the functions of `concurrent.futures` and `asyncio`.

    @property
    def _state(self) -> str:  # type: ignore[override]  # computed when it is read
        installed = self._installed
        return FUTURE_STATES[self._status if installed is None else installed.reported or self._status]

    @property
    def _condition(self) -> Installed:  # type: ignore[override]
        return self._waiters

    @property
    def _waiters(self) -> Installed:  # type: ignore[override]
        with settling:
            if self._installed is None:
                self._installed = Installed(self)
            return self._installed

    def set_running_or_notify_cancel(self) -> NoReturn:
        """Refused: promises are settled by the runtime."""
        self._refuse_to_be_set()

    def set_result(self, _: object) -> NoReturn:
        """Refused: promises are settled by the runtime."""
        self._refuse_to_be_set()

    def set_exception(self, _: object) -> NoReturn:
        """Refused: promises are settled by the runtime."""
        self._refuse_to_be_set()

    def _refuse_to_be_set(self) -> NoReturn:
        raise InvalidStateError(f"{self!r} is settled by the runtime only: cancel() gives it up")

    # Operations that are refused.

    def __bool__(self) -> bool:
        if self._status is PENDING:
            raise TypeError("a promise has no truth value: await it, or ask promise.done()")
        return True  # `concurrent.futures.wait` takes the truth value of futures that have settled

    def _await_first(self) -> NoReturn:
        raise TypeError("a promise has no data: await it, or call promise.result()")

    def __len__(self) -> int:
        raise TypeError("a promise has no length: await it, or call promise.result()")

    def __array__(self, *_: object, **__: object) -> NoReturn:
        self._await_first()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._status.value}>"


# For the code that makes promises. As methods, these would be open to all code that holds a promise.


def resolve(promise: Promise[T], result: T) -> bool:
    """Settle with a result. Returns False if it had settled (by `cancel`, or by the end of its context)."""
    return promise._settle(RESOLVED, result, None)


def reject(promise: Promise[Any], error: BaseException) -> bool:
    """Settle with an error. Returns False if it had settled."""
    return promise._settle(REJECTED, None, error)


def abandon(promise: Promise[Any], error: BaseException, result: object = None) -> None:
    """In a forked child, settle a promise of the parent process and the promises that follow it.

    No callback is called, since callbacks and waiting event loops belong to the parent.

    Args:
        promise: if it is pending, it resolves to `result`, or fails with `error` if there is none.
        error: the promises that follow `promise` fail with it, if they are pending.
        result: for `promise` only.
    """
    abandoned = [promise]
    while abandoned:
        each = abandoned.pop()
        callbacks, each._installed = each._callbacks or deque(), None
        for i, callback in enumerate(callbacks):
            if isinstance(callback, Follower):
                abandoned.append(callback._derived)
            callbacks[i] = _call_nothing  # replaced, not removed: a callback that has forked is removed when it returns
        if each._status is PENDING:
            each._source = None
            if each is promise and result is not None:
                each._result, each._status = result, RESOLVED
            else:
                each._traceback = error.__traceback__
                each._error, each._status = error, REJECTED


def _was_collected(promise: Promise[Any]) -> bool:
    """Whether the collector has found `promise` in a cycle, and a finalizer goes on using it. It is rejected then.

    The collector clears weak references before it calls finalizers. So the source has given up the work, and would
    never settle the promise.
    """
    source: object = promise._source
    if not isinstance(source, ref) or source() is not None:
        return False
    return reject(promise, InvalidStateError(_COLLECTED))


def _call_nothing(_: object) -> None:
    """Replaces a callback of the parent process."""


def _own(error: BaseException, trace: Any) -> BaseException:
    """The exception to raise for one reader of the shared `error`. Its traceback holds only that reader's frames."""
    try:
        own = copy(error)
    except Exception:  # its class takes other arguments than it stores
        own = error
    if own is error or type(own) is not type(error):
        return error.with_traceback(trace)
    if hasattr(own, "__notes__"):
        own.__notes__ = list(own.__notes__)
    own.__cause__ = error
    return own.with_traceback(None)
