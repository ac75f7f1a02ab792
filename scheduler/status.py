"""The states of a promise, and the lock that guards its one transition."""

from __future__ import annotations

from enum import Enum
from typing import Final

from webnn.forking import hold_of, reentrant_lock

__all__ = ["CANCELLED", "PENDING", "REJECTED", "RESOLVED", "Status", "settling"]


class Status(Enum):
    """Whether a promise has settled, and how."""

    PENDING = "pending"
    RESOLVED = "resolved"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


PENDING: Final = Status.PENDING
RESOLVED: Final = Status.RESOLVED
REJECTED: Final = Status.REJECTED
CANCELLED: Final = Status.CANCELLED

settling = hold_of(reentrant_lock())
"""Guards the one transition of every promise, and the lists of callbacks. Held for a few instructions only, and never
while other code is called. Reentrant, since the garbage collector may run a user's `__del__` at any allocation, which
may cancel a promise."""
