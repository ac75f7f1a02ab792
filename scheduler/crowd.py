"""Finds out whether other threads of the machine need the cores, so that a short run on all of them would wait.

The threads of a run meet after each operator. If a thread of another program has one of the cores, or one of another
library's pool that spins after its own run, they wait until the kernel gives them a turn. That takes milliseconds,
while a run takes some hundred microseconds. On one thread, such a run is not disturbed. The trials of short runs find
this out, too, but only if it lasts for hundreds of runs. Here, it is noticed when it begins and when it ends.

The kernel says how many threads run or are ready to run. Asking takes about a microsecond. So it is asked before the
first run after a pause, after a run that took longer than expected, and before every fourth run in a crowd.

The module is pure: no thread, no lock and no clock. `Cores` calls it under the timeline's lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["SHORTEST", "Crowd"]

SHORTEST: Final = 120_000
"""Nanoseconds of a run on all cores from which on it is looked for a crowd. With shorter ones, a thread that passes by
would change several runs, which costs more than it saves: 5 to 10 percent for products of one row."""

PAUSE: Final = 1_000_000
"""Nanoseconds without a run after which the machine is looked at again."""
AWAKE: Final = 300_000
"""Nanoseconds for which the other threads of a run spin when it has ended, and are counted as threads that run."""
LATE: Final = 1.5
"""A run on all cores that takes this many times the expected time may have shared them."""
EVERY: Final = 4
"""Runs from one look to the next while there is a crowd. The second look is made at once, and so is the one that makes
sure that the crowd is over."""
CLEAR: Final = 2
"""Looks in a row that must find free cores before the crowd is over, if more than one has found it."""


class Crowd:
    """The other threads of the machine.

    Args:
        cores: the threads of a run on all cores.
        processors: those of the whole machine, whose threads `ready` counts.
        ready: the number of threads of the machine that run or are ready to run, with the caller's; 0 if unknown.
    """

    def __init__(self, cores: int, processors: int, ready: Callable[[], int]) -> None:
        self._cores = cores
        self._processors = processors
        self._ready = ready
        self.looks = False
        """Whether the next run looks, or at least counts: there is a crowd, or the last run was `LATE`."""
        self.was_wide = False
        """Whether the last run had all cores."""
        self._is_here = False
        self._until = 0
        """The runs until the next look, while there is a crowd."""
        self._clear = 0
        self._seen = 0
        """The looks that have found a crowd since it came."""

    def is_here(self, pause: int, waiting: int) -> bool:
        """Whether a run on all cores that starts now, with nothing of this program beside it, would have to share them.

        Call it if `looks`, or if the pause is longer than `PAUSE`.

        Args:
            pause: the nanoseconds since the last run.
            waiting: threads that are counted as running, but are about to wait for this run.
        """
        if self._is_here:
            self._until -= 1
            if self._until > 0:
                return True
        needed = self._ready() - waiting + (0 if self.was_wide and pause < AWAKE else self._cores - 1)
        if needed > self._processors:
            self._seen += 1
            self._is_here, self._clear = True, 0
        elif self._is_here:
            self._clear += 1
            self._is_here = self._clear < min(CLEAR, self._seen)
        # Much of what is seen once, such as a thread of the system, is gone when the next run begins. And a crowd that
        # was not seen may be gone.
        self._until = EVERY if self._seen > 1 and not self._clear else 1
        if not self._is_here:
            self._seen = 0
        self.looks = self._is_here
        return self._is_here
