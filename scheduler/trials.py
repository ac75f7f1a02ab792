"""Finds out by trial with which executable the short runs of a graph take the least time, where they run alone.

Threads of one run must meet after each operator. That costs microseconds, or milliseconds where another program has
one of the cores, or where other threads of this one spin. A run of less than a millisecond may then be faster on one
thread, or with threads that sleep between runs, since the kernel lets a thread that has slept go first. It depends on
the graph, on the machine, and on what else runs there.

So after some runs that nothing else went on beside, each way gets blocks of runs in turn, and the one with the least
mean is used from then on, until the next trial. Not the one with the least median: a thread that loses its core now and
then makes a few runs ten times as long, and leaves most of them as they are. A trial lasts until the means differ by
more than chance, so that it is short where the difference is clear. A way that is far slower is out after some runs.
Trials become rare while they confirm each other. One is made early if runs begin to take another time than in the last
one.

The module is pure: no thread, no lock and no clock. `Cores` calls it under the timeline's lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, sqrt
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
ALONE: Final = 512
"""Short runs alone after which the other executables are compiled. After as many again, the first trial begins: the
slower ways in it would cost a program of some hundred runs more than it can gain."""
BLOCK: Final = 8
"""Runs in a row of one way. The first one is not counted, since it pays for the change."""
SURE: Final = 4
"""Blocks of each way before the means are compared."""
SPACE: Final = 20
"""Runs between the rounds of a trial, in which each way has a block. What else runs on the machine often comes and goes
within some hundred runs, and a trial must not see only one side of it."""
ROUNDS: Final = 8
"""The most blocks of each way in one trial."""
FIRST_LOOK: Final = 3
"""Counted runs after which a way is out if it is hopeless."""
HOPELESS: Final = 1.6
"""A way is hopeless if the median of its runs is this many times that of the way in use. Two threads that share out the
reading of weights are 1.7 to 2 times as fast as one."""
ERRORS: Final = 2.5
"""A way is out if its mean exceeds the least one by this many standard errors of the difference."""
GAIN: Final = 0.93
"""Another way is chosen if the way in use is out, and its mean at most this share of that of the way in use."""
HOLD: Final = 1024
"""Runs from one trial to the next, or half as many if they drift. Twice as many after each that has changed nothing."""
LONGEST: Final = 16384
"""The most runs from one trial to the next."""
RECENT: Final = 64
"""Runs that are looked at together between trials. To look at each one takes a twentieth of a short run."""
DRIFT: Final = 1.3
"""Runs drift if their mean differs by this factor from the one in the last trial."""
WORST: Final = 20
"""A run counts as at most this many times the median. The longest one does not count: something rare disturbed it."""


class Trials:
    """The trials of one graph."""

    __slots__ = (
        "_block",
        "_hold",
        "_left",
        "_rounds",
        "_runs",
        "_space",
        "_times",
        "_turn",
        "_until",
        "chosen",
        "means",
        "unseen",
        "wanted",
    )

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
        self.unseen: list[int] | None = []
        """The times of the last runs, of the way in use, that `look` has not seen yet; None during a trial."""
        self._turn: list[int] = []
        """The ways that get a block in this round of the trial, the present one first; empty if there is no trial."""
        self._block = 0
        """The runs that the present block still needs."""
        self._rounds = 0
        self._space = 0
        """The runs until the next round of the trial."""
        self._left: list[int] = []
        """The ways that are not out."""
        self._times: dict[int, list[int]] = {}

    def way(self, possible: Sequence[int]) -> int:
        """The way for a run that nothing else goes on beside, one of `possible`."""
        chosen = self._turn[0] if self._turn else self.chosen
        return chosen if chosen in possible else ALL

    def measured(self, way: int, nanoseconds: int, possible: Sequence[int]) -> None:
        """A run that nothing else went on beside took `nanoseconds`, with the pause before it (see `PAUSE`).

        A run that failed is not reported.
        """
        unseen = self.unseen
        if unseen is None:
            self._measured_in_trial(way, nanoseconds)
        elif way == self.chosen:
            unseen.append(nanoseconds)
            if len(unseen) >= RECENT:
                self.look(possible)

    def look(self, possible: Sequence[int]) -> None:
        """Take note of the `unseen` runs, which decide whether a trial begins."""
        times, self.unseen = self.unseen or (), []
        self._runs += len(times)
        if not self.wanted:
            if self._runs >= ALONE:
                self.wanted = True
        elif self._runs >= self._until:
            if len(possible) > 1:
                self._begin(possible)
        elif self.chosen in self.means and self._runs > RECENT:
            change = _mean(_capped(times)) / self.means[self.chosen]
            if not 1 / DRIFT <= change <= DRIFT:
                self._until = max(self._runs + 1, self._hold // 2)

    def _measured_in_trial(self, way: int, nanoseconds: int) -> None:
        if self._turn:
            if way == self._turn[0]:  # else it began before the trial
                self._tried(way, nanoseconds)
        elif self._space > 1:
            self._space -= 1
        elif self._space == 1:
            self._turn, self._space = [*self._left], 0
        else:
            self.unseen = []  # an interrupt has cut off the end of the trial

    def _begin(self, possible: Sequence[int]) -> None:
        self._left = sorted(possible, key=lambda way: way != self.chosen)  # the others are compared with it
        self._times = {way: [] for way in possible}
        self._block, self._rounds = BLOCK, 0
        self._turn = [*self._left]
        self.unseen = None  # last: an interrupt must not leave half a trial

    def _tried(self, way: int, nanoseconds: int) -> None:
        times = self._times[way]
        self._block -= 1
        if self._block < BLOCK - 1:
            times.append(nanoseconds)
        known = self._times.get(self.chosen)
        if len(times) == FIRST_LOOK and way != self.chosen and known and _median(times) > HOPELESS * _median(known):
            self._left.remove(way)
            self._block = 0
        if self._block > 0:
            return
        self._block = BLOCK
        del self._turn[0]
        if not self._turn:
            self._rounds += 1
            if self._rounds >= SURE:
                self._left = _close(self._times, self._left)
            if len(self._left) > 1 and self._rounds < ROUNDS:
                self._space = SPACE
            else:
                self._decide()

    def _decide(self) -> None:
        self.means = {way: _mean(_capped(times)) for way, times in self._times.items()}
        best = min(self._left, key=self.means.__getitem__)
        is_new = self.chosen not in self._left and self.means[best] <= GAIN * self.means.get(self.chosen, float("inf"))
        if is_new:
            self.chosen = best
        self._hold = HOLD if is_new else min(2 * self._hold, LONGEST)
        self._until, self._runs, self.unseen = self._hold, 0, []

    @property
    def reason(self) -> str:
        """Why runs alone have the way that they have; empty before the first trial."""
        if (self._turn or self._space) and self.means:
            return "and a trial goes on"
        others = [way for way in self.means if way != self.chosen]
        if not others:
            return ""
        named = " and ".join(f"{WAYS[way]} {self.means[way] / 1e6:.2f} ms" for way in others)
        return (
            f"and a run with the pause before it took {self.means[self.chosen] / 1e6:.2f} ms in the last trial; {named}"
        )


def _capped(times: Sequence[int]) -> list[float]:
    worst = WORST * _median(times)
    return [min(time, worst) for time in sorted(times)[:-1]]


def _close(times: dict[int, list[int]], ways: Sequence[int]) -> list[int]:
    """The best of `ways`, and those whose means differ from that of the best by no more than chance may do."""
    means, variances = {}, {}
    for way in ways:
        capped = _capped(times[way])
        means[way] = mean = _mean(capped)
        squares = sum((time - mean) ** 2 for time in capped)
        variances[way] = squares / max(1, len(capped) * (len(capped) - 1))  # of the mean
    best = min(ways, key=means.__getitem__)
    return [way for way in ways if means[way] - means[best] <= ERRORS * sqrt(variances[way] + variances[best])]


def _mean(times: Sequence[float]) -> float:
    return fsum(times) / len(times)


def _median(times: Sequence[float]) -> float:
    """As `statistics.median`, whose module takes longer to import than the rest of the scheduler."""
    ordered, middle = sorted(times), len(times) // 2
    return ordered[middle] if len(times) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
