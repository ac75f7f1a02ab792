"""Which compiled batch sizes compute a number of items. Pure: no graph, thread or clock.

A batch of images may take longer for each of them than one image alone, since a single one fills the caches of a
core, and a batch of small rows takes a fraction. So the sizes are measured, in the calls themselves. The largest one
comes first: it costs little where it is not the best, and saves much where it is. Each other size is a graph that has
to be made, so it is tried only when the calls have taken so long that this is a small part of it: the smallest first,
then larger ones for as long as they are not worse. A trial takes no more of the items of a call than it needs.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["SEEN", "SIZES", "Piece", "Plans", "ShapePlans", "pieces"]

SIZES: Final = (1, 2, 8, 32)
"""The batch sizes that are compiled, each when it is first wanted. Few, since each has packed weights of its own."""
FULL: Final = 0.75
"""The share of a batch that must be items for the batch to be padded. Below it, smaller sizes compute fewer rows."""
TRIALS: Final = 3
"""Steps that measure a size. The first one does not count: it makes the graph and waits for the compilation."""
WORTH: Final = 4
"""Another size is tried when all steps have taken so many times as long as the first steps of those tried so far."""
NOISE: Final = 1.1
"""A size that takes so many times as long for each item as the best one ends the search, unless it is the second one: a
product with one row is computed by other means than one with two."""
EVEN: Final = 1.03
"""A larger size must be so many times as fast as a smaller one: more has to be put together for it."""
SEEN: Final = 8
"""Calls with the same shapes before sizes are tried for them, where there are other shapes: each size is a graph."""
MOST_SHAPES: Final = 64
"""Shapes that are remembered."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the items, computed in one run.

    Attributes:
        start: the number of its first item.
        count: how many items it has.
        size: the size of the batch; the last `size - count` rows are padding.
    """

    start: int
    count: int
    size: int


def pieces(count: int, sizes: Sequence[int]) -> list[Piece]:
    """`count` items cut into batches of `sizes`, which are in ascending order.

    >>> [(piece.count, piece.size) for piece in pieces(43, (1, 2, 8, 32))]
    [(32, 32), (8, 8), (2, 2), (1, 1)]
    >>> [(piece.count, piece.size) for piece in pieces(7, (1, 2, 8, 32))]
    [(7, 8)]
    """
    cut: list[Piece] = []
    start = 0
    while start < count:
        size = _largest(count - start, sizes)
        cut.append(Piece(start, min(size, count - start), size))
        start += size
    return cut


def _largest(count: int, sizes: Sequence[int]) -> int:
    """The largest of `sizes` that `count` items fill, or nearly fill."""
    filled = [size for size in sizes if size * FULL <= count]
    return filled[-1] if filled else sizes[0]


class Plans:
    """How calls are cut: into the sizes that took the least time for each item so far.

    A call is computed in steps. Each is planned when the one before it has been recorded.

    Args:
        sizes: the batch sizes, in ascending order.
        side_by_side: how many runs of a step go side by side, and are timed together. A trial has so many, if the call
            has the items for them.
    """

    def __init__(self, sizes: Sequence[int], side_by_side: int = 1) -> None:
        self._sizes = tuple(sizes)
        self._side_by_side = side_by_side
        self._tried: dict[int, int] = {}
        self._cost: dict[int, float] = {}
        """Nanoseconds for each item, where most items are in batches of this size."""
        self._spent = 0
        """Nanoseconds of all steps."""
        self._begun = 0
        """Nanoseconds of the first steps of each size."""

    def plan(self, count: int, *, measured: bool = True) -> list[Piece]:
        """The runs of the next step for `count` items: all of them, or the first ones, on which a size is tried.

        Args:
            count: the number of items that are left.
            measured: whether the step will be recorded. Without it no size is tried, and the largest ones are used
                until the best is known.
        """
        best, tried = self._best(count)
        if tried is not None and measured:
            runs = max(1, min(self._side_by_side, count // tried))
            return pieces(min(count, runs * tried), [tried])
        largest = self._sizes[-1] if best is None or tried is not None else best
        return pieces(count, [size for size in self._sizes if size <= largest])

    def record(self, runs: Sequence[Piece], nanoseconds: int) -> None:
        """The runs of a step, or one of them, took so long together."""
        if not runs:
            return
        size, count = runs[0].size, sum(piece.count for piece in runs)
        tried = self._tried.get(size, 0) + 1
        if tried > 1:
            self._cost[size] = min(nanoseconds / count, self._cost.get(size, float("inf")))
        else:
            self._begun += nanoseconds
        self._spent += nanoseconds
        self._tried[size] = tried  # last: another thread may plan meanwhile, and a size that was tried has a cost

    def _best(self, count: int) -> tuple[int | None, int | None]:
        """The best size so far for `count` items, and the one to try now; None if there is none."""
        largest = _largest(count, self._sizes)
        if self._tried.get(largest, 0) < TRIALS:
            return None, largest
        best = largest
        for i, size in enumerate(self._sizes):
            if size >= largest:
                break
            tried = self._tried.get(size, 0)
            if tried == 0 and self._spent < WORTH * self._begun:
                break
            if tried < TRIALS:
                return best, size
            if self._cost[size] > self._cost[best] * NOISE and i > 1:
                break  # larger ones take longer still
            if self._cost[size] * (EVEN if size > best else 1 / EVEN) < self._cost[best]:
                best = size
        return best, None

    @property
    def best(self) -> int:
        """The best size so far for many items."""
        return min(self._cost, key=lambda size: self._cost[size]) if self._cost else self._sizes[-1]


class ShapePlans:
    """The plans for each combination of the other dimensions.

    Args:
        sizes: the batch sizes, in ascending order.
        seen: calls with the same shapes before sizes are tried for them. Until then, they are cut as others are.
        side_by_side: see `Plans`.
    """

    def __init__(self, sizes: Sequence[int], seen: int, side_by_side: int = 1) -> None:
        self._sizes = tuple(sizes)
        self._seen = seen
        self._side_by_side = side_by_side
        self._plans: dict[Hashable, Plans] = {}
        self._calls: dict[Hashable, int] = {}
        self._last = Plans(sizes)

    def of(self, shapes: Hashable) -> Plans:
        """The plans for these shapes."""
        plans = self._plans.get(shapes)
        if plans is not None:
            return plans
        calls = self._calls[shapes] = self._calls.get(shapes, 0) + 1
        if calls < self._seen:
            if len(self._calls) > MOST_SHAPES * self._seen:
                self._calls.clear()
            return Settled(self._sizes, self._last.best)
        if len(self._plans) >= MOST_SHAPES:
            self._plans.clear()
        plans = self._last = self._plans[shapes] = Plans(self._sizes, self._side_by_side)
        return plans


class Settled(Plans):
    """Plans with a largest size that is not tried."""

    def __init__(self, sizes: Sequence[int], largest: int) -> None:
        super().__init__([size for size in sizes if size <= largest])

    def plan(self, count: int, *, measured: bool = True) -> list[Piece]:
        """The runs for `count` items."""
        return pieces(count, self._sizes)
