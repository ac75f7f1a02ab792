"""The counts that the server keeps for each model, in plain numbers, so that a request costs a microsecond.

`metrics.py` shows them to Prometheus, and the status page to people.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

__all__ = ["EDGES", "GONE", "Requests"]

EDGES: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds up to which the buckets of the latency reach; one more has all that took longer."""
GONE: Final = 499
"""The status of a request whose client went away, in figures and logs, as nginx has it."""


class Requests:
    """The requests of one version of a model.

    Attributes:
        by_status: how many had each status.
        buckets: how many of the answered ones took up to each of `EDGES`, and how many longer.
        seconds: all of their times together.
        items: the items that were computed for them.
    """

    __slots__ = ("buckets", "by_status", "items", "seconds")

    def __init__(self) -> None:
        self.by_status: dict[int, int] = {}
        self.buckets = [0] * (len(EDGES) + 1)
        self.seconds = 0.0
        self.items = 0

    def count(self, status: int, seconds: float, items: int) -> None:
        """Count a request that has ended."""
        self.by_status[status] = self.by_status.get(status, 0) + 1
        if status == 200:
            self.buckets[bisect_left(EDGES, seconds)] += 1
            self.seconds += seconds
            self.items += items

    def percentile(self, percent: float) -> float | None:
        """The seconds within which `percent` of the answers came, as exact as the buckets; None without answers."""
        total = sum(self.buckets)
        rank = total * percent / 100
        begin = 0.0
        for end, many in zip((*EDGES, 2 * EDGES[-1]), self.buckets, strict=True):
            if many and rank <= many:
                return begin + (end - begin) * rank / many
            rank -= many
            begin = end
        return None
