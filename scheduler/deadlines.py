"""Deadlines: functions that are called at a given time, unless they are called off before. One thread serves all."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final
from weakref import ref

from webnn.forking import on_fork, reentrant_lock
from webnn.scheduler.promise import Promise, reject

__all__ = ["Deadline", "call_after", "give_up_after"]

_log = logging.getLogger("webnn")


class Deadline:
    """A function and the time at which it is called."""

    __slots__ = ("function", "time")

    def __init__(self, time: float, function: Callable[[], object]) -> None:
        self.time = time
        self.function: Callable[[], object] | None = function
        """None once it has been called or called off."""

    def call_off(self) -> None:
        """Do not call the function. Does nothing if it has been called."""
        _deadlines.remove(self)


class _Deadlines:
    """Calls functions at their times, on a thread that starts with the first one and ends with the last one."""

    def __init__(self) -> None:
        self._changed = threading.Condition(reentrant_lock())
        self._waiting: list[tuple[float, int, Deadline]] = []
        self._numbers = itertools.count()  # deadlines are not compared
        self._running = False

    def add(self, deadline: Deadline) -> None:
        """Have the function of `deadline` called at its time."""
        with self._changed:
            heapq.heappush(self._waiting, (deadline.time, next(self._numbers), deadline))
            if self._running:
                self._changed.notify_all()  # all: after a fork, a thread of the parent seems to wait too
                return
            threading.Thread(target=self._serve, name="webnn-deadlines", daemon=True).start()
            self._running = True

    def remove(self, deadline: Deadline) -> None:
        """Remove `deadline`, and wake the thread if no other one is left."""
        with self._changed:
            deadline.function = None
            if self._next_deadline() is None:
                self._changed.notify_all()

    def _next_deadline(self) -> Deadline | None:
        """The earliest one that has not been called off; those before it are removed."""
        while self._waiting:
            deadline = self._waiting[0][2]
            if deadline.function is not None:
                return deadline
            heapq.heappop(self._waiting)
        return None

    def _serve(self) -> None:
        while (function := self._next()) is not None:
            try:
                function()
            except BaseException:  # a callback was interrupted
                _log.exception("a deadline was interrupted")

    def _next(self) -> Callable[[], object] | None:
        """Wait until the next deadline, and return its function. None if there is no deadline left."""
        with self._changed:
            while (deadline := self._next_deadline()) is not None:
                seconds = deadline.time - time.monotonic()
                if seconds > 0:
                    self._changed.wait(min(seconds, threading.TIMEOUT_MAX))  # a longer wait is an OverflowError
                else:
                    function, deadline.function = deadline.function, None
                    return function
            self._running = False
            return None

    def forked(self, _: int) -> None:
        """Forget all deadlines: their promises and the thread belong to the parent."""
        self._waiting.clear()
        self._running = False


_deadlines: Final = _Deadlines()
on_fork(_deadlines.forked)


def give_up_after(seconds: float, promise: Promise[Any], message: str) -> Deadline:
    """Reject `promise` with `TimeoutError(message)` after `seconds`, unless it has settled or been freed by then."""
    reference = ref(promise)

    def give_up() -> None:
        promise = reference()
        if promise is not None:
            reject(promise, TimeoutError(message))

    return call_after(seconds, give_up)


def call_after(seconds: float, function: Callable[[], object]) -> Deadline:
    """Call `function()` after `seconds`, on the thread that serves all deadlines. It must not take long."""
    deadline = Deadline(time.monotonic() + seconds, function)
    _deadlines.add(deadline)
    return deadline
