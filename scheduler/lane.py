"""Lanes run the tasks that do not run inline.

A lane knows nothing about tasks. `wake` tells it that there is work. It then calls `drain`, which runs one task and
returns whether there may be more, until that returns False. An idle lane holds no reference to the timeline, so a
context that is no longer used can be freed.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from queue import SimpleQueue
from weakref import ref

from webnn.forking import on_fork, reentrant_lock

__all__ = ["Lane", "ThreadLane", "current_lane"]

Drain = Callable[[], bool]

_log = logging.getLogger("webnn")


class Lane(ABC):
    """A place where work runs, one piece at a time."""

    latency: float = 0.0
    """Nanoseconds from `wake` to the first call of `drain`, as measured lately; 0 before the first measurement."""

    @abstractmethod
    def wake(self, drain: Drain, *, timed: bool = True) -> None:
        """Call `drain()` soon, but not during this call, until it returns False. Called from any thread, without locks.

        An extra call does no harm, so a call that was interrupted is simply made again.

        Args:
            drain: the work.
            timed: measure the `latency`; not if the lane has to wait for the caller.
        """

    @abstractmethod
    def close(self, *, wait: bool) -> None:
        """End after the work that is running. Later `wake` calls do nothing. With `wait`, return when it has ended."""


class ThreadLane(Lane):
    """One worker thread, started with its first work.

    The thread is a daemon, so that a forgotten context cannot keep the process alive. All threads are ended in order at
    exit: a thread inside a backend's native code during the interpreter's shutdown could crash the process.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._inbox: SimpleQueue[Drain | None] = SimpleQueue()
        self._lock = reentrant_lock()  # reentrant: `call` is for finalizers too
        self._thread: threading.Thread | None = None
        self._closed = False
        _lanes.add(self)

    def wake(self, drain: Drain, *, timed: bool = True) -> None:
        """Put `drain` into the thread's inbox."""
        if self._closed:
            return
        if self._thread is None:
            self._start()
            self._inbox.put(drain)
        else:
            self._inbox.put(self._timed(drain) if timed else drain)

    def _timed(self, drain: Drain) -> Drain:
        """`drain`, with a measurement of the time until its first call."""
        called = time.perf_counter_ns()

        def timed() -> bool:
            nonlocal called
            if called:
                latency, called = time.perf_counter_ns() - called, 0
                # Falls at once and rises slowly, since longer delays are due to other work.
                known = self.latency
                self.latency = known + min(latency - known, known) / 8 if 0 < known < latency else latency
            return drain()

        return timed

    def call(self, function: Callable[[], object]) -> bool:
        """Call `function()` once on the thread, after its other work. Returns False if the thread is not running."""

        def once() -> bool:
            function()
            return False

        with self._lock:
            if self._closed or self._thread is None:
                return False
            self._inbox.put(once)
            return True

    def close(self, *, wait: bool) -> None:
        """End the thread after its work. With `wait`, wait for that, unless called on that thread."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._inbox.put(None)  # also for a thread whose start was interrupted
        if thread is not None and wait and thread is not threading.current_thread():
            thread.join()

    def forked(self) -> None:
        """Close the lane: this process is a forked child, which does not have the thread."""
        self._closed = True
        if self._thread is threading.current_thread():  # it has forked; end it when it returns from that
            self._inbox.put(None)
        self._thread = None

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=_serve, args=(self._inbox, ref(self)), name=self._name, daemon=True)
                thread.start()  # after an interrupt here a second thread serves the same inbox, which does no harm
                self._thread = thread


_lanes: weakref.WeakSet[ThreadLane] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for lane in list(_lanes):
        lane.close(wait=True)


@on_fork
def _close_all_in_child(_: int) -> None:
    for lane in list(_lanes):
        lane.forked()


class _Here(threading.local):
    """The lane of the calling thread."""

    lane: ref[Lane] | None = None


_here = _Here()


def current_lane() -> Lane | None:
    """The lane whose work is calling; None outside of lanes."""
    return None if _here.lane is None else _here.lane()


def _serve(inbox: SimpleQueue[Drain | None], lane: ref[Lane]) -> None:
    _here.lane = lane
    while (drain := inbox.get()) is not None:
        try:
            while drain():
                pass
        except BaseException:  # an error in its work must not end the lane
            _log.exception("a lane was interrupted")
        del drain  # an idle lane must not keep the timeline alive
    inbox.put(None)  # for a second thread that serves the same inbox
