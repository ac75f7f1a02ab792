"""The width of runs: the rule on its own, and on lanes that are stepped by hand."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from tests.stepped import Endable, Function, Rig, now, number_in
from webnn.errors import OperationError
from webnn.scheduler.cores import HOST_RUNS, HostClock
from webnn.scheduler.direct import run_here
from webnn.scheduler.execution import LONG
from webnn.scheduler.task import Work
from webnn.scheduler.width import EXPECTED_SPEEDUP, STEADY_RUNS, Width, Widths, WidthStatistics


def measured(speedup: float) -> Widths:
    """The widths of a graph whose wide runs are `speedup` times as fast as its narrow ones."""
    widths = Widths(lambda _: None)
    widths.measured(1000, wide=True)
    widths.measured(round(1000 * speedup), wide=False)
    return widths


def reason(width: Width, *, narrow: bool) -> str:
    """The reason of the choice that was made last, as the statistics say it once the run has started."""
    widths = measured(2)
    widths.narrow = Function(lambda: None)
    width.started(widths, narrow=narrow)
    return width.statistics.reason


UNKNOWN = Widths(lambda _: None)


class TestRule:
    def test_a_run_on_its_own_is_wide(self) -> None:
        width = Width(2)
        assert not width.prefers_narrow(UNKNOWN, 0)
        assert reason(width, narrow=False) == "wide: nothing else is in progress"

    def test_runs_beside_others_are_narrow(self) -> None:
        width = Width(2)
        assert width.prefers_narrow(UNKNOWN, 1)
        assert reason(width, narrow=True) == "narrow: 2 runs are in progress or ready"

    def test_two_pieces_make_runs_narrow_and_one_does_not(self) -> None:
        width = Width(2)
        with width.piece():
            assert not width.prefers_narrow(UNKNOWN, 0)
            with width.piece():
                assert width.prefers_narrow(UNKNOWN, 0)
                assert reason(width, narrow=True) == "narrow: 2 pieces of streams are in progress"
            assert not width.prefers_narrow(UNKNOWN, 0)

    def test_a_busy_host_makes_runs_narrow_on_two_cores(self) -> None:
        width = Width(2)
        width.ended(0, 0.9)
        assert width.prefers_narrow(UNKNOWN, 0)
        assert reason(width, narrow=True) == "narrow: the host is busy"

    def test_a_busy_host_takes_one_of_eight_cores_only(self) -> None:
        width = Width(8)
        width.ended(0, 0.9)
        assert not width.prefers_narrow(UNKNOWN, 0)

    @pytest.mark.parametrize(("others", "narrow"), [(1, False), (4, False), (7, True)])
    def test_few_runs_on_many_cores_are_faster_one_after_the_other(self, others: int, narrow: bool) -> None:
        assert Width(8).prefers_narrow(measured(6), others) == narrow

    def test_more_runs_than_cores_do_not_count(self) -> None:
        assert not Width(2).prefers_narrow(measured(2), 20)

    def test_a_graph_that_gains_nothing_from_more_threads_is_narrow_beside_one_other_run(self) -> None:
        assert Width(8).prefers_narrow(measured(1.2), 1)

    def test_on_one_core_nothing_is_narrow(self) -> None:
        assert not Width(1).prefers_narrow(UNKNOWN, 5)

    def test_the_demand_during_the_last_run_counts(self) -> None:
        width = Width(2)
        width.ended(1, 0.0)
        assert width.prefers_narrow(UNKNOWN, 0)
        assert reason(width, narrow=True) == "narrow: 2 runs were in progress or ready lately"

    def test_a_return_to_wide_takes_several_runs_without_demand(self) -> None:
        width = Width(2)
        width.ended(1, 0.0)
        choices = []
        for _ in range(STEADY_RUNS + 1):
            choices.append(width.prefers_narrow(UNKNOWN, 0))
            width.ended(0, 0.0)
        assert choices == [True] * STEADY_RUNS + [False]

    def test_a_host_that_is_busy_every_other_run_does_not_make_the_width_flap(self) -> None:
        width = Width(2)
        choices = set()
        width.ended(0, 0.9)
        for i in range(20):
            choices.add(width.prefers_narrow(UNKNOWN, 0))
            width.ended(0, 0.7 if i % 2 else 0.3)
        assert len(choices) == 1

    def test_a_host_that_computes_for_half_of_a_run_stays_what_it_was(self) -> None:
        width = Width(2)
        width.ended(0, 0.5)
        assert not width.prefers_narrow(UNKNOWN, 0)
        width.ended(0, 0.9)
        width.ended(0, 0.5)
        assert width.prefers_narrow(UNKNOWN, 0)


class TestMeasurements:
    def test_without_measurements_the_speedup_is_a_share_of_the_cores(self) -> None:
        assert UNKNOWN.speedup(8) == 8 * EXPECTED_SPEEDUP
        assert UNKNOWN.speedup(1) == 1

    def test_a_run_that_was_disturbed_moves_the_estimate_little(self) -> None:
        widths = measured(2)
        widths.measured(17_000, wide=True)
        assert widths.wide_cost == 2000
        widths.measured(900, wide=True)
        assert widths.wide_cost == 900


def test_pieces_are_counted_by_many_threads_at_once() -> None:
    width = Width(2)
    barrier = threading.Barrier(9)

    def count() -> None:
        for _ in range(300):
            with width.piece(), width.piece():
                pass
        with width.piece():
            barrier.wait(10)
            barrier.wait(10)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    barrier.wait(10)
    assert width.pieces == 8
    barrier.wait(10)
    for thread in threads:
        thread.join(10)
    assert width.pieces == 0


def test_a_piece_that_fails_is_over() -> None:
    width = Width(2)
    with pytest.raises(KeyError), width.piece():
        raise KeyError
    assert width.pieces == 0


def test_a_piece_that_was_never_left_is_over_when_it_is_freed() -> None:
    width = Width(2)
    piece = width.piece()
    piece.__enter__()
    assert width.pieces == 1
    del piece
    assert width.pieces == 0


class Watched(dict[Any, Any]):
    """A dictionary that notes which changes are made without `lock`."""

    def __init__(self, lock: Any) -> None:
        super().__init__()
        self._lock = lock
        self.changes = 0
        self.unguarded: list[str] = []

    def _note(self, change: str) -> None:
        self.changes += 1
        if not self._lock._is_owned():
            self.unguarded.append(change)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._note("set")
        super().__setitem__(key, value)

    def pop(self, *args: Any) -> Any:
        self._note("pop")
        return super().pop(*args)


class TwoWidths(Rig):
    """A rig with several lanes, whose works can be narrow. Their runs are in `ran`, e.g. `a wide`."""

    def __init__(self, lanes: int = 2, cores: int = 2) -> None:
        super().__init__(lanes, width=Width(cores))
        self.asked: list[str] = []

    def two(self, label: str, function: Any = lambda *inputs: sum(inputs) + 1, *, compiled: bool = True) -> Work:
        """Work with two executables; the narrow one is compiled by `compile_narrow` if not `compiled`."""

        def run(width: str, nanoseconds: int) -> Function:
            def called(*inputs: Any) -> Any:
                self.ran.append(f"{label} {width}")
                self.clock.now += nanoseconds
                return function(*inputs)

            return Function(called)

        work = Work(self.shelf.size)
        work.executable = run("wide", 1000)
        work.widths = Widths(lambda _: self.asked.append(label))
        narrow = run("narrow", 1500)
        if compiled:
            work.widths.narrow = narrow
        self.narrow = narrow
        return work

    def during(self, step: Any) -> Any:
        """A function for a work: calls `step` once, in the middle of its run."""
        left = [step]

        def function(*inputs: Any) -> Any:
            if left:
                left.pop()()
            return sum(inputs) + 1

        return function


class Host(HostClock):
    """A host on another thread, which computes for all of the time of a run, or for a millionth."""

    busy = False
    looks = 0
    is_elsewhere = True
    _time = 1

    def now(self) -> int:
        self.looks += 1
        self._time += 1000 if self.busy else 1
        return self._time


class TestOnLanes:
    def test_dispatches_that_are_independent_run_narrow_side_by_side(self) -> None:
        rig = TwoWidths()
        other = rig.two("b")
        work = rig.two("a", rig.during(lambda: rig.step(1)))
        x, y, z = rig.name(1), rig.name(), rig.name()
        rig.dispatch(work, [x], y)
        rig.dispatch(other, [x], z)
        rig.step(0)
        assert rig.ran == ["a narrow", "b narrow"]
        reason = "narrow: 2 runs are in progress or ready"
        assert rig.timeline.statistics.width == WidthStatistics(wide=0, narrow=2, reason=reason)

    def test_a_chain_of_dispatches_is_wide(self) -> None:
        rig = TwoWidths()
        work = rig.two("a")
        x = rig.name(1)
        for _ in range(5):
            rig.dispatch(work, [x], x)
        rig.run_all()
        assert rig.ran == ["a wide"] * 5
        assert now(rig.read(x)) == 6

    def test_two_chains_are_narrow_side_by_side(self) -> None:
        rig = TwoWidths()
        work = rig.two("a")
        x, y = rig.name(1), rig.name(2)
        for _ in range(5):
            rig.dispatch(work, [x], x)
            rig.dispatch(work, [y], y)
        rig.run_all()
        assert rig.ran == ["a narrow"] * 10

    def test_no_run_starts_on_a_lane_beside_a_wide_one(self) -> None:
        rig = TwoWidths()
        x, y, z = rig.name(1), rig.name(), rig.name()
        plain = rig.work("plain")
        started: list[bool] = []

        def meanwhile() -> None:
            rig.dispatch(plain, [x], z)
            started.append(rig.step(1))

        rig.dispatch(rig.two("a", rig.during(meanwhile)), [x], y)
        rig.run_all()
        assert started == [False]
        assert rig.ran == ["a wide", "plain"]

    def test_without_a_narrow_executable_runs_follow_each_other(self) -> None:
        rig = TwoWidths()
        x, y, z = rig.name(1), rig.name(), rig.name()
        started: list[bool] = []
        work = rig.two("a", rig.during(lambda: started.append(rig.step(1))), compiled=False)
        rig.dispatch(work, [x], y)
        rig.dispatch(work, [x], z)
        rig.run_all()
        assert started == [False]
        assert rig.ran == ["a wide", "a wide"]

    def test_the_narrow_executable_is_asked_for_once_at_the_first_overlap(self) -> None:
        rig = TwoWidths()
        work = rig.two("a", compiled=False)
        x, y, z = rig.name(1), rig.name(), rig.name()
        rig.dispatch(work, [x], y)
        rig.run_all()
        assert rig.asked == []
        for _ in range(2):
            rig.dispatch(work, [x], y)
            rig.dispatch(work, [x], z)
            rig.run_all()
        assert rig.asked == ["a"]
        assert work.widths is not None
        work.widths.narrow = rig.narrow
        rig.ran.clear()
        rig.dispatch(work, [x], y)
        rig.dispatch(work, [x], z)
        rig.run_all()
        assert rig.ran == ["a narrow", "a narrow"]

    def test_few_runs_look_at_a_host_that_is_idle(self) -> None:
        rig, host = TwoWidths(), Host()
        cores = rig.timeline._execution.cores
        cores.host = host
        work = rig.two("a")
        x, y = rig.name(1), rig.name()

        def look(runs: int) -> int:
            host.looks = 0
            for _ in range(runs):
                rig.dispatch(work, [x], y)
                rig.run_all()
            return host.looks

        assert look(STEADY_RUNS) == 2 * STEADY_RUNS, "at the beginning and the end of each"
        assert look(10 * HOST_RUNS) == 2 * 10
        host.busy = True
        look(HOST_RUNS)
        assert rig.timeline.width.reason == "wide: nothing else is in progress"
        rig.dispatch(work, [x], y)
        rig.run_all()
        assert rig.timeline.width.reason == "narrow: the host is busy"
        assert look(10) == 2 * 10

    def test_a_wide_run_that_failed_holds_up_none_of_the_next_ones(self) -> None:
        rig = TwoWidths()
        x, y = rig.name(1), rig.name()

        def fail(*_: Any) -> Any:
            raise OperationError("it fails")

        rig.dispatch(rig.two("broken", fail), [x], y)
        rig.dispatch(rig.two("a"), [x], y)
        rig.run_all()
        assert rig.ran[-1].startswith("a ")

    @pytest.mark.parametrize("end", ["well", "failed", "ended early", "interrupted"])
    @pytest.mark.parametrize("where", ["on a lane", "of a blocked caller", "on the caller's arrays"])
    def test_the_runs_in_progress_change_under_the_lock_however_they_end(self, end: str, where: str) -> None:
        if (end, where) in {("interrupted", "on a lane"), ("ended early", "on the caller's arrays")}:
            pytest.skip("it cannot be")
        rig, ends = TwoWidths(), {"failed": OperationError("it fails"), "interrupted": KeyboardInterrupt()}

        def compute(x: Any) -> Any:
            if end == "ended early":
                promise.cancel()
            elif end != "well":
                raise ends.pop(end)
            return x + 1

        work = rig.two("a")
        work.executable, work.cost = Endable(compute), LONG
        runs = rig.timeline._execution.cores._runs = Watched(rig.timeline._lock.acquire.__self__)  # type: ignore[attr-defined]
        given = [(rig.shelf, np.ones(rig.shelf.descriptor.shape, np.float32))]
        with suppress(OperationError, KeyboardInterrupt, CancelledError):
            if where == "on the caller's arrays":
                run_here(rig.timeline, work, given, [("y", rig.shelf)])
            else:
                promise = rig.timeline.run(work, given, [("y", rig.shelf)], here=where != "on a lane")
                if where == "on a lane":
                    rig.run_all()
                promise.result()
        assert runs.changes >= 2
        assert runs.unguarded == []

    def test_a_thread_that_blocks_beside_a_wide_run_leaves_its_run_to_the_lanes(self) -> None:
        rig = TwoWidths(lanes=1)
        x, y, z = rig.name(1), rig.name(), rig.name()
        promises = []

        def meanwhile() -> None:
            task = rig.dispatch(rig.two("b"), [x], z)._task
            promises.append(rig.read(z))
            with pytest.raises(TimeoutError):
                promises[0].result(timeout=0)
            rig.timeline.inline.drive(task)  # as `result()` does before it blocks

        rig.dispatch(rig.two("a", rig.during(meanwhile)), [x], y)
        rig.run_all()
        assert [run.split()[0] for run in rig.ran] == ["a", "b"]
        assert now(promises[0]) == 2


class Moody(Width):
    """Chooses as it likes, and changes its mind now and then."""

    asked = 0

    def prefers_narrow(self, widths: Widths, others: int) -> bool:
        super().prefers_narrow(widths, others)
        self.asked += 1
        return self.asked // 10 % 2 == 0


def test_whatever_is_chosen_no_run_goes_on_beside_a_wide_one_and_no_result_is_lost() -> None:
    rig = Rig(threads=4, width=Moody(4))
    runs: list[str] = []  # in progress: `append` and `remove` are atomic
    beside: list[list[str]] = []

    def executable(width: str) -> Function:
        def run(x: Any) -> Any:
            runs.append(width)
            found = list(runs)
            if "wide" in found and len(found) > 1:
                beside.append(found)
            time.sleep(0.0002)
            runs.remove(width)
            return x + 1

        return Function(run)

    work = rig.work("two", cost=1e9, measured=False)
    work.executable = executable("wide")
    work.widths = Widths(lambda _: None)
    work.widths.narrow = executable("narrow")

    def program(number: int) -> None:
        x, y, reads = rig.name(number), rig.name(), []
        for _ in range(15):
            rig.dispatch(work, [x], y)
            rig.dispatch(work, [y], x)
            reads.append(rig.read(x))  # or the dispatches would be dropped
        assert number_in(rig.read(x).result()) == number + 30

    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            program(number)
        except BaseException as error:
            failures.append(error)

    programs = [threading.Thread(target=guarded, args=(100 * i,)) for i in range(5)]
    for thread in programs:
        thread.start()
    for thread in programs:
        thread.join(30)
    rig.end()
    assert not failures
    assert not beside
    statistics = rig.timeline.statistics.width
    assert statistics.wide + statistics.narrow == 150
    assert min(statistics.wide, statistics.narrow) > 5
