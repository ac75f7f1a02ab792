"""Room in the queue: how much may be queued before awaiting a dispatch waits.

Like `Renaming`, this module is pure and knows no lock. The properties are read without one, since their answers may be
a moment old.
"""

from __future__ import annotations

from typing import Final

from webnn.scheduler.promise import Promise
from webnn.scheduler.renaming import Renaming

__all__ = ["INLINE_QUEUE", "MAX_QUEUED", "MAX_QUEUED_BYTES", "Room"]

INLINE_QUEUE: Final = 16
"""Queued cheap tasks beyond which awaiting a dispatch runs them."""
MAX_QUEUED: Final = 64
"""Queued tasks beyond which awaiting a dispatch waits."""
MAX_QUEUED_BYTES: Final = 256 * 1024 * 1024
"""Bytes of queued tasks' outputs beyond which awaiting a dispatch waits."""


class Room:
    """The room in a timeline's queue, and the waiters for more.

    Args:
        renaming: the timeline's state, with the queue.
        max_queued: queued tasks beyond which awaiting a dispatch waits.
        max_queued_bytes: bytes of queued tasks' outputs beyond which it waits.
    """

    def __init__(self, renaming: Renaming, max_queued: int, max_queued_bytes: int) -> None:
        self._renaming = renaming
        self.max_queued = max_queued
        self._max_queued_bytes = max_queued_bytes
        self.waiting: list[Promise[None]] = []
        """The promises to resolve when half of the queue is empty. Each leaves the list once it is resolved."""

    @property
    def is_crowded(self) -> bool:
        """Whether so much is queued that awaiting a dispatch should run tasks or wait."""
        renaming = self._renaming
        queued = renaming.queued
        return (
            queued > self.max_queued
            or renaming.queued_bytes > self._max_queued_bytes
            or (queued > INLINE_QUEUE and bool(renaming.inline))
        )

    @property
    def is_full(self) -> bool:
        """Whether so much is queued that awaiting a dispatch waits."""
        renaming = self._renaming
        return renaming.queued > self.max_queued or renaming.queued_bytes > self._max_queued_bytes

    @property
    def has_space_for_waiting(self) -> bool:
        """Whether there are waiters, and at least half of the queue is empty."""
        renaming = self._renaming
        return (
            bool(self.waiting)
            and renaming.queued <= self.max_queued // 2
            and renaming.queued_bytes <= self._max_queued_bytes // 2
        )
