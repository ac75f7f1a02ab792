"""The trials that find the fastest way to run a graph whose runs are short: the policy alone, and on a stepped lane."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle, pairwise
from typing import Any

import pytest

from tests.stepped import Function, Rig
from webnn.scheduler.task import Work
from webnn.scheduler.trials import (
    ALL,
    ALONE,
    BLOCK,
    FIRST_LOOK,
    HOLD,
    LONGEST,
    ONE,
    PAUSE,
    RESTING,
    ROUNDS,
    SHORT,
    SPACE,
    SURE,
    WAYS,
    Trials,
)
from webnn.scheduler.width import Width, Widths

TRIAL = len(WAYS) * BLOCK * SURE + SPACE * (SURE - 1)
"""The runs of a trial whose ways differ clearly, but not hopelessly."""
LONG_TRIAL = len(WAYS) * BLOCK * ROUNDS + SPACE * (ROUNDS - 1)
"""The runs of a trial whose ways do not differ."""
FIRST = 2 * ALONE
"""The runs before the first trial."""
EVERY = (ALL, RESTING, ONE)


def run(trials: Trials, runs: int, times: Mapping[int, Any], possible: Sequence[int] = EVERY) -> list[int]:
    """The ways of so many runs, each of which takes the time of its way, or the next of its times."""
    clocks = {way: cycle([time] if isinstance(time, int) else time) for way, time in times.items()}
    ways = []
    for _ in range(runs):
        way = trials.way(possible)
        ways.append(way)
        trials.measured(way, next(clocks[way]), possible)
    return ways


def tried(rounds: int) -> dict[int, int]:
    """How many runs of each way a trial of so many rounds has, where all threads were in use before."""
    return {**dict.fromkeys(EVERY, BLOCK * rounds), ALL: BLOCK * rounds + SPACE * (rounds - 1)}


@pytest.mark.parametrize("fastest", EVERY)
def test_the_fastest_way_is_used_after_a_trial(fastest: int) -> None:
    trials = Trials()
    times = {way: 1000 if way == fastest else 1500 for way in EVERY}
    assert run(trials, FIRST, times) == [ALL] * FIRST
    assert Counter(run(trials, TRIAL, times)) == tried(SURE)
    assert run(trials, HOLD, times) == [fastest] * HOLD


def test_the_ways_take_turns_so_that_a_change_of_the_load_meets_all_of_them() -> None:
    trials = Trials()
    times = dict.fromkeys(EVERY, 1000)
    run(trials, FIRST, times)
    ways = run(trials, LONG_TRIAL, times)
    turn = [way for way in EVERY for _ in range(BLOCK)]
    between = [ALL] * SPACE
    assert ways == (turn + between) * (ROUNDS - 1) + turn


def test_a_hopeless_way_costs_few_runs() -> None:
    trials = Trials()
    times = {ALL: 1000, RESTING: 900, ONE: 8000}
    run(trials, FIRST, times)
    ways = run(trials, LONG_TRIAL, times)
    assert ways.count(ONE) == 1 + FIRST_LOOK
    assert trials.chosen == RESTING


def test_a_trial_goes_on_while_the_means_differ_by_chance_alone() -> None:
    trials = Trials()
    times = {ALL: [1000, 3000, 1100, 900, 2000], RESTING: [1200, 900, 2800, 1900], ONE: [1000] * 6 + [5000]}
    run(trials, FIRST + TRIAL, times)
    assert "trial goes on" not in trials.reason  # which only says so of a later one
    assert not trials.means
    run(trials, LONG_TRIAL - TRIAL, times)
    assert set(trials.means) == set(EVERY)
    assert trials.chosen == ALL


def test_the_run_that_pays_for_the_change_is_not_counted() -> None:
    trials = Trials()
    run(trials, FIRST, {ALL: 1000})
    first_is_slow = [9000, *[900] * (BLOCK - 1)]
    run(trials, TRIAL, {ALL: 1000, RESTING: 1000, ONE: first_is_slow})
    assert trials.chosen == ONE
    assert trials.means[ONE] == 900


def test_a_run_that_something_rare_has_disturbed_decides_nothing() -> None:
    trials = Trials()
    times = {ALL: 1000, RESTING: 2000, ONE: [700] * 10 + [1_000_000] + [700] * 90}
    run(trials, FIRST + LONG_TRIAL, times)
    assert trials.chosen == ONE


def test_runs_that_often_lose_a_core_are_slow_though_most_of_them_are_fast() -> None:
    trials = Trials()
    run(trials, FIRST + LONG_TRIAL, {ALL: [200] * 4 + [3000], RESTING: 300, ONE: 400})
    assert trials.chosen == RESTING


def test_a_way_that_is_little_faster_is_not_chosen() -> None:
    trials = Trials()
    run(trials, FIRST + TRIAL, {ALL: 1000, RESTING: 950, ONE: 2000})
    assert trials.chosen == ALL


def test_a_way_that_may_be_faster_by_chance_alone_is_not_chosen() -> None:
    trials = Trials()
    run(trials, FIRST + LONG_TRIAL, {ALL: [1000, 4000], RESTING: [800, 3600], ONE: 8000})
    assert trials.means[RESTING] < 0.9 * trials.means[ALL]
    assert trials.chosen == ALL


def test_trials_become_rare_while_they_change_nothing() -> None:
    trials = Trials()
    times = {ALL: 1000, RESTING: 1500, ONE: 1500}
    ways = run(trials, 40_000, times)
    others = [i for i, way in enumerate(ways) if way != ALL]
    gaps = [after - before for before, after in pairwise(others) if after - before > TRIAL]
    assert gaps == sorted(gaps)
    assert gaps[-1] == pytest.approx(LONGEST, rel=0.02)
    assert sum(way != ALL for way in ways) < 0.04 * len(ways)


def test_a_trial_is_made_early_if_runs_take_another_time() -> None:
    trials = Trials()
    run(trials, FIRST + TRIAL + HOLD // 2, {ALL: 1000, RESTING: 1500, ONE: 1500})
    assert trials.chosen == ALL
    loaded = {ALL: 3000, RESTING: 2500, ONE: 1500}  # another program has begun
    run(trials, HOLD // 2 + 64 + TRIAL, loaded)
    assert trials.chosen == ONE


def test_drift_alone_does_not_make_trials_frequent() -> None:
    trials = Trials()
    run(trials, FIRST + TRIAL, {ALL: 1000, RESTING: 1500, ONE: 1500})
    flapping = {ALL: [1000] * 160 + [1900] * 160, RESTING: 2500, ONE: 2500}
    ways = run(trials, 40_000, flapping)
    assert sum(way != ALL for way in ways) < 0.05 * len(ways)


def test_without_other_executables_nothing_is_tried() -> None:
    trials = Trials()
    assert run(trials, ALONE, {ALL: 1000}, (ALL,)) == [ALL] * ALONE
    assert trials.wanted


def test_a_run_that_failed_is_tried_again() -> None:
    trials = Trials()
    times = dict.fromkeys(EVERY, 1000)
    run(trials, FIRST, times)
    way = trials.way(EVERY)
    assert [trials.way(EVERY) for _ in range(5)] == [way] * 5  # none of them is reported
    assert Counter(run(trials, LONG_TRIAL, times)) == tried(ROUNDS)


def test_the_reason_names_all_times() -> None:
    trials = Trials()
    assert trials.reason == ""
    run(trials, FIRST + TRIAL, {ALL: 420_000, RESTING: 300_000, ONE: 250_000})
    assert trials.reason == (
        "and a run with the pause before it took 0.25 ms in the last trial; all threads 0.42 ms and all threads, which "
        "sleep between runs, 0.30 ms"
    )


class Loop(Rig):
    """A program that awaits each run of a graph, whose runs take `times` nanoseconds."""

    def __init__(self, times: Mapping[int, int]) -> None:
        super().__init__(2, width=Width(2))
        self.asked: list[str] = []
        self.graph = Work(self.shelf.size)
        made = {way: self._executable(way, time) for way, time in times.items()}
        self.graph.executable = made[ALL]

        def compile(way: int, name: str) -> None:
            self.asked.append(name)
            setattr(self.widths, name, made[way])

        self.widths = Widths(lambda _: compile(ONE, "narrow"), lambda _: compile(RESTING, "resting"))
        self.graph.widths = self.widths
        self.x, self.y = self.name(1), self.name()

    def _executable(self, way: int, time: int) -> Function:
        def called(x: Any) -> Any:
            self.ran.append(WAYS[way])
            self.clock.now += time
            return x + 1

        return Function(called)

    def loop(self, runs: int) -> list[str]:
        """The ways of the next runs."""
        self.ran.clear()
        for _ in range(runs):
            self.dispatch(self.graph, [self.x], self.y)
            self.run_all()
        return list(self.ran)


def test_a_loop_of_short_runs_ends_up_with_the_fastest_way() -> None:
    loop = Loop({ALL: 300_000, RESTING: 200_000, ONE: 250_000})
    loop.loop(FIRST + TRIAL)
    assert sorted(loop.asked) == ["narrow", "resting"]
    assert set(loop.loop(20)) == {WAYS[RESTING]}
    statistics = loop.timeline.statistics.width
    assert statistics.wide + statistics.narrow == FIRST + TRIAL + 20
    assert statistics.narrow == BLOCK * SURE
    assert statistics.resting == BLOCK * SURE + 20
    assert statistics.reason.startswith(
        "wide: nothing else is in progress, and a run with the pause before it took 0.20 ms"
    )


def test_the_pause_before_a_run_counts_unless_it_is_long() -> None:
    for pause, chosen in ((100_000, ONE), (PAUSE, RESTING)):
        loop = Loop({ALL: 300_000, RESTING: 200_000, ONE: 250_000})
        for _ in range(FIRST + TRIAL):
            # Threads that spin, or are woken, take the core of the program in the pause.
            loop.clock.now += pause if loop.ran[-1:] == [WAYS[ONE]] else 2 * pause
            loop.dispatch(loop.graph, [loop.x], loop.y)
            loop.run_all()
        assert loop.widths.trials.chosen == chosen


def test_a_loop_of_long_runs_stays_as_it_is() -> None:
    loop = Loop({ALL: SHORT, RESTING: 200_000, ONE: 250_000})
    assert set(loop.loop(FIRST + TRIAL)) == {WAYS[ALL]}
    assert loop.asked == []


def test_runs_beside_others_take_no_part() -> None:
    loop = Loop({ALL: 300_000, RESTING: 200_000, ONE: 250_000})
    z = loop.name()
    for _ in range(FIRST + TRIAL):
        loop.dispatch(loop.graph, [loop.x], loop.y)
        loop.dispatch(loop.graph, [loop.x], z)
        loop.run_all()
    assert loop.asked == ["narrow"]
    assert not loop.widths.trials.wanted
