"""The processor time of the host: the thread of the program that queues runs."""

from __future__ import annotations

import threading
import time

__all__ = ["HostClock"]


class HostClock:
    """Measures how much of the time the host computes, rather than waits.

    It reads the clock of the processor time of the thread that has called `here` last, which takes about a microsecond.
    Where the system has no such clock (Windows, macOS), the host counts as waiting, and so does a host that carries out
    the run itself.
    """

    def __init__(self) -> None:
        self._thread = 0
        self._clock = 0

    def here(self) -> None:
        """The calling thread is the host now."""
        thread = threading.get_ident()
        if thread != self._thread:
            if hasattr(time, "pthread_getcpuclockid"):
                self._clock = time.pthread_getcpuclockid(thread)  # only here: its thread is alive
            self._thread = thread

    @property
    def is_elsewhere(self) -> bool:
        """Whether the host is another thread than the caller, as far as is known."""
        return self._thread not in (0, threading.get_ident())

    def now(self) -> int:
        """The nanoseconds for which the host has computed so far.

        0 if the caller is the host, if the system does not say, or if the thread has ended.
        """
        clock = self._clock  # read once: another thread may become the host meanwhile
        if not clock or not self.is_elsewhere:
            return 0
        try:
            return time.clock_gettime_ns(clock)
        except OSError:  # the thread has ended, and another one may get its number
            self._thread = self._clock = 0
            return 0
