"""Timing two ways of doing the same thing, fairly on a machine that does other things too.

The two take turns, round by round. Each round gives one ratio; the median is reported with the smallest and the
largest. Times and rates that stand beside the ratio are those of the round that has it, so that they give it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

__all__ = ["calls_within", "in_turn", "percentiles", "ratios"]

MOST_CALLS: Final = 100_000


def calls_within(function: Callable[[], object], seconds: float) -> int:
    """The number of calls that take about so many seconds, measured after a first call to warm up."""
    function()
    started = time.perf_counter()
    function()
    once = time.perf_counter() - started
    return max(1, min(MOST_CALLS, int(seconds / max(once, 1e-7))))


def in_turn(
    rounds: int, kinds: Mapping[str, Callable[[], Sequence[float]]], advance: Callable[[int], object]
) -> dict[str, list[list[float]]]:
    """The seconds per call of each kind in each round."""
    times: dict[str, list[list[float]]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, kind in kinds.items():
            times[name].append(list(kind()))
            advance(1)
    return times


def percentiles(times: Sequence[Sequence[float]]) -> dict[str, float]:
    """Median, 95th and 99th percentile of all calls, in milliseconds."""
    p50, p95, p99 = np.percentile(np.concatenate([np.asarray(one) for one in times]), [50, 95, 99]) * 1e3
    return {"median": float(p50), "p95": float(p95), "p99": float(p99)}


def ratios(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], *, rate: bool) -> dict[str, Any]:
    """Ours / theirs, round by round: of the median time, or of the rate of all calls together.

    The median is that of a round, `"round"`: of an even number, the smaller of the two in the middle.
    """
    each = [
        (sum(b) / len(b)) / (sum(a) / len(a)) if rate else statistics.median(a) / statistics.median(b)
        for a, b in zip(ours, theirs, strict=True)
    ]
    median = statistics.median_low(each)
    return {
        "median": median,
        "smallest": min(each),
        "largest": max(each),
        "rounds": each,
        "round": each.index(median),
    }
