"""Runs for a blocked caller: without a task, on the caller's own arrays, and in turn with the work of other threads."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest

import webnn
from tests.stepped import LARGE, LOST, SMALL, Rig, broken
from webnn.errors import ContextLostError, OperationError, UnknownError
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.memory.lease import Lease
from webnn.scheduler import direct
from webnn.scheduler.direct import run_here
from webnn.scheduler.task import Work
from webnn.scheduler.width import Widths

HUGE = MLOperandDescriptor("float32", [direct.LARGE // 4 + 1])
"""Larger than the arrays that are copied."""


def filled(descriptor: MLOperandDescriptor, number: float = 1) -> np.ndarray[Any, Any]:
    return np.full(descriptor.shape, number, descriptor.dtype)


def run(rig: Rig, work: Work, array: np.ndarray[Any, Any] | None = None) -> Any:
    array = filled(rig.shelf.descriptor) if array is None else array
    return run_here(rig.timeline, work, [(rig.shelf, array)], [("y", rig.shelf)])


def wide(rig: Rig, label: str, function: Any = lambda x: x + 1) -> Work:
    work = rig.work(label, function)
    work.widths = Widths(lambda _: None)
    return work


@pytest.mark.parametrize("descriptor", [SMALL, LARGE, HUGE], ids=["small", "large", "huge"])
def test_the_result_is_a_read_only_array_whose_memory_is_used_again(descriptor: MLOperandDescriptor) -> None:
    rig = Rig(descriptor=descriptor)
    work = rig.work("add one")
    for number in range(4):
        result = run(rig, work, filled(descriptor, number))["y"]
        assert (result == number + 1).all()
        assert not result.flags.writeable
        assert rig.in_use == isinstance(result.base, Lease) == (descriptor is not SMALL)
    del result
    assert rig.in_use == 0
    assert rig.pool.info().idle == rig.pool.info().peak <= 3 * rig.size  # an input, and the results of two runs


def test_a_result_stays_as_it_is_while_later_runs_give_others() -> None:
    rig = Rig(descriptor=LARGE)
    results = [run(rig, rig.work("add one"), filled(LARGE, number))["y"] for number in range(3)]
    assert [float(result[0]) for result in results] == [1, 2, 3]


@pytest.mark.parametrize(
    ("array", "is_lent"),
    [
        (filled(LARGE), False),
        (filled(HUGE), True),
        (np.ones(2 * HUGE.shape[0], np.float32)[::2], False),
        (np.frombuffer(b"-" + filled(HUGE).tobytes(), np.float32, offset=1), False),
    ],
    ids=["small", "huge", "with gaps", "at an odd address"],
)
def test_a_large_contiguous_input_is_not_copied(array: np.ndarray[Any, Any], is_lent: bool) -> None:
    seen: list[bool] = []

    def look(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        seen.append(np.shares_memory(x, array))
        return x + 1

    rig = Rig(descriptor=MLOperandDescriptor("float32", array.shape))
    assert (run(rig, rig.work("look", look), array)["y"] == 2).all()
    assert seen == [is_lent]


def test_nothing_runs_here_while_something_is_queued() -> None:
    rig = Rig()
    rig.dispatch(rig.work("queued"), [rig.name(1)], rig.name())
    assert run(rig, rig.work("here")) is None
    rig.run_all()
    assert run(rig, rig.work("here")) is not None
    assert rig.ran == ["queued", "here"]


def test_nothing_runs_here_in_a_trace_or_under_a_budget_or_before_it_is_compiled() -> None:
    rig = Rig()
    sink: list[Any] = []
    rig.timeline.start_trace(sink)
    assert run(rig, rig.work("traced")) is None
    rig.timeline.stop_trace(sink)
    assert run(rig, rig.work("late", compiled=False)) is None
    frugal = Rig(budget=10 * LARGE.byte_length)
    assert run(frugal, frugal.work("frugal")) is None
    assert (rig.in_use, frugal.in_use, rig.ran, frugal.ran) == (0, 0, [], [])


def test_a_run_is_counted_like_any_other() -> None:
    rig = Rig()
    during: list[int] = []

    def look(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        during.append(rig.timeline.statistics.running)
        return x

    run(rig, rig.work("look", look, nanoseconds=3000))
    statistics = rig.timeline.statistics
    (figures,) = statistics.graphs
    assert during == [1]
    assert (statistics.running, statistics.run_inline, statistics.run_on_lanes) == (0, 1, 0)
    assert (figures.runs, figures.run.count, figures.failed) == (1, 1, 0)
    assert 2.5e-6 < figures.run.median < 3.5e-6
    assert rig.works[0].cost == 3000


@pytest.mark.parametrize("error", [OperationError("relu: it broke"), ValueError("strange")])
def test_a_run_that_fails_raises_the_error_and_gives_its_memory_back(error: Exception) -> None:
    rig = Rig()
    bad = rig.work("bad", broken(error))
    with pytest.raises((OperationError, UnknownError), match=r"relu: it broke|ValueError: strange") as raised:
        run(rig, bad)
    assert raised.value is error or raised.value.__cause__ is error
    assert bad.failed
    assert rig.timeline.statistics.graphs[0].failed == 1
    assert (rig.timeline.statistics.running, rig.in_use) == (0, 0)
    assert run(rig, rig.work("good"))["y"][0] == 2


def test_a_context_that_is_lost_during_the_run_says_so() -> None:
    rig = Rig()

    def lose(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        rig.end()
        return x

    with pytest.raises(ContextLostError, match=str(LOST)):
        run(rig, rig.work("last", lose))
    assert run(rig, rig.work("later")) is None


def test_a_wide_run_is_alone_and_what_has_waited_for_it_goes_on_after_it() -> None:
    rig = Rig(lanes=2)
    x, y = rig.name(1), rig.name()
    inner = rig.work("inner")
    began: list[bool] = []

    def meanwhile(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        assert run(rig, inner) is None  # as from another thread
        rig.dispatch(wide(rig, "other"), [x], y)
        rig.timeline._workers.wake()
        began.append(rig.step(0) or rig.step(1))
        return a

    run(rig, wide(rig, "alone", meanwhile))
    assert (began, rig.ran) == ([False], ["alone"])
    assert rig.step(0) or rig.step(1)
    assert rig.ran == ["alone", "other"]
    assert rig.timeline.statistics.width.wide == 2


def test_runs_of_one_thread_each_go_side_by_side() -> None:
    rig = Rig()
    inner = rig.work("inner")

    def meanwhile(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        result: np.ndarray[Any, Any] = run(rig, inner, a)["y"]
        return result

    assert run(rig, rig.work("outer", meanwhile))["y"][0] == 2


def test_onnxruntime_reads_large_arrays_where_they_are_and_lets_go_of_them() -> None:
    with webnn.ML().create_context(backend="onnxruntime") as context:
        builder = context.create_graph_builder()
        small, large = builder.input("small", [1], "float32"), builder.input("large", HUGE.shape, "float32")
        graph = builder.build({"y": builder.add(large, small)})
        context.compute(graph, {"small": filled(SMALL)[:1], "large": filled(HUGE)})
        for number in range(3):
            array = filled(HUGE, number)
            array.setflags(write=False)
            watch = weakref.ref(array)
            assert (context.compute(graph, {"small": filled(SMALL)[:1], "large": array})["y"] == number + 1).all()
            del array
            assert watch() is None
        assert context.run(graph, {"small": filled(SMALL)[:1], "large": filled(HUGE, 7)}).result()["y"][0] == 8
