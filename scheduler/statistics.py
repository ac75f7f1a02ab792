"""What a timeline counts."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Statistics"]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts since the context was made, and the queue at this moment."""

    queued: int
    running: int
    run_inline: int
    run_on_lanes: int
    dropped: int
