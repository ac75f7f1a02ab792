"""One run of a batch while it is under way: it ends early as soon as all of its requests have been given up."""

from __future__ import annotations

from collections.abc import Sequence

from webnn.backends.base import Ending
from webnn.scheduler.batches.request import Request

__all__ = ["UnderWay"]


class UnderWay:
    """The run of some requests of a batch.

    A request that has been given up stays so. So once all have been, nothing can observe the results any more, and a
    request that comes later is in another run.

    Args:
        requests: what is computed.
        ending: ends this run and no other.
        is_last: whether no request of the batch is computed after it.
    """

    __slots__ = ("_ending", "_waiting", "is_last")

    def __init__(self, requests: Sequence[Request], ending: Ending, *, is_last: bool) -> None:
        self.is_last = is_last
        self._ending = ending
        self._waiting = list(requests)

    def look(self) -> None:
        """A request has been given up: end the run if it was the last one. Called under the timeline's lock."""
        waiting = self._waiting
        while waiting and waiting[-1].is_given_up:
            waiting.pop()
        if not waiting:
            self._ending.end()

    @property
    def ends(self) -> bool:
        """Whether it has been asked to end."""
        return self._ending.asked
