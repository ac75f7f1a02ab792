"""The figures of a context: how long runs took, and why others were not run."""

from __future__ import annotations

import gc
import itertools
import math
from contextlib import suppress

import numpy as np
import pytest

import webnn
from tests.scripted import Gate, double, filled, scripted_context
from tests.stepped import LOST, Rig, broken
from webnn import Histogram
from webnn.errors import ValidationError
from webnn.scheduler.statistics import CHEAP, EXACT, FULL, GraphFigures


def histogram_of(nanoseconds: list[int]) -> Histogram:
    figures = GraphFigures()
    for each in nanoseconds:
        figures.times += (0, 0, each)
    return figures.snapshot().run


def test_percentiles_are_as_exact_as_the_buckets() -> None:
    times = (np.random.default_rng(0).lognormal(12, 1.5, 20_000)).astype(int)
    histogram = histogram_of(times.tolist())
    assert histogram.count == len(times)
    for percent in (1, 50, 90, 99):
        assert histogram.percentile(percent) == pytest.approx(np.percentile(times, percent) / 1e9, rel=0.03)
    assert histogram.median == histogram.percentile(50)
    assert histogram.p90 < histogram.p99


def test_buckets_follow_each_other_and_hold_what_they_say() -> None:
    times = [2**i + j for i in range(4, 40) for j in (-1, 0, 1)]
    buckets = histogram_of(times).buckets
    for (begin, end, many), (following, _, _) in itertools.pairwise(buckets):
        assert begin < end <= following
        assert many == sum(begin <= time / 1e9 < end for time in times)
        assert end / begin <= 1.126


def test_times_outside_of_the_buckets_are_in_the_first_and_the_last() -> None:
    first, last = histogram_of([0, -5, 2**60]).buckets
    assert (first[0], first[2], last[2]) == (0.0, 2, 1)


def test_no_times_have_no_percentile() -> None:
    assert Histogram().count == 0
    assert math.isnan(Histogram().median)


def test_a_run_is_clocked_from_its_call_over_its_beginning_to_its_end() -> None:
    rig = Rig()
    work = rig.work("slow", nanoseconds=4_000_000)
    x, y = rig.name(1), rig.name()
    rig.dispatch(work, [x], y)
    promise = rig.read(y)
    rig.clock.now += 1_000_000
    rig.run_all()
    promise.result()
    figures = work.figures.snapshot()
    assert figures.queued.median == pytest.approx(0.001, rel=0.07)
    assert figures.run.median == pytest.approx(0.004, rel=0.07)
    assert figures.whole.median == pytest.approx(0.005, rel=0.07)
    assert figures.runs == 1


def test_the_list_of_times_stays_short() -> None:
    rig = Rig()
    work, x, y = rig.work("w"), rig.name(1), rig.name()
    for _ in range(FULL // 3 + 10):
        rig.dispatch(work, [x], y)
        rig.run_all()
        assert len(work.figures.times) < FULL
    assert work.figures.snapshot().runs == FULL // 3 + 10


def test_all_runs_are_counted_and_of_many_cheap_ones_some_are_timed() -> None:
    rig = Rig()
    work, x, y = rig.work("cheap", nanoseconds=1001), rig.name(1), rig.name()
    dear = rig.work("dear", nanoseconds=CHEAP)
    for _ in range(1000):
        for each in (work, dear):
            rig.dispatch(each, [x], y)
            rig.run_all()
    figures = work.figures.snapshot()
    assert figures.runs == 1000
    assert EXACT < figures.run.count < EXACT + 744 // 8
    assert figures.run.median == pytest.approx(1.001e-6, rel=0.07)
    assert dear.figures.snapshot().run.count == 1000


def test_drops_are_counted_by_their_reason() -> None:
    rig = Rig()
    work, x, y = rig.work("w"), rig.name(1), rig.name()
    rig.dispatch(work, [x], y)
    rig.dispatch(work, [x], y)  # replaces the first one
    assert rig.timeline.statistics.drops == {"unobservable": 1}
    inputs, outputs = [(rig.shelf, filled(1, [2048]))], [("y", rig.shelf)]
    rig.timeline.run(work, inputs, outputs).cancel()
    rig.timeline.tidy()
    assert rig.timeline.statistics.drops == {"unobservable": 1, "cancelled": 1}
    promise = rig.timeline.run(work, inputs, outputs, timeout=0.0)
    with pytest.raises(TimeoutError):
        promise.result(10)
    rig.timeline.tidy()
    del promise
    gc.collect()
    assert rig.timeline.statistics.drops == {"unobservable": 1, "cancelled": 1, "timed out": 1}
    assert rig.timeline.statistics.dropped == 3
    rig.end()
    expected = {"unobservable": 1, "cancelled": 1, "timed out": 1, "context destroyed": 1}
    assert rig.timeline.statistics.drops == expected == work.figures.snapshot().drops
    assert rig.timeline.statistics.dropped == 3


def test_runs_that_were_given_up_since_the_last_call_are_not_queued_any_more(gate: Gate) -> None:
    with scripted_context(on_run=gate)[0] as context:
        graph = double(context)
        promises = [context.run(graph, {"x": filled(1)}) for _ in range(4)]
        assert gate.reached.wait(5)
        assert context.statistics().queued == 3
        del promises
        assert context.statistics().queued == 0
        gate.open()


def test_failures_are_counted_with_everything_that_needed_the_result() -> None:
    rig = Rig()
    failing, after = rig.work("failing", broken(ValueError("no"))), rig.work("after")
    x, y, z = rig.name(1), rig.name(), rig.name()
    rig.dispatch(failing, [x], y)
    rig.dispatch(after, [y], z)
    promise = rig.read(z)
    rig.run_all()
    with suppress(Exception):
        promise.result()
    assert (failing.figures.failed, after.figures.failed) == (1, 1)
    assert failing.figures.snapshot().runs == 0
    rig.timeline.shutdown.destroy(LOST)


def test_the_figures_of_a_graph_go_with_it() -> None:
    with webnn.ML().create_context(backend="arrays") as context:
        first, second = double(context), double(context)
        first.label = "first"
        for _ in range(3):
            context.compute(second, {"x": filled(1)})
        (one, two) = context.statistics().graphs
        assert (one.label, one.runs, two.label, two.runs) == ("first", 0, "x -> y", 3)
        assert two.operators == 1
        assert two.compile_seconds is not None
        assert two.compile_seconds > 0
        del first
        gc.collect()
        context.compute(double(context), {"x": filled(1)})  # compiled after the first one has been released
        gc.collect()
        assert "first" not in [graph.label for graph in context.statistics().graphs]


def test_a_label_must_be_a_text() -> None:
    with webnn.ML().create_context(backend="arrays") as context:
        graph = double(context)
        with pytest.raises(ValidationError, match="label: a text is expected, got 7"):
            graph.label = 7  # type: ignore[assignment]
        graph.destroy()
        graph.label = "gone"
        assert graph.label == "gone"
