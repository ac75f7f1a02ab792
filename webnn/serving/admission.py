"""Admission: how many items of one model may be under way, and whether a new request could still be answered in time.

An item is a run of the model. Beyond `most` items, or where the queue would take longer than the timeout, a request is
refused at once: its client can try elsewhere, and those in the queue are answered in time. How long an item takes is
measured while the model is busy, so that gathering and lanes are in it. The measure begins with what one run took when
the model was loaded, and forgets slowly, so that a pause at the start (something is compiled, the machine is busy)
refuses no clients.

The module is pure: no thread and no clock.
"""

from __future__ import annotations

import math
from typing import Final

__all__ = ["Admission"]

WINDOW: Final = 0.5
"""Seconds of work after which the pace is computed again. What was measured before counts half from then on."""
FIRST: Final = 16
"""Items that the pace at the start counts as."""


class Admission:
    """The queue of one model.

    Args:
        most: the most items under way.
        timeout: seconds in which a request has to be answered.
        pace: seconds that an item took before there were requests; 0 if that is not known.
    """

    def __init__(self, most: int, timeout: float, pace: float = 0.0) -> None:
        self.most = most
        self.timeout = timeout
        self.items = 0
        """The items that are under way."""
        self.handed = 0
        """Those among them that have been handed to the runtime."""
        self.company = 0
        """Up to so many are handed over in any case, since they are computed together."""
        self.pace = pace
        """Seconds for an item while the model is busy; 0 while that is not known."""
        self._done = float(FIRST) if pace else 0.0
        self._busy = pace * self._done
        self._since = 0.0

    def has_room(self, items: int = 1) -> bool:
        """Whether the queue has room for `items` more."""
        total = self.items + items
        return total <= self.most and (total * self.pace <= self.timeout or self.items == 0)

    @property
    def retry_after(self) -> int:
        """Whole seconds after which a client that was refused may try again: when the queue has been worked off."""
        return max(1, min(math.ceil(self.items * self.pace), math.ceil(self.timeout)))

    def enter(self, items: int, now: float) -> None:
        """Count `items` as under way from `now` on."""
        if self.items == 0:
            self._since = now
        self.items += items

    def leave(self, items: int, now: float, *, done: bool) -> None:
        """Count `items` as ended at `now`; `done` if they were computed, not given up.

        The time until some are given up counts for those that are done next. If there are none, because all clients
        have left, nobody knows how long these would have taken.
        """
        self.items -= items
        if not done:
            return
        self._done += items
        self._busy += now - self._since
        self._since = now
        if self._busy >= WINDOW:
            self.pace = self._busy / self._done
            self._busy, self._done = self._busy / 2, self._done / 2
