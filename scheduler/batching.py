"""When to batch: whether the runs of one graph come in company, in which batch sizes they run, and whether it pays.

A batch of `size` requests is one run of the graph for `size` times its leading dimension. A batch that is not full is
padded, so few sizes have to be compiled: the largest one, a quarter of it, and so on. They are compiled one by one, as
they are wanted, and each is measured before it is used:

    alone -> company -> side by side -> first size compiled and measured -> pays: larger and smaller sizes, as wanted
                                                                         -> does not: a smaller size
                                                                            -> rest, and try again later

What is compared is the time per request, also with that of requests that are not gathered and run side by side, one on
each core. So that is measured first: a guess from the time of one alone, which other programs may have disturbed,
chooses batches for networks that are slower in them. Small products of matrices gain the most: they take as long for
one row as for eight. Convolutions have enough to do with one image, and lose where the images of a batch push each
other out of the cache.

The module is pure: no thread, no lock and no clock. `Batcher` calls it under the timeline's lock.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import field
from typing import Final

from webnn.graph.quick_dataclass import dataclass

__all__ = ["FIRST", "Batching", "BatchingFigures", "BatchingStatistics", "sizes_up_to"]

STEP: Final = 4
"""Each size is this many times the next smaller one."""
FIRST: Final = 8
"""The first size to compile is the largest one up to this: large enough to show whether it pays, and soon over."""
SAMPLES: Final = 5
"""Runs of a size before it is judged. The first run of an executable takes longer than all others."""
GAIN: Final = 0.85
"""Batching pays if a request takes at most this share of its time alone."""
BETWEEN: Final = 100_000
"""Nanoseconds from the end of a run to the beginning of the next one, which requests in batches share. Without them,
batches on one thread seem to gain nothing over single runs on all cores that take little longer for each request."""
LARGER_GAIN: Final = 0.97
"""A larger size is kept if a request takes at most this share of its time in the next smaller one."""
NEAR: Final = 1.1
"""A larger size that takes at most this share of the least time per request is preferred: each run has costs."""
WANTED: Final = 3
"""Batches that would have used another size before that one is compiled."""
RETRY: Final = 32
"""Batches that would have used a size before it is tried again that was found to gain nothing over a smaller one, since
other programs may have disturbed the few runs that were measured. Each time, `STEP` times as many."""
LONELY: Final = 3
"""Batches of a single request in a row after which requests are alone again."""
CHEAP: Final = 20_000
"""Nanoseconds of a request alone below which requests are not gathered: to gather them takes longer than it saves."""
APART: Final = 128
"""Requests that run side by side, though they could be gathered, if the time that they take so is still not known."""
APART_STILL: Final = 16
"""Those that do so after the first one was measured, which takes longer than all others."""
REST: Final = 2000
"""Requests that are run alone before batching is tried again where it did not pay. Each time, `STEP` times as many."""


@dataclass(frozen=True, slots=True)
class BatchingStatistics:
    """The batches of a context, and the requests in them.

    Attributes:
        batches: the runs that computed two or more requests at once.
        requests: the requests that they computed.
        unprofitable: the graphs whose requests run one by one at the moment, since batching did not pay.
        sizes: how many batches had so many requests.
    """

    batches: int = 0
    requests: int = 0
    unprofitable: int = 0
    sizes: Mapping[int, int] = field(default_factory=dict)

    @property
    def mean_size(self) -> float:
        """The mean number of requests in a batch; NaN if there was none."""
        return self.requests / self.batches if self.batches else float("nan")


class BatchingFigures:
    """The figures of one timeline's batches, as they are counted. Guarded by the timeline's lock."""

    def __init__(self) -> None:
        self.batches = self.requests = 0
        self.sizes: dict[int, int] = {}
        self.graphs: weakref.WeakSet[Batching] = weakref.WeakSet()

    def snapshot(self) -> BatchingStatistics:
        """The figures now."""
        unprofitable = sum(graph.pays is False for graph in list(self.graphs))
        return BatchingStatistics(self.batches, self.requests, unprofitable, dict(self.sizes))


def sizes_up_to(largest: int) -> tuple[int, ...]:
    """The batch sizes for a limit, smallest first.

    >>> sizes_up_to(32), sizes_up_to(10)
    ((2, 8, 32), (3, 10))
    """
    sizes = []
    while largest > 1:
        sizes.append(largest)
        largest = -(-largest // STEP)
    return tuple(reversed(sizes))


class Batching:
    """The batch sizes of one graph.

    Args:
        max_batch: the most requests in one run, at least 2.
    """

    def __init__(self, max_batch: int) -> None:
        self.sizes = sizes_up_to(max_batch)
        self.cheap: float = CHEAP
        self.between: float = BETWEEN
        self.gathers = False
        """Whether requests wait for each other at the moment, instead of being run alone at once."""
        self.pays: bool | None = None
        """Whether batching was found to pay; None if that is not known."""
        self.side_by_side = float("inf")
        """Nanoseconds for each of the requests that run on all cores, each on one; infinity if they need no more than
        one core together."""
        self.is_apart = False
        """Whether requests run side by side at the moment so that this is measured; see `compared`."""
        self._was_apart = False
        self._costs: dict[int, float] = {}  # nanoseconds of a run, also of size 1
        self._samples: dict[int, int] = {1: 0}  # of each compiled size
        self._compiling: set[int] = set()
        self._rejected: set[int] = set()
        self._demand: dict[int, int] = {}
        self._next_retry: dict[int, int] = {}
        self._lonely = 0
        self._rest = 0
        self._next_rest = REST

    # Requests.

    def rests(self) -> bool:
        """Whether the next request is run alone without looking for company, since batching did not pay."""
        if self._rest == 0:
            return False
        self._rest -= 1
        if self._rest == 0:
            self.pays = None
            self.is_apart = False
            self._rejected.clear()
            self._demand.clear()
        return True

    def compared(self) -> None:
        """The time of requests that run side by side was measured: a few more do so, to be sure."""
        self.is_apart = False
        self._rest = min(self._rest, APART_STILL)

    def meets_company(self, alone_cost: float, *, compares: bool = False) -> None:
        """Several requests are under way at once.

        Args:
            alone_cost: nanoseconds of a run of one; infinity if they are not known.
            compares: whether it is not known how long they take side by side, but can be measured.
        """
        if alone_cost < self.cheap:
            self._stop()
            return
        if compares and alone_cost < float("inf") and self._part():
            return
        self.gathers, self._lonely = True, 0
        if alone_cost < self.alone_cost:
            self._costs[1] = alone_cost

    def gathered(self, requests: int, *, compares: bool = False) -> int | None:
        """So many requests are about to run. Returns a size to compile in the background, or None.

        Args:
            requests: that were gathered.
            compares: as in `meets_company`.
        """
        if requests == 1:
            self._lonely += 1
            self.gathers = self.gathers and self._lonely < LONELY
            return None
        self._lonely = 0
        if self._samples[1] < SAMPLES:  # they run one by one until it is known how long that takes
            return None
        if self.alone_cost < self.cheap:
            self._stop()
            return None
        if compares and self._part():
            return None
        wanted = self._wanted(requests) if self.pays else self._next_to_try()
        if wanted is None or wanted in self._compiling or wanted in self._samples or wanted in self._rejected:
            return None
        self._demand[wanted] = self._demand.get(wanted, 0) + 1
        if self.pays and self._demand[wanted] < WANTED:
            return None
        self._compiling.add(wanted)
        return wanted

    def choose(self, requests: int) -> int:
        """The size of the next run: one that has to be measured, or the one with the least time per request.

        A larger one that is filled and takes about as long per request comes before it.
        """
        if requests == 1:
            return 1
        for size, samples in self._samples.items():
            if 1 < size < STEP * requests and samples < SAMPLES:
                return size
        unknown = float("inf")
        shares = {size: self._share(self._costs.get(size, unknown), min(size, requests)) for size in self._samples}
        best = min(shares, key=lambda size: (shares[size], size))
        filled = (size for size, share in shares.items() if size <= requests and share <= NEAR * shares[best])
        return max([best, *filled])

    def measured(self, size: int, nanoseconds: float) -> None:
        """A run of `size` took so long. The estimate falls at once and rises slowly: longer runs were disturbed."""
        if size not in self._samples:  # withdrawn meanwhile
            return
        known = self._costs.get(size, float("inf"))
        self._costs[size] = known + (min(nanoseconds, 2 * known) - known) / 8 if nanoseconds > known else nanoseconds
        self._samples[size] += 1
        if self._samples[size] == SAMPLES and size > 1:
            self._judge(size)

    # Sizes.

    def compiled(self, size: int) -> None:
        """`size` is compiled."""
        self._compiling.discard(size)
        self._samples[size] = 0

    def failed(self, size: int) -> None:
        """`size` cannot be compiled, or its runs fail."""
        self._reject(size)

    @property
    def alone_cost(self) -> float:
        """Nanoseconds of a run of one request; infinity if that is not known."""
        return self.cost(1)

    def cost(self, size: int) -> float:
        """Nanoseconds of a run of `size`; infinity if that is not known."""
        return self._costs.get(size, float("inf"))

    @property
    def usable(self) -> frozenset[int]:
        """The sizes that are compiled and worth it, as far as is known."""
        return frozenset(self._samples)

    def _part(self) -> bool:
        """Run requests side by side, to measure that, unless this was done before."""
        if self._was_apart:
            return False
        self._was_apart = self.is_apart = True
        self.gathers, self._rest = False, APART
        return True

    def _next_to_try(self) -> int | None:
        """The size to judge by whether batching pays; None if one is being tried, or none is left."""
        if self._compiling or len(self._samples) > 1:
            return None
        candidates = [size for size in self.sizes if size <= FIRST and all(size < other for other in self._rejected)]
        return candidates[-1] if candidates else None

    def _wanted(self, requests: int) -> int:
        """The size that so many requests would use if all sizes were compiled."""
        return next((size for size in self.sizes if size >= requests), self.sizes[-1])

    def _judge(self, size: int) -> None:
        """Keep `size` if it is worth it, now that it was measured."""
        share = self._share(self._costs[size], size)
        if self.pays:
            smaller = [
                self._share(self._costs[each], each) for each in self._samples if each < size and each in self._costs
            ]
            if share > LARGER_GAIN * min(smaller, default=float("inf")):
                self._reject(size)
                self._rejected.discard(size)
                wait = self._next_retry.get(size, RETRY)
                self._demand[size], self._next_retry[size] = -wait, wait * STEP
        elif share <= GAIN * self._share(min(self.alone_cost, self.side_by_side), 1):
            self.pays, self._next_rest = True, REST
        else:
            self._reject(size)

    def _share(self, cost: float, requests: int) -> float:
        """The time of each of so many requests in a run that takes `cost`."""
        return (cost + self.between) / requests

    def _reject(self, size: int) -> None:
        self._rejected.add(size)
        self._compiling.discard(size)
        self._samples.pop(size, None)
        self._costs.pop(size, None)
        if len(self._samples) == 1 and not self._compiling:
            self.pays = None
            if self._next_to_try() is None:
                self._stop()

    def _stop(self) -> None:
        """Run requests one by one for a while, since batching does not pay."""
        self.pays = self.gathers = False
        self._rest, self._next_rest = self._next_rest, self._next_rest * STEP

    def explained(self) -> str:
        """What is known about batching, as one line for a person."""
        if self.pays is False:
            return "does not pay: requests run one by one"
        measured = [f"{size}: {self._costs[size] / size / 1000:.0f} us" for size in sorted(self._costs)]
        times = f"; time per request in batches of {', '.join(measured)}" if measured else ""
        return ("pays" if self.pays else "is not measured yet") + times
