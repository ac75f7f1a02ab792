"""A request: the source of the promise of a run that is gathered in a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webnn.memory.buffer import View
from webnn.scheduler.bridge import Bridge, Waiter, current_bridge, current_loop
from webnn.scheduler.callbacks import Callback, Follower, loop_of
from webnn.scheduler.promise import PENDING, RESOLVED, Promise, reject, settling
from webnn.scheduler.results import Run
from webnn.scheduler.statistics import CANCELLED as WAS_CANCELLED
from webnn.scheduler.statistics import TIMED_OUT
from webnn.scheduler.status import CANCELLED

if TYPE_CHECKING:
    from webnn.scheduler.batches.batch import Batch

__all__ = ["Input", "Request"]

Input = View | bytes
"""One input of a request."""


class Request(Run):
    """The source of the promise of a run that is gathered in a batch."""

    __slots__ = ("batch", "error", "forgone", "here", "inputs", "queued_at", "ready")

    batch: Batch
    inputs: list[list[Input]]
    """Its inputs, as the only item. The thread that pops it computes the request, or gives it up."""
    here: bool
    """Whether the thread that computes it settles it, whoever waits for it."""
    queued_at: int
    ready: bool
    """Whether it has been computed, or has failed."""
    error: BaseException | None
    forgone: str

    @property
    def is_given_up(self) -> bool:
        """Whether nothing can observe its result any more, as long as that is not there. It is not taken back."""
        promise = self()
        return promise is None or promise._status is not PENDING

    def take(self) -> list[Input] | None:
        """Its inputs; None if it was given up, or another thread was faster."""
        try:
            return self.inputs.pop()
        except IndexError:
            return None

    def settle(self) -> None:
        """Settle the promise with what was computed. May be called again, and on two threads at once."""
        promise = self()
        if promise is None or promise._status not in (PENDING, RESOLVED):
            values, self.values = self.values, None
            for value in values or ():
                self.timeline.discard(value)
        elif self.error is not None:
            reject(promise, self.error)
        else:
            self.deliver(promise)

    def settle_here(self) -> None:
        """Have it settled by the thread that computes it, or now if it has been computed."""
        self.here = True
        if self.ready:
            self.settle()

    def loop(self) -> Waiter | Bridge | None:
        """The event loop to settle it on; None if it is to be settled on the thread that computes it."""
        if self.here or (promise := self()) is None or not promise._callbacks:
            return None
        try:
            return loop_of(promise._callbacks[0])
        except IndexError:  # another thread was faster
            return None

    @property
    def calls_back(self) -> bool:
        """Whether it calls code of the program on the thread that settles it."""
        promise = self()
        if promise is None or not promise._callbacks:
            return False
        with settling:
            callbacks = list(promise._callbacks or ())
        return any(
            isinstance(each, Follower) or (isinstance(each, Callback) and each.bridge is None) for each in callbacks
        )

    # Called by the promise.

    def advance(self, promise: Promise[Any], awaits: bool = True) -> bool:
        """Settle if the result is there. Nothing is computed on this thread."""
        if self.ready:
            self.settle()
        return False

    def drive(self, promise: Promise[Any], timeout: float | None) -> None:
        """Make sure that a lane runs the batch now."""
        self.settle_here()
        self.batch.wake()

    def expect(self, promise: Promise[Any]) -> None:
        """Make sure that it settles even if the event loop of another waiter ends."""
        loop = self.loop()
        if loop is None or loop.loop is not current_loop():
            self.settle_here()
            self.batch.wake()

    def expect_elsewhere(self, _: Promise[Any]) -> None:
        """Have it settled on a lane. Takes no lock of the timeline."""
        self.here = True
        self.batch.call(self.settle_here)

    def forgo(self) -> None:
        """Note why it is given up. If it has not begun, its buffers are given back by `discarded`, under the lock."""
        promise = self()
        if promise is not None and promise._status is CANCELLED:
            self.forgone = WAS_CANCELLED
        elif promise is not None and isinstance(promise._error, TimeoutError):
            self.forgone = TIMED_OUT
        if self.inputs:
            self.timeline.discard(self)

    def keep(self, promise: Promise[Any] | None) -> None:
        """Keep the promise alive, or no longer. It may be freed next: then its run ends, if that has begun."""
        self.kept = promise
        if promise is None and self.batch.under_way is not None:
            bridge = current_bridge()
            if bridge is not None:
                bridge.call_soon(self.batch.look)

    def end_run(self) -> None:
        """The promise has settled without a result: end the run, if it was the last one of those who wait for it."""
        if self.batch.under_way is not None and self() is not None:
            self.batch.look()

    def discarded(self) -> None:
        """The promise has been freed, or has settled without a result: give the inputs back."""
        inputs = self.take() if hasattr(self, "batch") else None
        if inputs is not None:
            self.batch.leave(self, inputs)
        if self() is None:  # otherwise it has let go, and may be doing that just now
            super().discarded()
        under_way = self.batch.under_way if hasattr(self, "batch") else None
        if under_way is not None:
            under_way.look()
