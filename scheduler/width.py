"""The width of a run: whether it has all cores, or one thread beside other work. Decided when the run starts.

A wide run ends soonest, but two threads of one run are never twice as fast as one, and lose most of what they gain when
another thread takes one of their cores. So a run is wide while it is the only work there is, and narrow when narrow
runs on several lanes, or beside a busy host, give more results per second. The rule compares these two rates:

    narrow: runs that could go on side by side, each on one thread
    wide:   one run after the other, each faster by the speedup of all cores, on the cores that the host leaves free

"Runs that could go on" are those that run, those that are ready and the pieces of streams. A queued run that waits
for the result of another one is not among them: a chain of dependent dispatches is wide.

Nothing flaps: a run sees the demand that the run before it saw, too; a return to wide takes `STEADY_RUNS` runs without
demand; and both rates must differ by `MARGIN`.

The module is pure: no thread, no lock and no clock. `Timeline` and its parts call it under their lock, except for
`Width.piece`, which any thread may call without one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final
from weakref import ref

from webnn.backends.base import Executable
from webnn.graph.quick_dataclass import dataclass
from webnn.scheduler.crowd import SHORTEST, Crowd
from webnn.scheduler.trials import ALL, ONE, RECENT, RESTING, SHORT, Trials

__all__ = ["Piece", "Width", "WidthStatistics", "Widths"]

EXPECTED_SPEEDUP: Final = 0.75
"""The speedup of a wide run that was not measured yet, as a share of the cores."""
MARGIN: Final = 1.1
"""The other width must give this many times as many runs before it is chosen."""
STEADY_RUNS: Final = 8
"""Runs in a row that must see no demand before a run is wide again."""
BUSY: Final = 0.6
"""The host is busy if it computes for more than this share of a run's time."""
REST: Final = 0.4
"""It is idle again if it computes for less than this share."""


_NO_LOAD: Final = (1, 1, 0, False)
"""The choice of a run beside which nothing goes on; see `Width.started_alone`."""
_CROWD: Final = (1, 1, 0, True)
"""The choice of a run beside which nothing of this program goes on, while others use the cores."""
MOST_LOST: Final = 3.0
"""A crowd makes runs narrow if all cores make them at most this many times as fast."""


@dataclass(frozen=True, slots=True)
class WidthStatistics:
    """The widths of the runs of graphs that have the choice.

    Attributes:
        wide: the runs that had all cores.
        narrow: the runs that had one thread.
        resting: the wide ones whose threads had slept since the run before.
        reason: the width of the last run, and the reason for it.
    """

    wide: int = 0
    narrow: int = 0
    reason: str = ""
    resting: int = 0


class Piece:
    """A piece of work of a stream while it is in progress; see `Width.piece`.

    It is counted by a weak reference, so that it is over at the latest when it is freed, even if an interrupt has cut
    off its end.
    """

    __slots__ = ("__weakref__", "_mark", "_pieces")

    def __init__(self, pieces: set[ref[Piece]]) -> None:
        self._pieces = pieces
        self._mark = ref(self, pieces.discard)

    def __enter__(self) -> Piece:
        self._pieces.add(self._mark)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pieces.discard(self._mark)


class Widths:
    """The executables of one graph for both widths, and the time that a run takes with each.

    Args:
        compile: starts to compile the narrow executable in the background, and returns at once; it is given these
            widths. It is called once, after the first run that would have been narrow has started, without a lock.
        compile_resting: likewise for one whose threads sleep between runs, for the first trial of short runs.
    """

    __slots__ = (
        "_compile",
        "_compile_resting",
        "narrow",
        "narrow_cost",
        "refusal",
        "resting",
        "trials",
        "wanted",
        "wide_cost",
    )

    def __init__(
        self, compile: Callable[[Widths], None], compile_resting: Callable[[Widths], None] | None = None
    ) -> None:
        self._compile: Callable[[Widths], None] | None = compile
        self._compile_resting = compile_resting
        self.wanted = False
        """Whether a run would have been narrow, or a trial needs the other executables."""
        self.trials = Trials()
        self.resting: Executable | None = None
        """Runs the graph on all cores with threads that sleep between runs, once it is compiled."""
        self.narrow: Executable | None = None
        """Runs the graph on one thread, once it is compiled."""
        self.refusal = ""
        """The reason why there will be no narrow executable, if there will be none."""
        self.wide_cost = self.narrow_cost = 0.0
        """Nanoseconds of a run; 0 before the first one."""

    def compile(self) -> None:
        """Start to compile the narrow executable, if it is wanted and this was not called before."""
        compile = self._compile
        if compile is not None and self.wanted:
            compile(self)
            self._compile = None  # last: an interrupt may cause one call too many, but not one too few
        compile = self._compile_resting
        if compile is not None and self.trials.wanted:
            compile(self)
            self._compile_resting = None
        if self._compile is None and self._compile_resting is None:
            self.wanted = False  # there is nothing more to compile

    @property
    def ways(self) -> Sequence[int]:
        """The ways that there is an executable for; see `trials.py`."""
        if self.narrow is None:
            return (ALL,) if self.resting is None else (ALL, RESTING)
        return (ALL, ONE) if self.resting is None else (ALL, RESTING, ONE)

    def ran(self, way: int, nanoseconds: int, pause: int, is_alone: bool, counts: bool) -> None:
        """A run has ended.

        Args:
            way: of the run.
            nanoseconds: how long it took.
            pause: the nanoseconds since the run before it; 0 if they have nothing to do with it.
            is_alone: whether nothing else went on beside it.
            counts: whether it says how long the runs of this width take.
        """
        if counts:
            if way != ONE and 0 < (known := self.wide_cost) < nanoseconds:  # as `measured` does, in less time
                self.wide_cost = known + (nanoseconds - known) / 16
            else:
                self.measured(nanoseconds, wide=way != ONE)
        if is_alone:
            trials = self.trials
            unseen = trials.unseen
            if unseen is not None and len(unseen) < RECENT - 1 and way == trials.chosen:
                unseen.append(nanoseconds + pause)  # as `measured` does, in less time
            elif trials.wanted or 0 < self.wide_cost < SHORT:
                trials.measured(way, nanoseconds + pause, self.ways)
                if trials.wanted:
                    self.wanted = True

    def measured(self, nanoseconds: int, *, wide: bool) -> None:
        """A run took `nanoseconds`. The estimate falls at once and rises slowly: longer runs were disturbed."""
        known = self.wide_cost if wide else self.narrow_cost
        cost = known + (nanoseconds - known) / 16 if 0 < known < nanoseconds else float(nanoseconds)
        if wide:
            self.wide_cost = cost
        else:
            self.narrow_cost = cost

    def speedup(self, cores: int) -> float:
        """How many times as fast a run is on all `cores`."""
        if self.wide_cost and self.narrow_cost:
            return min(max(1.0, self.narrow_cost / self.wide_cost), cores)
        return max(1.0, EXPECTED_SPEEDUP * cores)


class Width:
    """Chooses the widths of one timeline's runs.

    Args:
        cores: the cores that this process may use.
        crowd: the other threads of the machine, if the system counts them.
    """

    def __init__(self, cores: int, crowd: Crowd | None = None) -> None:
        self.cores = cores
        self.crowd = crowd
        self._wide = self._narrow = self._resting = 0
        self._way = ALL
        self._trials: Trials | None = None
        self._choice = _NO_LOAD
        self._refusal = ""
        self._pieces: set[ref[Piece]] = set()
        self._demand = 1
        self._quiet_runs = STEADY_RUNS
        self._host_busy = False

    # For streams.

    def piece(self) -> Piece:
        """A context manager around one piece of a stream's work, on the thread that does it.

        A piece is what one worker thread does in one go: `before -> run -> after` of an item, or the step of the source
        that makes the next one. While two or more pieces are in progress, each of them needs a core of its own, so runs
        are narrow. Counting costs less than a microsecond, takes no lock, and needs no care on errors and interrupts
        beyond `with`::

            with timeline.width.piece():
                outputs = after(run(before(item)))

        Do not put it around a wait for another piece or for the consumer: a piece that waits needs no core.
        """
        return Piece(self._pieces)

    @property
    def pieces(self) -> int:
        """The number of pieces in progress."""
        return len(self._pieces)

    # For the timeline.

    def prefers_narrow(self, widths: Widths, others: int) -> bool:
        """Whether a run should be narrow.

        Args:
            widths: of the run's graph.
            others: runs that are in progress or ready, without this one.
        """
        pieces = len(self._pieces)
        was_wide = self._quiet_runs >= STEADY_RUNS
        demand = max(others + 1, pieces)
        expected = demand if was_wide else max(demand, self._demand)
        busy = min(max(pieces - 1, int(self._host_busy)), self.cores - 1)
        wide_rate = widths.speedup(self.cores) * (self.cores - busy) / self.cores
        narrow_rate = min(expected, self.cores)
        narrow = narrow_rate > wide_rate * MARGIN if was_wide else narrow_rate * MARGIN > wide_rate
        self._choice = (demand, expected, pieces, self._host_busy)
        return narrow

    def started_alone(self, widths: Widths) -> int | None:
        """A run starts beside which nothing is in progress or ready. Returns the way in which it runs; see `trials.py`.

        None if it may have to be narrow all the same, because of the load before it. Then it has not started.
        """
        if self._quiet_runs < STEADY_RUNS or len(self._pieces) > 1:
            return None
        trials = widths.trials
        way = trials.chosen if trials.unseen is not None else trials.way(widths.ways)
        self._choice = _NO_LOAD
        self._refusal = ""
        self._trials = trials
        self._way = way
        if way == ONE:
            self._narrow += 1
        else:
            self._wide += 1
            if way == RESTING:
                self._resting += 1
        return way

    def is_crowded(self, widths: Widths, pause: int, waiting: int) -> bool:
        """Whether a run beside which nothing goes on should be narrow all the same, since other programs use the cores.

        Args:
            widths: of the run's graph.
            pause: the nanoseconds since the last run.
            waiting: threads of the program that run, but are about to wait for this run.
        """
        crowd, speedup = self.crowd, widths.speedup(self.cores)
        is_worth_it = SHORTEST <= widths.wide_cost < SHORT and speedup <= MOST_LOST
        if crowd is None or not is_worth_it or not crowd.is_here(pause, waiting):
            return False
        self._choice = _CROWD
        return True

    def started(self, widths: Widths, *, narrow: bool) -> int:
        """A run starts, which should be `narrow` or not. Returns the way in which it runs; see `trials.py`."""
        self._refusal = ""
        self._trials = None
        if narrow and widths.narrow is None:
            widths.wanted = True
            self._refusal = widths.refusal or "the graph is not compiled for one thread yet"
            narrow = False
        way = ONE if narrow else ALL
        if narrow:
            self._narrow += 1
        else:
            self._wide += 1
        self._way = way
        return way

    def ended(self, others: int, host_share: float) -> None:
        """A run has ended.

        Args:
            others: runs that were in progress or ready meanwhile, without this one and those that waited for it.
            host_share: the share of its time for which the thread that queued it computed something else, 0 to 1.
        """
        demand = max(others + 1, len(self._pieces))
        busy = host_share > (REST if self._host_busy else BUSY)
        if demand > 1 or busy:
            self._quiet_runs = 0
            self._demand = demand
            self._host_busy |= busy
        else:
            self._quiet_runs += 1
            self._host_busy &= self._quiet_runs < STEADY_RUNS

    @property
    def is_quiet(self) -> bool:
        """Whether no run has seen other demand, or a busy host, for twice as long as hysteresis lasts."""
        return self._quiet_runs >= 2 * STEADY_RUNS

    @property
    def statistics(self) -> WidthStatistics:
        """The runs of both widths so far, and why the last one has its width."""
        return WidthStatistics(self._wide, self._narrow, self.reason, self._resting)

    @property
    def reason(self) -> str:
        """The width of the last run, and the reason for it."""
        if not self._wide + self._narrow:
            return ""
        demand, expected, pieces, host_busy = self._choice
        if pieces > 1:
            load = f"{pieces} pieces of streams are in progress"
        elif self._choice is _CROWD:
            load = "other programs use the cores"
        elif demand > 1:
            load = f"{demand} runs are in progress or ready"
        elif expected > 1:
            load = f"{expected} runs were in progress or ready lately"
        elif host_busy:
            load = "the host is busy"
        else:
            load = "nothing else is in progress"
        if self._refusal:
            return f"wide: {load}, but {self._refusal}"
        width = "narrow" if self._way == ONE else "wide"
        why = "" if self._trials is None else self._trials.reason
        return f"{width}: {load}{why and ', '}{why}"
