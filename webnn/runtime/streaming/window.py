"""The items of a stream between its source and its consumer: waiting, under way, and ready.

`Window` decides whether another item may be taken, which item is begun next, which items are dropped, and in which
order results come. It is pure: no thread, lock or clock. `Iteration` calls it under its lock.

Invariants:
- An item that was taken is in exactly one place: `waiting`, under way, in `ready`, given to the consumer, or counted as
  dropped.
- Waiting, under way and ready together are at most `depth`, and one more that waits if only the latest item counts.
- No more items are in progress at once than `width`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import inf
from typing import Any, Final

__all__ = ["Failure", "Item", "StreamStatistics", "Window"]

CHEAP: Final = 300_000
"""Nanoseconds of work on an item. Below that, a second thread costs more than it gains."""
OVERDUE: Final = 4 * CHEAP
"""Nanoseconds after which an item that is in progress does not hold back the others, even if most items are cheap."""
READY: Final = 1_000_000
"""Nanoseconds of work that may wait for the consumer, if the stream chooses the depth: so many results come in one go
that waking the consumer costs little for each."""
AHEAD: Final = 4
"""Items in progress for each item that waits, if the stream chooses the depth and the source waits for its items. One
that waits keeps a worker from waiting for the source; more than that would only grow old."""
STOCK: Final = 2
"""Items that may wait for each item in progress, if the source does not wait for its items: it computes them, or has
them at hand. It is woken again when half of them are left, and not for every item."""
MOST_READY: Final = 64
"""The most items under way if the stream chooses the depth."""


@dataclass(frozen=True, slots=True)
class StreamStatistics:
    """Counts of a stream's items so far.

    Attributes:
        taken: items that the source has given.
        delivered: results that the consumer has got.
        left_out: items that were replaced with a newer one before they were begun (`policy="latest"`).
        late: items that were dropped because they had waited longer than the deadline.
        failed: items whose error was given in place of a result (`on_error="yield"`), or ended the stream.
    """

    taken: int
    delivered: int
    left_out: int
    late: int
    failed: int


class Item:
    """One item of the source, and what became of it."""

    __slots__ = ("arrived", "number", "outcome", "value")

    def __init__(self, number: int, value: Any, arrived: int) -> None:
        self.number = number
        """The number of items that were taken before it."""
        self.value = value
        self.arrived = arrived
        self.outcome: Any = _UNFINISHED


class Failure:
    """The outcome of an item that ends the stream."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


_UNFINISHED: Final = object()


class Window:
    """The state of one pass over a stream.

    Args:
        depth: the most items that are waiting, under way and ready together; None to choose it by the cost of an item.
        width: the most items that are in progress at once.
        ordered: whether results come in the order of their items.
        latest: whether a newer item replaces the one that waits.
        deadline: nanoseconds after which an item that was not begun is dropped; None for no limit.
    """

    def __init__(
        self,
        *,
        depth: int | None,
        width: int,
        ordered: bool = True,
        latest: bool = False,
        deadline: int | None = None,
    ) -> None:
        self._depth = depth
        self.width = width
        self._ordered = ordered
        self._latest = latest
        self._deadline = deadline
        self.waiting: deque[Item] = deque()
        """Items that were taken and not begun, oldest first."""
        self.ready: deque[Any] = deque()
        """Results that the consumer has not got, in the order in which it gets them. It takes them from the left."""
        self._begun: dict[Item, int] = {}  # those in progress, with the time at which they were begun; oldest first
        self.ended = False
        """Whether no more items are taken."""
        self.error: BaseException | None = None
        """The error that is raised after the last result."""
        self.cost = 0.0
        """Nanoseconds of work on an item, as measured lately; 0 before the first one."""
        self.is_live = True
        """Whether the source seems to wait for its items, as a camera does. They grow old if they wait here, too."""
        self._line: deque[Item] = deque()  # begun, and not in `ready`; oldest first
        self.drops: dict[str, int] = {}
        """Items that were dropped and not yet counted for the context, by the reason why."""
        self._taken = self._left_out = self._late = self._failed = self._finished = 0

    # Limits.

    @property
    def depth(self) -> int:
        """The most items that are waiting, under way and ready together."""
        if self._depth is not None:
            return self._depth
        cheap = MOST_READY if 0 < self.cost * MOST_READY < READY else int(READY / self.cost) if self.cost else 0
        return max(4 * self.width, cheap)

    @property
    def in_progress(self) -> int:
        """The number of items that were begun and have not finished."""
        return len(self._begun)

    @property
    def is_cheap(self) -> bool:
        """Whether the work on an item is so little, on average, that one thread does it best."""
        return 0 < self.cost < CHEAP

    def has_place(self, now: int) -> bool:
        """Whether another item may be in progress."""
        begun = self._begun
        if not begun:
            return True
        if len(begun) >= self.width:
            return False
        return not self.is_cheap or now - next(iter(begun.values())) > OVERDUE

    def is_held_back(self, now: int) -> bool:
        """Whether an item waits that may begin when one in progress is overdue."""
        return bool(self.waiting) and len(self._begun) < self.width and not self.has_place(now)

    @property
    def has_room(self) -> bool:
        """Whether another item may be taken from the source."""
        waiting = len(self.waiting)
        return waiting < self._most_waiting and (self._latest or waiting + self._held < self.depth)

    def is_low(self, taken: int = 0) -> bool:
        """Whether a source that waits for room should be woken, when the consumer has taken so many more results."""
        waiting = len(self.waiting)
        return waiting <= self._most_waiting / 2 and (self._latest or waiting + self._held - taken < self.depth)

    @property
    def _most_waiting(self) -> float:
        if self._depth is not None or self.is_cheap:
            return inf
        if self.is_live or self._deadline is not None:
            return max(1, self.width // AHEAD)
        return STOCK * self.width

    @property
    def is_over(self) -> bool:
        """Whether there will be no more results after those that are ready."""
        return self.ended and not self.waiting and not self._line

    @property
    def _held(self) -> int:
        return len(self._line) + len(self.ready)

    # An item's way.

    def offer(self, value: Any, now: int) -> None:
        """The source has given `value`."""
        if self._latest and self.waiting:
            self.waiting.clear()
            self._left_out += 1
            self._drop("left out")
        self.waiting.append(Item(self._taken, value, now))
        self._taken += 1

    def begin(self, now: int) -> Item | None:
        """The next item to work on, if there is one and a place is free."""
        while self.waiting and self.has_place(now) and (not self._latest or self._held < self.depth):
            item = self.waiting.popleft()
            if self._deadline is not None and now - item.arrived > self._deadline:
                self._late += 1
                self._drop("late")
                continue
            self._line.append(item)
            self._begun[item] = now
            return item
        return None

    def finish(self, item: Item, outcome: Any, spent: int, *, failed: bool = False) -> None:
        """The work on `item` took `spent` nanoseconds. An outcome that is a `Failure` ends the stream in its place."""
        del self._begun[item]
        self._measured(spent)
        if failed:
            self._failed += 1
        item.outcome = outcome
        if self._ordered:
            while self._line and self._line[0].outcome is not _UNFINISHED:
                self._give(self._line.popleft())
        elif item in self._line:  # it is not after `abort`
            self._line.remove(item)
            self._give(item)
        if outcome.__class__ is Failure:
            self.end(None)
            self.waiting.clear()

    def _drop(self, reason: str) -> None:
        self.drops[reason] = self.drops.get(reason, 0) + 1

    def _give(self, item: Item) -> None:
        self.ready.append(item.outcome)
        item.outcome = None  # an error's traceback may refer to the item: a cycle, left to the garbage collector
        self._finished += 1

    def _measured(self, spent: int) -> None:
        """Falls faster than it rises: the first items may wait until the graph is compiled."""
        difference = spent - self.cost
        self.cost = max(1.0, self.cost + difference / (4 if difference < 0 else 8) if self.cost else float(spent))

    # The end.

    def end(self, error: BaseException | None) -> None:
        """The source has given its last item; `error` is raised after the last result."""
        if not self.ended:
            self.ended, self.error = True, error

    def abort(self, error: BaseException | None) -> None:
        """Give up all items without a result; `error` is raised after the results that are ready."""
        self.ended, self.error = True, error
        self.waiting.clear()
        self._line.clear()

    def leave(self) -> None:
        """The consumer goes: give up all items and results."""
        self.abort(None)
        self._finished -= len(self.ready)
        self.ready.clear()

    def statistics(self) -> StreamStatistics:
        """Counts of the items so far."""
        delivered = self._finished - len(self.ready)
        return StreamStatistics(self._taken, delivered, self._left_out, self._late, self._failed)
