"""The figures that a timeline keeps: counts, and latency histograms of each graph.

They are always kept, so they have to cost next to nothing: a run reads the clock once more than it would without, and
appends three numbers to a list, which is counted into the histograms when it is full.

To add a figure:
1. Count where the thing happens, in a plain attribute that changes under the timeline's lock. What belongs to one graph
   goes into `GraphFigures`, which a task reaches as `task.work.figures`; what belongs to the context as a whole goes
   into `Figures`, which is `timeline.figures`, or stays in the part of the timeline that counts it.
2. Give `GraphStatistics` or `Statistics` a field *with a default, at the end*, and say in its docstring what it counts.
   Several figures of one feature are a frozen dataclass of their own, defined in the module of that feature.
3. Fill the field in `GraphFigures.snapshot` or in `Timeline.statistics`.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import field
from itertools import count
from typing import Final

import numpy as np

from webnn.graph.quick_dataclass import dataclass
from webnn.scheduler.batching import BatchingStatistics
from webnn.scheduler.width import WidthStatistics

__all__ = [
    "CANCELLED",
    "DESTROYED",
    "FULL",
    "TIMED_OUT",
    "UNOBSERVABLE",
    "Figures",
    "GraphFigures",
    "GraphStatistics",
    "Histogram",
    "MergingStatistics",
    "Statistics",
]

UNOBSERVABLE: Final = "unobservable"
"""Nothing could reach the results any more: tensors were overwritten or destroyed, or the last promise is gone."""
CANCELLED: Final = "cancelled"
"""`cancel()` was called on the promise of the result."""
TIMED_OUT: Final = "timed out"
"""The `timeout` of the run has passed."""
DESTROYED: Final = "context destroyed"
"""The context has ended."""

FULL: Final = 3 * 512
"""Numbers in the list of times of a graph that are counted into its histograms together."""
EXACT: Final = 256
"""Runs of a graph whose times are all kept. After that, not those of each cheap run are."""
CHEAP: Final = 50_000
"""Nanoseconds. Of the runs that take less, the times of about every seventeenth are kept. Keeping them all made a round
trip of a tiny graph 4 % slower."""
STEPS: Final = 8
"""Buckets for each doubling of the time."""
_BUCKETS: Final = 45 * STEPS
"""The last bucket ends after 2 ** 45 ns, which is 9.8 hours, and holds all longer times too."""
_MANTISSA: Final = 52 - STEPS.bit_length() + 1
"""The bits of a float64 that do not matter to its bucket."""


def _edges() -> tuple[float, ...]:
    """Seconds at which the buckets begin, and the last one ends."""
    places = np.arange(_BUCKETS + 1) + 1023 * STEPS
    edges = (places << _MANTISSA).view(np.float64) / 1e9
    edges[0] = 0.0
    return tuple(edges.tolist())


_EDGES: Final = _edges()


@dataclass(frozen=True, slots=True, repr=False)
class Histogram:
    """How long something took, each time that it happened.

    Attributes:
        buckets: the buckets that are not empty, shortest times first: the lower and upper bound in seconds, and the
            number of times between them. A bucket ends 6 to 13 % after its beginning.
    """

    buckets: tuple[tuple[float, float, int], ...] = ()

    def __repr__(self) -> str:
        """The figures instead of the buckets, of which there may be a hundred."""
        if not self.buckets:
            return "<Histogram: no times>"
        shown = ", ".join(f"{name} {value:.3g} s" for name, value in (("median", self.median), ("99 %", self.p99)))
        return f"<Histogram of {self.count}: {shown}>"

    @property
    def count(self) -> int:
        """How many times were measured."""
        return sum(many for _, _, many in self.buckets)

    def percentile(self, percent: float) -> float:
        """Seconds within which this percentage of the times fell, as exact as the buckets; NaN if there are none.

        >>> Histogram(((0.001, 0.002, 10), (0.01, 0.02, 10))).percentile(75)
        0.015
        """
        rank = self.count * percent / 100
        end = float("nan")
        for begin, end, many in self.buckets:
            if rank <= many:
                return begin + (end - begin) * max(rank, 0.0) / many
            rank -= many
        return end

    @property
    def median(self) -> float:
        """Seconds within which half of the times fell."""
        return self.percentile(50)

    @property
    def p90(self) -> float:
        """Seconds within which 90 % of the times fell."""
        return self.percentile(90)

    @property
    def p99(self) -> float:
        """Seconds within which 99 % of the times fell."""
        return self.percentile(99)


@dataclass(frozen=True, slots=True)
class GraphStatistics:
    """The figures of one graph since it was built.

    Attributes:
        label: `graph.label`.
        operators: the number of operators of the graph.
        failed: runs that failed, and those that were not run because an input or the compilation had failed.
        drops: runs that were dropped, by reason; see `Statistics.drops`.
        compile_seconds: how long the compilation took, including lookups in caches; None until it has ended.
        queued: from the call to the beginning of the run. It includes waiting for the compilation and for inputs.
        run: from the beginning to the end of the run.
        whole: from the call to the end of the run.
        runs: the number of runs that have ended without an error. The histograms hold the times of the first 256, and
            after that of those that took 50 us or more, and of a random sixteenth or so of the others.
    """

    label: str
    operators: int
    failed: int
    drops: Mapping[str, int]
    compile_seconds: float | None
    queued: Histogram
    run: Histogram
    whole: Histogram
    runs: int = 0


@dataclass(frozen=True, slots=True)
class MergingStatistics:
    """Dispatches that ran merged, and chains of them.

    Attributes:
        dispatches: the dispatches that ran merged with others.
        runs: the merged runs. Each counts as one run of every graph in it.
        chains: the chains that run merged now.
        refused: the chains that run one by one although they are hot, by reason: "other results", "not faster",
            "a merged run failed", "not compiled".
    """

    dispatches: int = 0
    runs: int = 0
    chains: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of a context since it was made.

    Attributes:
        queued: the tasks that are queued now.
        running: the tasks that are running now.
        run_inline: the tasks that have begun on a thread of the program.
        run_on_lanes: the tasks that have begun on a lane.
        dropped: the tasks that were not run, or not to their end, since their results could not be used any more.
        graphs: the figures of each graph that has not been garbage collected, oldest first.
        drops: runs that were dropped, by reason: "unobservable", "cancelled", "timed out", which `dropped` counts, and
            "context destroyed". Items of streams that never became runs are here too: "left out" for a newer one
            (`policy="latest"`), and "late" (`deadline`).
        width: how many threads runs had, and why.
        donated: outputs that took over the memory of an input at its last use.
        borrowed: outputs that took over the memory of an input that a tensor still had, with its elements saved.
        batching: the batches, and the requests in them.
        merging: the dispatches that ran merged with others.
    """

    queued: int
    running: int
    run_inline: int
    run_on_lanes: int
    dropped: int
    graphs: tuple[GraphStatistics, ...] = ()
    drops: Mapping[str, int] = field(default_factory=dict)
    width: WidthStatistics = field(default_factory=WidthStatistics)
    donated: int = 0
    borrowed: int = 0
    batching: BatchingStatistics = field(default_factory=BatchingStatistics)
    merging: MergingStatistics = field(default_factory=MergingStatistics)


class GraphFigures:
    """The figures of one graph, as they are counted. Guarded by the timeline's lock.

    Args:
        label: names the graph in statistics and traces.
        operators: the number of its operators.
        input_bytes: the size of all inputs of a run.
        small_bytes: the size of all outputs that `read_tensor` and `run` copy.
    """

    __slots__ = (
        "__weakref__",
        "_counted",
        "caller",
        "compile_nanoseconds",
        "drops",
        "failed",
        "input_bytes",
        "label",
        "number",
        "operators",
        "runs",
        "small_bytes",
        "times",
        "wanted",
    )

    def __init__(self, label: str = "", operators: int = 0, *, input_bytes: int = 0, small_bytes: int = 0) -> None:
        self.number = -1
        """Tells it apart in the records of a trace. Set by `Figures.add`."""
        self.caller: Context | None = None
        """The context variables of the code that has built the graph, if a trace was open then."""
        self.label = label
        self.operators = operators
        self.input_bytes = input_bytes
        self.small_bytes = small_bytes
        self.failed = 0
        self.drops: dict[str, int] = {}
        self.compile_nanoseconds: int | None = None
        self.runs = 0
        """Runs that have ended without an error."""
        self.wanted = 0
        """The number of runs from which on the times of one are wanted, by `ran`."""
        self.times: list[int] = []
        """Three times for each of these: when it was queued, when it began and when it ended."""
        self._counted = np.zeros((3, _BUCKETS), np.int64)

    def ran(self, queued: int, began: int, ended: int) -> None:
        """Keep the times of a run."""
        self.times += (queued, began, ended)
        self._kept(1, began, ended)

    def ran_together(self, queued: Sequence[int], began: int, ended: int) -> None:
        """Count runs that were one run, each with the time of its call, and keep their times if they are wanted."""
        self.runs += len(queued)
        if self.runs >= self.wanted:
            self.times += [time for call in queued for time in (call, began, ended)]
            self._kept(len(queued), began, ended)

    def _kept(self, runs: int, began: int, ended: int) -> None:
        if len(self.times) >= FULL:
            self.count()
        if self.runs > EXACT and ended - began < CHEAP:
            self.wanted = self.runs + 1 + ended % 32 * runs  # as good as random, so that no pattern of calls is met

    def count(self) -> None:
        """Count the times into the histograms, and forget them."""
        times = np.fromiter(self.times, np.int64).reshape(-1, 3)
        queued, began, ended = times.T
        durations = np.stack([began - queued, ended - began, ended - queued])
        # The upper bits of a float are its exponent and the beginning of its mantissa: equal steps of a logarithm.
        buckets = (np.maximum(durations, 1).astype(np.float64).view(np.int64) >> _MANTISSA) - 1023 * STEPS
        np.minimum(buckets, _BUCKETS - 1, out=buckets)
        buckets += np.array([[0], [_BUCKETS], [2 * _BUCKETS]])
        counted = self._counted + np.bincount(buckets.ravel(), minlength=3 * _BUCKETS).reshape(3, _BUCKETS)
        self._counted, self.times[:] = counted, ()  # in one step, for the sake of interrupts

    def snapshot(self) -> GraphStatistics:
        """The figures now."""
        self.count()
        nanoseconds = self.compile_nanoseconds
        queued, run, whole = (
            Histogram(tuple((_EDGES[i], _EDGES[i + 1], many) for i, many in enumerate(row) if many))
            for row in self._counted.tolist()
        )
        return GraphStatistics(
            self.label,
            self.operators,
            self.failed,
            dict(self.drops),
            None if nanoseconds is None else nanoseconds / 1e9,
            queued,
            run,
            whole,
            self.runs,
        )


class Figures:
    """The figures of one timeline that none of its other parts counts."""

    def __init__(self) -> None:
        self._graphs: weakref.WeakValueDictionary[int, GraphFigures] = weakref.WeakValueDictionary()
        self._numbers = count()
        self.kept: dict[int, GraphFigures] | None = None
        """By number, the figures of each graph that was alive while a trace was open; None while none is open."""

    def add(self, graph: GraphFigures) -> None:
        """Include the figures of `graph` as long as something refers to them."""
        graph.number = next(self._numbers)
        self._graphs[graph.number] = graph
        if self.kept is not None:
            self.kept[graph.number] = graph
            graph.caller = copy_context()

    def keep(self) -> None:
        """Keep the figures of all graphs from now on, for a trace."""
        if self.kept is None:
            self.kept = {graph.number: graph for graph in self.graphs()}

    def graphs(self) -> list[GraphFigures]:
        """The figures of each graph, oldest first."""
        alive = [reference() for reference in self._graphs.valuerefs()]
        return [graph for graph in alive if graph is not None]
