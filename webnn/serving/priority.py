"""The event loop takes precedence over runs where both want the same core.

While runs keep all cores busy, the system gives the thread of the event loop a core for a few milliseconds, and then
lets it wait for as long. Meanwhile it reads no requests, sends no answers, and learns of no client that has left, so
that runs are started for nothing. A run that gives its core to the loop is late by the little that the loop has to do.

A server that was started with a lower priority itself has its runs at that, or at the same lower one as others. Lower
still, they would hardly be given a core beside programs of normal priority, and the event loop waits for them.

Linux has a priority for each thread. Elsewhere nothing is changed.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import Final

__all__ = ["NICENESS", "give_way"]

NICENESS: Final = 5
"""The nice value of a thread that gives way, if it had none. One whose value is 5 lower counts for three times as much.
One whose value was lower than 0 is raised by as much, and one whose value was higher to this at least."""


def give_way() -> None:
    """Let other threads go before the calling one, from now on."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):  # a sandbox may forbid it
            before = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, max(before, min(before, 0) + NICENESS))
