"""Hot chains: cheap tasks that run one after another on the same thread, in the same shape, again and again.

A program that dispatches small graphs in a loop spends more time on its tasks than in their graphs. So a chain that has
run often enough in the same shape is compiled in the background, as one graph, and then runs as one. The *shape* of a
chain is the works of its tasks, in order, and where each of their inputs comes from. All values that the tasks make are
outputs of the merged graph. So nothing changes but the number of calls, and no operator is fused with one of another
task.

A chain goes through these stages:
1. COUNTING: its tasks run one by one. Its last runs of this stage are timed.
2. COMPILING: they still do, while the merged graph is compiled.
3. CHECKING: it runs both ways, three times. Merged results that differ in one bit end it.
4. MERGED: its tasks run as one. Now and then it is checked again. If it turns out not to be faster, that ends it.
5. SINGLE: its tasks run one by one for ever.

This module is pure: no threads, no clock, no backend. Everything is called under the timeline's lock.

The number of chains is bounded: those that have not run for the longest time are forgotten, with what was compiled for
them. So are the chains of a graph that is destroyed.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Sequence
from math import inf
from operator import itemgetter
from typing import Any, Final

from webnn.backends.base import Executable
from webnn.graph.merging import Link
from webnn.scheduler.statistics import MergingStatistics
from webnn.scheduler.task import Task, Work
from webnn.scheduler.value import Value

__all__ = [
    "CHECKING",
    "COMPILING",
    "COUNTING",
    "DIFFERENT",
    "FAILED",
    "HOT",
    "MERGED",
    "MIN_LINKS",
    "SINGLE",
    "SLOWER",
    "UNCOMPILED",
    "Chain",
    "HotChains",
]

_log = logging.getLogger("webnn")

COUNTING, COMPILING, CHECKING, MERGED, SINGLE = range(5)

HOT: Final = 32
"""Runs of a chain in the same shape after which it is compiled."""
TIMED: Final = 16
"""The last runs before that, which are timed; and the first merged runs, which are compared with them."""
CHECKS: Final = 3
"""Runs both ways with the same results before a chain is merged."""
RECHECK: Final = 64
"""Merged runs until the results are checked again. Each time it takes twice as many, up to `RECHECK_LIMIT`."""
RECHECK_LIMIT: Final = 4096
MIN_LINKS: Final = 3
"""Tasks. With fewer, finding the chain costs as much as running it as one saves."""
MAX_LINK_COST: Final = 50_000
"""Nanoseconds. A task that costs this or more gains little from being merged with others, and could run beside them."""
MAX_COST: Final = 1_000_000
"""Nanoseconds that the tasks of a chain may take together: as long as tasks may run inline before others get a turn."""
MAX_ENDINGS: Final = 64
"""The most last tasks, by their work, whose chains are kept."""
MAX_SHAPES: Final = 8
"""The most chains with one ending."""
REST: Final = 1
"""Runs with one ending that are not looked at after the first. After each look that finds no known shape, twice as many
are not looked at, so that programs whose chains do not repeat pay next to nothing."""
MAX_REST: Final = 1024
"""The most runs with one ending that are not looked at then."""
SINGLE_REST: Final = 256
"""Runs with one ending that are not looked at while all of its chains run one by one."""

DIFFERENT: Final = "other results"
SLOWER: Final = "not faster"
FAILED: Final = "a merged run failed"
UNCOMPILED: Final = "not compiled"


class Chain:
    """One shape of a chain, and what is known about it.

    Values are numbered: first those that the tasks make, in order, then one for each input of each task.

    Args:
        works: of the tasks; all of them have a graph.
        inputs: the number of inputs of each task.
        outputs: the number of outputs of each task.
        values: the values of one chain of this shape, in the order of their numbers.
    """

    __slots__ = (
        "__weakref__",
        "_places",
        "_sources",
        "best_merged",
        "best_single",
        "byte_length",
        "check_at",
        "checks",
        "executable",
        "figures",
        "inputs",
        "links",
        "made",
        "read",
        "runs",
        "seen",
        "stage",
        "use",
        "works",
    )

    def __init__(
        self, works: list[Work], inputs: Sequence[int], outputs: Sequence[int], values: Sequence[Value]
    ) -> None:
        self.works = works
        self.made = sum(outputs)
        """The number of values that the tasks make."""
        numbers = {id(value): number for number, value in enumerate(values[: self.made])}
        places: list[int] = []
        self.read: list[int] = []
        """The numbers of the values that come from outside, each once."""
        number_of: list[int] = []
        for place in range(self.made, len(values)):
            number = numbers.setdefault(id(values[place]), place)
            (self.read if number == place else places).append(place)
            number_of.append(number)
        self._places = itemgetter(*places)
        self._sources = itemgetter(*(number_of[place - self.made] for place in places))
        self.links: list[Link] = []
        taken = made = 0
        for work, many, results in zip(works, inputs, outputs, strict=True):
            assert work.graph is not None
            read = tuple(number_of[taken : taken + many])
            self.links.append(Link(work.graph, read, tuple(range(made, made + results))))
            taken += many
            made += results
        self.byte_length = sum(work.byte_length for work in works)
        self.figures = [(works.index(work), works.count(work), work.figures) for work in dict.fromkeys(works)]
        """For each of the works, its first position, how often it occurs, and its figures."""
        self.stage = COUNTING
        self.seen = 0
        self.executable: Executable | None = None
        """Runs all of it. Reads the values in `inputs`, and makes all of them in order."""
        self.inputs: Sequence[int] = ()
        self.use: object = None
        """Gives the executable back when it is freed."""
        self.checks = 0
        self.runs = 0
        self.check_at = RECHECK
        self.best_single = inf
        """Nanoseconds of the fastest run one by one."""
        self.best_merged = inf

    def matches(self, works: list[Work], values: Sequence[Value]) -> bool:
        """Whether a chain of `works` and `values` has this shape."""
        return works == self.works and bool(self._places(values) == self._sources(values))

    @property
    def is_cheap(self) -> bool:
        """Whether its tasks cost so little that they gain from running as one."""
        costs = [work.cost for work in self.works]
        return max(costs) < MAX_LINK_COST and sum(costs) < MAX_COST


class _Ending:
    """The chains whose last tasks have the same work."""

    __slots__ = ("chains", "misses", "seen")

    def __init__(self) -> None:
        self.chains: list[Chain] = []
        self.seen: deque[list[Work]] = deque(maxlen=MAX_SHAPES)
        """The works of chains of unknown shapes. A shape is learned when they are seen again."""
        self.misses = 0
        """Looks in a row that found no known shape."""


class HotChains:
    """The chains of one timeline.

    Args:
        hot: see `HOT`.
        checks: see `CHECKS`.
        rest: see `REST`.
    """

    def __init__(self, *, hot: int = HOT, checks: int = CHECKS, rest: int = REST) -> None:
        self._hot = hot
        self._checks = checks
        self._rest = rest
        self.endings: OrderedDict[Work, _Ending] = OrderedDict()
        """By last work; those that have run lately are last."""
        self.wanted: list[Chain] = []
        """Chains to be compiled."""
        self.dispatches = 0
        self.runs = 0
        self._refused: dict[str, int] = {}

    def find(self, tasks: Sequence[Task]) -> tuple[Chain, list[Value]] | None:
        """The chain that has the shape of `tasks`, with their values, if they are not just to be run one by one.

        Sets the number of runs with the same ending for which this is not called.

        Args:
            tasks: at least `MIN_LINKS`, producers first, which are about to run on one thread.
        """
        last = tasks[-1].work
        if last.graph is None:  # its graph is gone, or it is merged by a program
            last.unlooked = MAX_REST
            return None
        ending = self.endings.get(last)
        if ending is None:
            self._add(last)
            last.unlooked = self._rest
            return None
        works: list[Work] = []
        values: list[Value] = []
        read: list[Value] = []
        for task in tasks:
            works.append(task.work)
            values += task.outputs
            read += task.inputs
        values += read
        for chain in ending.chains:
            if chain.matches(works, values):
                break
        else:
            ending.misses += 1
            last.unlooked = min(self._rest << ending.misses, MAX_REST)
            self._learn(ending, tasks, works, values)
            return None
        ending.misses = 0
        self.endings.move_to_end(last)
        if chain.stage is MERGED or chain.stage is CHECKING:
            return chain, values
        if chain.stage is COUNTING:
            chain.seen += 1
            if chain.seen > self._hot:
                if not chain.is_cheap:
                    chain.seen = 0
                else:
                    chain.stage = COMPILING
                    self.wanted.append(chain)
            elif chain.seen > self._hot - TIMED:
                return chain, values
        elif chain.stage is SINGLE and all(other.stage is SINGLE for other in ending.chains):
            last.unlooked = SINGLE_REST
        return None

    def _add(self, last: Work) -> None:
        self.endings[last] = _Ending()
        while len(self.endings) > MAX_ENDINGS:
            _, ending = self.endings.popitem(last=False)
            for chain in ending.chains:
                _end(chain)

    @staticmethod
    def _learn(ending: _Ending, tasks: Sequence[Task], works: list[Work], values: Sequence[Value]) -> None:
        if works not in ending.seen:
            if all(map(_is_mergeable, works)):
                ending.seen.append(works)
            return
        if len(ending.chains) >= MAX_SHAPES:
            rare = min(ending.chains, key=lambda chain: (chain.stage, chain.seen))
            if rare.stage is not COUNTING:
                return
            ending.chains.remove(rare)
        inputs, outputs = [len(task.inputs) for task in tasks], [len(task.outputs) for task in tasks]
        ending.chains.append(Chain(works, inputs, outputs, values))

    # What has become of a chain.

    def compiled(self, chain: Chain, executable: Executable, inputs: Sequence[int], use: object) -> None:
        """The merged graph of `chain` has been compiled. It reads the values with the numbers in `inputs`.

        `use` is kept as long as the executable may be run.
        """
        if chain.stage is COMPILING:  # otherwise it was forgotten meanwhile
            chain.executable, chain.inputs, chain.use = executable, inputs, use
            chain.stage = CHECKING

    def postpone(self, chain: Chain) -> None:
        """The results of `chain` could not be checked now."""
        if chain.stage is MERGED:
            chain.check_at = chain.runs + RECHECK

    def checked(self, chain: Chain, same: bool, single: int) -> None:
        """`chain` has run both ways, with the same results or not, and one by one it took `single` nanoseconds."""
        if chain.executable is None:
            return
        if not same:
            self.refuse(chain, DIFFERENT)
            return
        chain.best_single = min(chain.best_single, single)
        chain.checks += 1
        if chain.stage is CHECKING and chain.checks >= self._checks:
            chain.stage = MERGED
        elif chain.stage is MERGED:
            chain.check_at = chain.runs + min(chain.runs, RECHECK_LIMIT)

    def ran(self, chain: Chain) -> None:
        """`chain` has run merged."""
        chain.runs += 1
        self.runs += 1
        self.dispatches += len(chain.works)

    def timed(self, chain: Chain, nanoseconds: int) -> None:
        """One of the first merged runs of `chain` has taken so long, with all that comes with it."""
        chain.best_merged = min(chain.best_merged, nanoseconds)
        if chain.runs == TIMED and chain.best_merged >= chain.best_single:
            self.refuse(chain, SLOWER)

    def refuse(self, chain: Chain, reason: str, explanation: object = "") -> None:
        """Run `chain` one by one from now on."""
        if chain.stage is SINGLE:
            return
        _end(chain)
        self._refused[reason] = self._refused.get(reason, 0) + 1
        _log.debug("a chain of %d dispatches runs one by one: %s %s", len(chain.works), reason, explanation)

    def forget(self, work: Work) -> None:
        """The graph of `work` is gone: forget the chains that it is part of."""
        work.graph = None
        for ending in self.endings.values():
            for chain in [chain for chain in ending.chains if work in chain.works]:
                ending.chains.remove(chain)
                _end(chain)
            if any(work in works for works in ending.seen):
                ending.seen.clear()
        self.endings.pop(work, None)

    @property
    def statistics(self) -> MergingStatistics:
        """The figures now."""
        chains = sum(chain.stage is MERGED for ending in self.endings.values() for chain in ending.chains)
        return MergingStatistics(self.dispatches, self.runs, chains, dict(self._refused))


def _end(chain: Chain) -> None:
    chain.stage = SINGLE
    chain.executable = chain.use = None


def _is_mergeable(work: Work) -> bool:
    """Whether runs of `work` may be merged with others."""
    executable: Any = work.executable
    return (
        work.graph is not None
        and work.widths is None  # with several threads it loses more by having only one than it gains
        and executable is not None
        and not any(pair.repeatable for pair in executable.in_place)  # what it does in place is worth more
    )
