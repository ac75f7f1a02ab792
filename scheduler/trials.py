"""Finds out by trial with which executable the short runs of a graph take the least time, where they run alone.

Threads of one run must meet after each operator. That costs microseconds, or milliseconds where another program has
one of the cores, or where other threads of this one spin. A run of less than a millisecond may then be faster on one
thread, or with threads that sleep between runs, since the kernel lets a thread that has slept go first. It depends on
the graph, on the machine, and on what else runs there.

So after some runs that nothing else went on beside, each way gets blocks of runs in turn, and the one with the least
mean is used from then on, until the next trial. Not the one with the least median: a thread that loses its core now and
then makes a few runs ten times as long, and leaves most of them as they are. Trials become rare while they confirm each
other. One is made early if runs begin to take another time than in the last one.

The module is pure: no thread, no lock and no clock. `Cores` calls it under the timeline's lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median
from typing import Final

__all__ = ["ALL", "ONE", "RESTING", "SHORT", "WAYS", "Trials"]

ALL, RESTING, ONE = range(3)
"""The ways to run a graph: on all cores; on all cores, with threads that sleep between runs; on one thread."""
WAYS: Final = ("all threads", "all threads, which sleep between runs,", "one thread")
"""What the ways are called."""

SHORT: Final = 1_000_000
"""Nanoseconds on all cores. Longer runs are not tried out: their threads meet too rarely for it to matter."""
PAUSE: Final = 4_000_000
"""Nanoseconds. A shorter pause before a run counts as a part of it, since threads that spin between runs slow down the
program, too. A longer one is a wait for something else."""
ALONE: Final = 1024
"""Short runs alone after which the other executables are compiled. After as many again, the first trial begins: the
slower ways in it would cost a short program more than it can gain."""
BLOCK: Final = 16
"""Runs in a row of one way. The first one is not counted, since it pays for the change."""
ROUNDS: Final = 4
"""Blocks of each way in one trial."""
GAIN: Final = 0.93
"""Another way is chosen if its mean is at most this share of that of the way in use."""
HOLD: Final = 1024
"""Runs from one trial to the next, or half as many if they drift. Twice as many after each that has changed nothing."""
LONGEST: Final = 16384
"""The most runs from one trial to the next."""
RECENT: Final = 64
"""Runs by which a drift is noticed."""
DRIFT: Final = 1.3
"""Runs drift if their mean differs by this factor from the one in the last trial."""
WORST: Final = 10
"""A run counts as at most this many times the median: a longer one was disturbed by something rare."""


class Trials:
    """The trials of one graph."""

    __slots__ = ("_hold", "_last", "_plan", "_recent", "_runs", "_times", "_until", "chosen", "means", "wanted")

    def __init__(self) -> None:
        self.chosen = ALL
        self.wanted = False
        """Whether the other executables are wanted."""
        self.means: dict[int, float] = {}
        """Nanoseconds of a run and the pause before it by the way of the run, in the last trial."""
        self._hold = HOLD
        self._until = 2 * ALONE
        """The next trial begins after so many runs."""
        self._runs = 0
        self._recent: list[int] = []
        self._plan: list[int] = []
        """The ways of the runs that the trial still needs, last first."""
        self._last = ALL
        self._times: dict[int, list[int]] = {}

    def way(self, possible: Sequence[int]) -> int:
        """The way for a run that nothing else goes on beside, one of `possible`."""
        chosen = self._plan[-1] if self._plan else self.chosen
        return chosen if chosen in possible else ALL

    def measured(self, way: int, nanoseconds: int, possible: Sequence[int]) -> None:
        """A run that nothing else went on beside took `nanoseconds`, with the pause before it (see `PAUSE`).

        A run that failed is not reported.
        """
        if self._plan:
            if way != self._plan[-1]:  # it began before the trial
                return
            self._plan.pop()
            if way == self._last:
                self._times[way].append(nanoseconds)
            self._last = way
            if not self._plan:
                self._decide()
            return
        self._runs += 1
        if not self.wanted:
            if self._runs == ALONE:
                self.wanted = True
        elif self._runs >= self._until:
            if len(possible) > 1:
                self._begin(possible)
        elif self.means and self._runs > RECENT:
            self._look_for_drift(way, nanoseconds)

    def _begin(self, possible: Sequence[int]) -> None:
        self._plan = [way for _ in range(ROUNDS) for way in possible for _ in range(BLOCK)]
        self._times = {way: [] for way in possible}
        self._last = -1

    def _decide(self) -> None:
        self.means = {way: _mean(times) for way, times in self._times.items()}
        best = min(self.means, key=self.means.__getitem__)
        is_new = best != self.chosen and self.means[best] <= GAIN * self.means.get(self.chosen, float("inf"))
        if is_new:
            self.chosen = best
        self._hold = HOLD if is_new else min(2 * self._hold, LONGEST)
        self._until, self._runs, self._recent = self._hold, 0, []

    def _look_for_drift(self, way: int, nanoseconds: int) -> None:
        if way != self.chosen:
            return
        self._recent.append(nanoseconds)
        if len(self._recent) == RECENT:
            change = _mean(self._recent) / self.means[way]
            self._recent = []
            if not 1 / DRIFT <= change <= DRIFT:
                self._until = max(self._runs + 1, self._hold // 2)

    @property
    def reason(self) -> str:
        """Why runs alone have the way that they have; empty before the first trial."""
        if self._plan and self.means:
            return "and a trial goes on"
        others = [way for way in self.means if way != self.chosen]
        if not others:
            return ""
        named = " and ".join(f"{WAYS[way]} {self.means[way] / 1e6:.2f} ms" for way in others)
        return (
            f"and a run with the pause before it took {self.means[self.chosen] / 1e6:.2f} ms in the last trial; {named}"
        )


def _mean(times: Sequence[int]) -> float:
    worst = WORST * median(times)
    return fmean(min(time, worst) for time in times)
