"""How a stream's source comes to its items: it waits for them, computes them, or has them ready.

An item of a source that waits, such as a camera, grows old while it waits for its turn. One that computes needs a core.
Pure: the caller measures the steps.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Pace"]

AT_HAND: Final = 20_000
"""Nanoseconds. An item that took less was neither waited for nor computed."""
BUSY: Final = 0.5
"""The share of processor time from which on a step counts as work that needs a core."""
MEMORY: Final = 4
"""Steps that the shares go back."""


class Pace:
    """The pace of one source."""

    def __init__(self) -> None:
        self._computing = 0.0  # the share of processor time in the steps, without those whose item was ready
        self._waiting = 1.0  # the share of time in which the source was idle; none of the steps whose item was ready

    @property
    def is_busy(self) -> bool:
        """Whether the source computes its items."""
        return self._computing > BUSY

    @property
    def is_live(self) -> bool:
        """Whether the source waits for its items. Until several steps have shown otherwise, it counts as one."""
        return self._waiting > BUSY

    def measured(self, elapsed: int, used: int) -> None:
        """A step took `elapsed` nanoseconds, `used` of them on a processor."""
        idle = 0.0
        if elapsed > AT_HAND:
            share = used / elapsed
            self._computing += (share - self._computing) / MEMORY
            idle = 1 - share
        self._waiting += (idle - self._waiting) / MEMORY
