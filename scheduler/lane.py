"""Lanes: where tasks run that are not run by whoever waits for them.

A lane knows nothing about tasks. It is told that there is work (`wake`), and calls `drain`, which runs one task and
says whether there may be more, until there is none. An idle lane holds no reference to the timeline, so a context that
is no longer used can go.
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

from webnn.forking import on_fork, reentrant_lock

__all__ = ["Lane", "SteppedLane", "ThreadLane"]

Drain = Callable[[], bool]

_log = logging.getLogger("webnn")


class Lane(ABC):
    """A place where work runs, one piece at a time."""

    latency: float = 0.0
    """Nanoseconds from `wake` to the first call of `drain`, as seen lately; 0 before it is known."""

    @abstractmethod
    def wake(self, drain: Drain) -> None:
        """Call `drain()` soon and elsewhere, until it returns False. Called from any thread, without locks.

        Waking it once too often does no harm, which is how a waking that was interrupted is made good.
        """

    @abstractmethod
    def close(self, *, wait: bool) -> None:
        """End after what is running; later `wake` calls do nothing. With `wait`, return when it has ended."""


class ThreadLane(Lane):
    """One worker thread, started when there is something to do for the first time.

    The thread is a daemon, so that a forgotten context cannot keep the process. At exit all threads are ended in good
    order: one that is inside a backend's native code while the interpreter goes down would take the process with it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._inbox: SimpleQueue[Drain | None] = SimpleQueue()
        self._lock = reentrant_lock()  # reentrant: `call` is for finalizers too
        self._thread: threading.Thread | None = None
        self._closed = False
        _lanes.add(self)

    def wake(self, drain: Drain) -> None:
        """Put `drain` into the thread's inbox."""
        if self._closed:
            return
        if self._thread is None:
            self._start()
            self._inbox.put(drain)
        else:
            self._inbox.put(self._timed(drain))

    def _timed(self, drain: Drain) -> Drain:
        """`drain`, which measures at its first call how long it took to come to it."""
        called = time.perf_counter_ns()

        def timed() -> bool:
            nonlocal called
            if called:
                latency, called = time.perf_counter_ns() - called, 0
                # Falls at once and rises slowly, since what delays it beyond the hop is other work.
                known = self.latency
                self.latency = known + min(latency - known, known) / 8 if 0 < known < latency else latency
            return drain()

        return timed

    def call(self, function: Callable[[], object]) -> bool:
        """Call `function()` once on the thread, after what it has to do; False if it has none (any more)."""

        def once() -> bool:
            function()
            return False

        with self._lock:
            if self._closed or self._thread is None:
                return False
            self._inbox.put(once)
            return True

    def close(self, *, wait: bool) -> None:
        """Let the thread end after what it is doing; wait for that, unless called from that thread."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._inbox.put(None)  # also for a thread whose start was interrupted
        if thread is not None and wait and thread is not threading.current_thread():
            thread.join()

    def forked(self) -> None:
        """This process is a child, in which the thread is not: the lane is closed."""
        self._closed = True
        if self._thread is threading.current_thread():  # it has forked, and ends when it comes back from that
            self._inbox.put(None)
        self._thread = None

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=_serve, args=(self._inbox,), name=self._name, daemon=True)
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


def _serve(inbox: SimpleQueue[Drain | None]) -> None:
    while (drain := inbox.get()) is not None:
        try:
            while drain():
                pass
        except BaseException:  # a lane must not die of what it runs
            _log.exception("a lane was interrupted")
        del drain  # while idle, nothing above is kept alive
    inbox.put(None)  # for another thread that serves it


class SteppedLane(Lane):
    """A lane that a test drives by hand: `step()` runs what is waiting, on the caller's thread."""

    def __init__(self) -> None:
        self._inbox: list[Drain] = []

    def wake(self, drain: Drain) -> None:
        """Remember that there is work."""
        self._inbox.append(drain)

    def step(self) -> bool:
        """Run one task if one is ready; whether there was one."""
        while self._inbox:
            if self._inbox[0]():
                return True
            self._inbox.pop(0)
        return False

    def close(self, *, wait: bool) -> None:
        """Forget what is waiting."""
        self._inbox.clear()
