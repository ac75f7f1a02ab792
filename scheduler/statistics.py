"""The counts that a timeline keeps."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Statistics"]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts of tasks since the context was made. `queued` and `running` are counts of this moment."""

    queued: int
    running: int
    run_inline: int
    run_on_lanes: int
    dropped: int
