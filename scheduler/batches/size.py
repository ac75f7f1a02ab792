"""One batch size of a graph: its executables, and the choice between them.

A batch of small requests has one thread, and the event loop works beside it on another core; or it has all cores, and
the loop's work delays it. Which of them answers more requests depends on how long the loop and the computation take on
this machine. So where only one batch can be under way, both are tried in turn (`webnn.scheduler.trials`), and what is
compared is the time from the end of one batch to the end of the next, for each request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from webnn.backends.base import Executable
from webnn.memory.pool import Shelf
from webnn.scheduler.trials import ALL, ONE, PAUSE, Trials

__all__ = ["Size"]

FIRST: Final = 32
"""Batches before the executable for the other way is compiled, and again before the first trial: fewer than the single
runs that `Trials` waits for, as a batch is many runs."""


class Size:
    """A graph that is compiled for several requests at once.

    Args:
        executable: runs the batch.
        inputs: the shelves of the inputs of a batch.
        outputs: the shelves of its outputs.
        way: how `executable` runs it: with `ONE` thread, or on `ALL` cores (see `webnn.scheduler.trials`).
        has_choice: whether it can be compiled for the other way, too.
    """

    __slots__ = ("_asked", "_trials", "executables", "has_choice", "inputs", "outputs")

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

    def try_ways(self) -> None:
        """Try both ways from now on, if there is a choice."""
        if self.has_choice and self._trials is None:
            self._trials = Trials(self.way, FIRST)

    @property
    def way(self) -> int:
        """The way of most batches at the moment."""
        return next(iter(self.executables)) if self._trials is None else self._trials.chosen

    def choose(self) -> tuple[int, Executable]:
        """The way and the executable of the next batch."""
        way = self.way if self._trials is None else self._trials.way(tuple(self.executables))
        return way, self.executables[way]

    def measured(self, way: int, requests: int, nanoseconds: int, pause: int) -> int | None:
        """A batch has run.

        Args:
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
        lasted = nanoseconds + (pause if 0 < pause < PAUSE else 0)
        trials.measured(way, lasted // requests, tuple(self.executables))
        if self._asked or not trials.wanted:
            return None
        self._asked = True
        return ALL if way == ONE else ONE
