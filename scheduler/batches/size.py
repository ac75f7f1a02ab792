"""One batch size of a graph: its executables, and the choice between them.

A batch of small requests has one thread, and the event loop works beside it on another core; or it has all cores, and
the loop's work delays it. Which of them answers more requests depends on how long the loop and the computation take on
this machine. So where only one batch can be under way, both are tried in turn (`webnn.scheduler.trials`), and what is
compared is the time from the end of one batch to the end of the next, for each request.

A batch on all cores that has to share them with other programs may take ten times as long. So it has one thread while
they are seen (`webnn.scheduler.crowd`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from webnn.backends.base import Executable
from webnn.memory.pool import Shelf
from webnn.scheduler.crowd import LATE, SHORTEST, Crowd
from webnn.scheduler.crowd import PAUSE as LOOK_AFTER
from webnn.scheduler.trials import ALL, ONE, PAUSE, Trials

__all__ = ["Size"]

FIRST: Final = 32
"""Batches before the executable for the other way is compiled, and again before the first trial: fewer than the single
runs that `Trials` waits for, as a batch is many runs."""
WORKING: Final = 2
"""Threads of this program that may be counted as running when a batch begins: that of the event loop, and a lane that
hands results to it. What they do is a part of what was compared."""


class Size:
    """A graph that is compiled for several requests at once.

    Args:
        executable: runs the batch.
        inputs: the shelves of the inputs of a batch.
        outputs: the shelves of its outputs.
        way: how `executable` runs it: with `ONE` thread, or on `ALL` cores (see `webnn.scheduler.trials`).
        has_choice: whether it can be compiled for the other way, too.
    """

    __slots__ = ("_asked", "_trials", "_wide_cost", "executables", "has_choice", "inputs", "outputs")

    def __init__(
        self,
        executable: Executable,
        inputs: Sequence[Shelf],
        outputs: Sequence[Shelf],
        *,
        way: int = ALL,
        has_choice: bool = False,
    ) -> None:
        self.executables = {way: executable}
        self.has_choice = has_choice
        self.inputs = inputs
        self.outputs = outputs
        self._trials: Trials | None = None
        self._asked = False
        self._wide_cost = 0.0
        """Nanoseconds of a batch on all cores; 0 before the first one."""

    def try_ways(self) -> None:
        """Try both ways from now on, if there is a choice."""
        if self.has_choice and self._trials is None:
            self._trials = Trials(self.way, FIRST)

    @property
    def way(self) -> int:
        """The way of most batches at the moment."""
        return next(iter(self.executables)) if self._trials is None else self._trials.chosen

    def choose(self, crowd: Crowd | None, pause: int) -> tuple[int, Executable]:
        """The way and the executable of the next batch.

        Args:
            crowd: the other threads of the machine, if the system counts them.
            pause: the nanoseconds since the batch before.
        """
        way = self.way if self._trials is None else self._trials.way(tuple(self.executables))
        if (
            way != ONE
            and crowd is not None
            and ONE in self.executables
            and self._wide_cost >= SHORTEST
            and (crowd.looks or pause > LOOK_AFTER)
            and crowd.is_here(pause, WORKING)
        ):
            way = ONE
        return way, self.executables[way]

    def measured(self, crowd: Crowd | None, way: int, requests: int, nanoseconds: int, pause: int) -> int | None:
        """A batch has run.

        Args:
            crowd: the other threads of the machine, if the system counts them.
            way: of the batch.
            requests: that were in it.
            nanoseconds: how long it took.
            pause: the nanoseconds between the batch before it and this one. If it is long, nobody has waited.

        Returns:
            The way to compile it for now; None if that is not needed.
        """
        trials = self._trials
        if trials is None:
            return None
        known = self._wide_cost
        if crowd is not None:
            crowd.was_wide = way != ONE
            crowd.looks |= way != ONE and known >= SHORTEST and nanoseconds > LATE * known
        if way != ONE:  # the estimate falls at once and rises slowly: longer runs were disturbed
            self._wide_cost = known + (nanoseconds - known) / 16 if 0 < known < nanoseconds else float(nanoseconds)
        lasted = nanoseconds + (pause if 0 < pause < PAUSE else 0)
        trials.measured(way, lasted // requests, tuple(self.executables))
        if self._asked or not trials.wanted:
            return None
        self._asked = True
        return ALL if way == ONE else ONE
