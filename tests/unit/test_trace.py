"""Traces: what is recorded, what is made of it, and that the files are sound."""

from __future__ import annotations

import copy
import gc
import io
import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import webnn
from tests.forks import in_child
from tests.loops import Loop
from tests.scripted import double, filled
from tests.stepped import SMALL, Rig, broken
from tests.trace_format import problems
from webnn import TraceEvent
from webnn.errors import ContextLostError, InvalidStateError, OperationError, UnknownError, ValidationError
from webnn.runtime.events import events_of, records_of
from webnn.runtime.trace_format import trace_json
from webnn.scheduler.trace import reusable
from webnn.scheduler.value import Value


class Traced:
    """A rig with an open trace."""

    def __init__(self, **options: Any) -> None:
        self.rig = Rig(**options)
        self.records: list[Any] = []
        self.recorder = self.rig.timeline.start_trace(self.records)
        self.origin = self.rig.clock.now

    def events(self, kind: str | None = None) -> list[TraceEvent]:
        every = events_of(
            records_of(self.records), self.recorder.tracks, self.rig.timeline.figures.kept or {}, self.origin
        )
        sound(trace_json(every, process=1, title="test"))
        return [event for event in every if kind in (None, event.kind)]


def sound(trace: dict[str, Any]) -> None:
    found = problems(json.loads(json.dumps(trace)))
    assert not found, "\n".join(found)


# What is recorded.


def test_a_round_trip_is_a_write_a_task_and_a_read_with_arrows_between_them() -> None:
    traced = Traced()
    rig = traced.rig
    x, y = rig.name(), rig.name()
    rig.write(x, 1)
    rig.clock.now += 100
    rig.dispatch(rig.work("doubled", nanoseconds=5000), [x], y)
    promise = rig.read(y)
    rig.clock.now += 2000
    rig.run_all()
    promise.result()
    write, task, read = traced.events()
    assert (write.kind, task.kind, read.kind) == ("write", "task", "read")
    assert write.details["bytes copied"] == 4 * 2048
    assert (task.name, task.called, task.began, task.ended) == ("doubled", 100, 2100, 7100)
    assert task.details["outcome"] == "done"
    assert task.details["where"] == "lane"
    assert task.details["operators"] == 1
    assert task.details["waited us"] == {"a lane": 2.0}
    assert (task.after, read.after) == ((write.number,), (task.number,))
    assert (read.called, read.began) == (100, 7100)
    assert read.details == {"outcome": "resolved", "bytes copied": 0}


def test_a_task_says_which_task_it_waited_for_and_for_how_long() -> None:
    traced = Traced()
    rig = traced.rig
    x, y, z = rig.name(1), rig.name(), rig.name()
    rig.dispatch(rig.work("first", nanoseconds=8000), [x], y)
    rig.dispatch(rig.work("second"), [y], z)
    rig.clock.now += 500
    rig.run_all()
    first, second = traced.events("task")
    assert first.details["waited us"] == {"a lane": 0.5}
    assert second.details["waited us"] == {f"task {first.number}": 8.5, "a lane": 0.0}


def test_a_task_says_that_it_waited_for_the_compilation() -> None:
    traced = Traced()
    rig = traced.rig
    work, x, y = rig.work("late", compiled=False), rig.name(1), rig.name()
    rig.dispatch(work, [x], y)
    rig.clock.now += 3000
    traced.recorder.compiled(work.figures, traced.origin)
    rig.compile(work)
    rig.clock.now += 700
    rig.run_all()
    (task,) = traced.events("task")
    assert task.details["waited us"] == {"compilation": 3.0, "a lane": 0.7}
    (compilation,) = traced.events("compile")
    assert compilation.name == "compile late"


def test_inline_tasks_say_so_and_run_on_the_thread_that_waits() -> None:
    traced = Traced(inline_limit=50_000)
    rig = traced.rig
    x, y = rig.name(1), rig.name()
    rig.dispatch(rig.work("cheap", cost=1000), [x], y)
    rig.read(y).result()
    (task,) = traced.events("task")
    assert task.details["where"] == "inline"
    assert task.track == threading.current_thread().name
    assert set(task.details["waited us"]) == {"its turn"}


def test_a_small_result_is_read_by_a_copy_where_its_cheap_task_runs() -> None:
    traced = Traced(descriptor=SMALL, inline_limit=50_000)
    rig = traced.rig
    x, y = rig.name(1), rig.name()
    rig.clock.now += 100
    rig.dispatch(rig.work("cheap", cost=1000, nanoseconds=500), [x], y)
    promises = [rig.read(y), rig.read(y)]
    rig.clock.now += 100
    assert [float(promise.result()[0]) for promise in promises] == [2, 2]
    (task,) = traced.events("task")
    assert (task.called, task.began, task.ended) == (100, 200, 700)
    for read in traced.events("read"):
        assert (read.called, read.ended, read.after) == (100, 700, (task.number,))
        assert read.details == {"outcome": "resolved", "bytes copied": 16}


def test_a_small_result_of_a_run_is_one_event_after_its_task() -> None:
    traced = Traced(descriptor=SMALL, inline_limit=50_000)
    rig = traced.rig
    promise = rig.timeline.run(rig.work("cheap", cost=1000), [(rig.shelf, filled(1, [4]))], [("y", rig.shelf)])
    promise.result()
    task, result = traced.events()
    assert (result.name, result.details["outcome"], result.after) == ("result", "resolved", (task.number,))


def test_a_small_result_that_was_given_up_is_no_second_event() -> None:
    traced = Traced(descriptor=SMALL)
    rig = traced.rig
    x, y = rig.name(1), rig.name()
    rig.dispatch(rig.work("w"), [x], y)
    assert rig.read(y).cancel()
    rig.run_all()
    (read,) = traced.events("read")
    assert read.details["outcome"] == "cancelled"


def test_a_cheap_task_that_fails_inline_shows_how_long_it_ran() -> None:
    traced = Traced(inline_limit=50_000)
    rig = traced.rig
    y = rig.name()
    rig.dispatch(rig.work("bad", broken(ValueError("no such kernel")), cost=1000, nanoseconds=300), [rig.name(1)], y)
    with pytest.raises(UnknownError, match="no such kernel"):
        rig.read(y).result()
    (task,) = traced.events("task")
    assert task.details["outcome"] == "failed"
    assert (task.began, task.ended) == (0, 300)


def test_tasks_with_any_number_of_inputs_and_outputs_come_after_the_writes_of_their_inputs() -> None:
    traced = Traced()
    rig = traced.rig
    names = [rig.name(i) for i in range(4)]
    for inputs, outputs in ((1, 1), (2, 1), (3, 1), (1, 2), (4, 3)):
        work = rig.work("w", lambda *a, outputs=outputs: a[:1] * outputs, outputs=outputs)
        rig.dispatch(work, names[:inputs], [rig.name() for _ in range(outputs)])
        rig.run_all()
    assert [task.after for task in traced.events("task")] == [(1,), (1, 2), (1, 2, 3), (1,), (1, 2, 3, 4)]


def test_the_garbage_collector_need_not_look_at_what_is_recorded_of_a_run() -> None:
    traced = Traced(descriptor=SMALL, inline_limit=50_000)
    rig = traced.rig
    x, y = rig.name(1), rig.name()
    rig.dispatch(rig.work("cheap", cost=1000), [x, x, x], y)
    rig.read(y).result()
    rig.timeline.run(rig.work("w", cost=1000), [(rig.shelf, filled(1, [4]))], [("y", rig.shelf)]).result()
    assert not any(gc.is_tracked(element) for element in traced.records)


def test_dropped_cancelled_and_failed_tasks_are_there_with_the_reason() -> None:
    traced = Traced()
    rig = traced.rig
    x, y, z = rig.name(1), rig.name(), rig.name()
    work = rig.work("w")
    rig.dispatch(work, [x], y)
    rig.dispatch(rig.work("broken", broken(OperationError("it broke"))), [x], y)
    rig.dispatch(work, [y], z)
    rig.timeline.run(work, [(rig.shelf, filled(1, [2048]))], [("y", rig.shelf)]).cancel()
    rig.timeline.tidy()
    rig.run_all()
    rig.dispatch(work, [x], y)
    rig.end()
    outcomes = [(task.details["outcome"], task.details["reason"]) for task in traced.events("task")]
    assert outcomes == [
        ("dropped", "unobservable"),
        ("failed", "OperationError: it broke"),
        ("failed", "OperationError: it broke"),
        ("dropped", "cancelled"),
        ("cancelled", "ContextLostError: the context was lost: a test said so"),
    ]
    dropped, failed, after, *_ = traced.events("task")
    assert dropped.began is None
    assert failed.began is not None
    assert after.began is None
    assert after.after == (failed.number,)


def test_a_run_without_tensors_copies_its_inputs_and_has_a_result() -> None:
    traced = Traced()
    rig = traced.rig
    promise = rig.timeline.run(rig.work("w"), [(rig.shelf, filled(1, [2048]))], [("y", rig.shelf)])
    rig.run_all()
    promise.result()
    task, result = traced.events()
    assert task.details["bytes copied"] == 4 * 2048
    assert (result.kind, result.name, result.after) == ("read", "result", (task.number,))


def test_reading_into_an_array_and_reading_little_copy() -> None:
    traced = Traced(descriptor=SMALL)
    rig = traced.rig
    x = rig.name(1)
    rig.read(x).result()
    rig.read(x, np.empty(4, np.float32)).result()
    assert [read.details["bytes copied"] for read in traced.events("read")] == [16, 16]


def test_a_write_that_overwrites_in_place_says_so() -> None:
    traced = Traced(descriptor=SMALL)
    x = traced.rig.name(1)
    traced.rig.write(x, 2)
    assert ["in place" in write.details for write in traced.events("write")] == [False, True]


def test_zeros_of_a_tensor_that_was_never_written_are_an_event() -> None:
    traced = Traced()
    rig = traced.rig
    rig.dispatch(rig.work("w"), [rig.name()], rig.name())
    zeros, task = traced.events()
    assert (zeros.name, task.after) == ("zeros", (zeros.number,))


def test_buffers_that_had_been_in_use_are_counted() -> None:
    traced = Traced()
    rig = traced.rig
    work, x, y, z = rig.work("two", lambda a: (a, a), outputs=2), rig.name(1), rig.name(), rig.name()
    for _ in range(3):
        rig.dispatch(work, [x], [y, z])
        rig.run_all()
    assert [task.details["reused buffers"] for task in traced.events("task")] == [0, 2, 2]


def test_no_more_buffers_are_reused_than_there_are() -> None:
    rig = Rig()
    values = [Value(rig.shelf, None, None) for _ in range(3)]
    views = [rig.shelf.take() for _ in range(2)]
    for view in views:
        rig.shelf.put(view)
    assert reusable(values) == 2


def test_what_was_queued_before_the_trace_is_there_and_what_ran_before_is_not() -> None:
    rig = Rig()
    work, x, y = rig.work("w"), rig.name(1), rig.name()
    rig.dispatch(work, [x], y)
    rig.run_all()
    rig.dispatch(work, [x], y)
    rig.clock.now += 1000
    records: list[Any] = []
    recorder = rig.timeline.start_trace(records)
    origin = rig.clock.now
    rig.run_all()
    (task,) = events_of(records_of(records), recorder.tracks, rig.timeline.figures.kept or {}, origin)
    assert (task.called, task.began) == (-1000, 0)
    sound(trace_json([task], process=1, title="test"))


def test_what_has_not_ended_is_there_too() -> None:
    traced = Traced()
    rig = traced.rig
    x, y = rig.name(1), rig.name()
    rig.dispatch(rig.work("w"), [x], y)
    _, task = traced.events()
    assert (task.began, task.details["outcome"]) == (None, "queued")


def test_a_promise_that_is_forgotten_is_an_event() -> None:
    traced = Traced()
    rig = traced.rig
    rig.read(rig.name(1))
    gc.collect()
    rig.timeline.tidy()
    (read,) = traced.events("read")
    assert read.details["outcome"] == "forgotten"


def test_later_objects_at_the_same_address_are_not_mistaken_for_earlier_ones() -> None:
    traced = Traced()
    rig = traced.rig
    work, x, y = rig.work("w"), rig.name(), rig.name()
    for i in range(50):
        rig.write(x, i)
        rig.dispatch(work, [x], y)
        promise = rig.read(y)
        rig.run_all()
        promise.result()
        del promise
    assert len({record[4] for record in records_of(traced.records) if record[0] == "queued"}) < 50
    events = traced.events()
    for write, task, read in zip(events[::3], events[1::3], events[2::3], strict=True):
        assert (write.kind, task.kind, read.kind) == ("write", "task", "read")
        assert (task.after, read.after) == ((write.number,), (task.number,))


def test_a_trace_keeps_no_buffer_from_being_used_again() -> None:
    traced = Traced()
    rig = traced.rig
    x, y = rig.name(1), rig.name()
    for _ in range(10):
        rig.dispatch(rig.work("w"), [x], y)
        rig.run_all()
    assert rig.in_use == 2


def test_notes_and_other_events_of_the_runtime_are_shown() -> None:
    traced = Traced()
    rig = traced.rig
    rig.dispatch(rig.work("w"), [rig.name(1)], rig.name())
    (task,) = rig.timeline._renaming.live
    traced.recorder.note(task, "donated", ["x", "y"])
    rig.clock.now += 400
    traced.recorder.spent("before", traced.origin, item=3)
    traced.recorder.awaited("wait for room", traced.origin)
    assert traced.events("task")[0].details["donated"] == ["x", "y"]
    (spent,) = traced.events("other")
    assert (spent.name, spent.ended, spent.details) == ("before", 400, {"item": 3})
    assert [event.name for event in traced.events("wait")] == ["wait for room"]


def test_awaiting_a_dispatch_that_waits_for_room_is_an_event() -> None:
    traced = Traced(max_queued=2, threads=1)
    rig = traced.rig
    release = threading.Event()

    async def fill() -> None:
        slow = rig.work("slow", lambda a: (release.wait(10), a)[1])
        names = [rig.name() for _ in range(5)]
        x = rig.name(1)
        for name in names[:-1]:
            rig.dispatch(slow, [x], name)
        handle = rig.dispatch(slow, [x], names[-1])
        threading.Timer(0.01, release.set).start()
        await handle

    import asyncio  # noqa: PLC0415

    asyncio.run(fill())
    rig.end()
    (wait,) = traced.events("wait")
    assert (wait.name, wait.track) == ("wait for room", threading.current_thread().name)


# Opening and closing.


def run(context: webnn.MLContext, label: str = "double") -> None:
    graph = double(context)
    graph.label = label
    context.compute(graph, {"x": filled(1)})


def names(trace: webnn.Trace, kind: str = "task") -> list[str]:
    return [event.name for event in trace.events if event.kind == kind]


def test_a_trace_is_written_to_a_path(context: webnn.MLContext, tmp_path: Path) -> None:
    with context.trace(tmp_path / "run.json") as trace:
        run(context)
    written = json.loads((tmp_path / "run.json").read_text())
    sound(written)
    assert {"double", "queue double", "compile double", "result"} <= {each["name"] for each in written["traceEvents"]}
    tracks = {each["args"]["name"] for each in written["traceEvents"] if each["name"] == "thread_name"}
    assert {threading.current_thread().name, "webnn-build"} <= tracks
    assert names(trace) == ["double"]


@pytest.mark.parametrize("make", [io.StringIO, io.BytesIO])
def test_a_trace_is_written_to_an_open_file(context: webnn.MLContext, make: Callable[[], Any]) -> None:
    file = make()
    with context.trace(file):
        run(context)
    sound(json.loads(file.getvalue()))


def test_a_trace_without_a_file_can_be_saved_later(context: webnn.MLContext, tmp_path: Path) -> None:
    with context.trace() as trace:
        run(context)
    trace.save(str(tmp_path / "later.json"))
    sound(json.loads((tmp_path / "later.json").read_text()))


def test_several_traces_are_open_at_once_and_inside_each_other(context: webnn.MLContext) -> None:
    with context.trace() as outer:
        run(context, "one")
        with context.trace() as inner:
            run(context, "two")
        first = context.trace().__enter__()
        run(context, "three")
        second = context.trace().__enter__()
        first.__exit__(None, None, None)
        run(context, "four")
        second.__exit__(None, None, None)
    run(context, "five")
    assert names(outer) == ["one", "two", "three", "four"]
    assert (names(inner), names(first), names(second)) == (["two"], ["three"], ["four"])
    assert context._timeline.trace is None


def test_a_trace_is_written_although_the_block_raises(context: webnn.MLContext, tmp_path: Path) -> None:
    trace = context.trace(tmp_path / "run.json")

    def fail() -> None:
        with trace:
            run(context)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    sound(json.loads((tmp_path / "run.json").read_text()))
    assert context._timeline.trace is None


def test_the_context_may_be_destroyed_inside(tmp_path: Path) -> None:
    context = webnn.ML().create_context(backend="arrays")
    graph = double(context)
    with context.trace(tmp_path / "run.json") as trace:
        context.run(graph, {"x": filled(1)}).result()
        late = context.run(graph, {"x": filled(1)})
        context.destroy()
        with suppress(ContextLostError):
            late.result()
    sound(json.loads((tmp_path / "run.json").read_text()))
    assert {task.details["outcome"] for task in trace.events if task.kind == "task"} <= {"done", "cancelled"}


def test_a_trace_keeps_its_context_alive_no_longer(tmp_path: Path) -> None:
    with webnn.ML().create_context(backend="arrays").trace(tmp_path / "run.json"):
        gc.collect()
    sound_or_empty = json.loads((tmp_path / "run.json").read_text())
    assert [each["ph"] for each in sound_or_empty["traceEvents"]] == ["M"]


async def test_a_trace_around_awaited_work(loop: Loop, tmp_path: Path) -> None:
    context = webnn.ML().create_context(backend="arrays")
    graph = double(context)
    with context.trace(tmp_path / "run.json") as trace:
        for promise in [context.run(graph, {"x": filled(i)}) for i in range(5)]:
            await loop.result(promise)
    context.destroy()
    assert len(names(trace)) == 5
    sound(json.loads((tmp_path / "run.json").read_text()))


def test_threads_have_tracks_of_their_own(context: webnn.MLContext) -> None:
    with context.trace() as trace:
        graph = double(context)
        threads = [
            threading.Thread(target=lambda: context.compute(graph, {"x": filled(1)}), name="caller") for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {event.call_track for event in trace.events if event.kind == "task"} == {
        "caller",
        "caller (2)",
        "caller (3)",
    }


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    context = webnn.ML().create_context(backend="arrays")
    trace = context.trace(path)
    trace.__enter__()
    run(context)

    def leave() -> bool:
        trace.__exit__(None, None, None)
        return path.exists()

    assert in_child(leave) is False
    trace.__exit__(None, None, None)
    context.destroy()
    sound(json.loads(path.read_text()))


def test_a_trace_can_be_opened_once(context: webnn.MLContext) -> None:
    trace = context.trace()
    with pytest.raises(InvalidStateError, match=r"it was not opened: with context.trace\(\)"):
        trace.events  # noqa: B018
    with trace:
        pass
    with pytest.raises(InvalidStateError, match="it can be opened once; make another"), trace:
        pass


def test_a_wrong_target_is_refused_at_the_call(context: webnn.MLContext, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="trace: a path or a file that is open for writing is expected, got 7"):
        context.trace(7)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match=r"there is no folder for the file.*missing"):
        context.trace(tmp_path / "missing" / "run.json")
    context.destroy()
    with pytest.raises(ContextLostError):
        context.trace()


def test_a_trace_says_what_it_is(context: webnn.MLContext) -> None:
    with context.trace() as trace:
        assert repr(trace) == "<Trace of webnn on arrays, 0 records, open>"
    assert repr(trace) == "<Trace of webnn on arrays, 0 records>"
    with pytest.raises(TypeError, match=r"Trace cannot be pickled or copied: .*save"):
        copy.copy(trace)


# The checker.


GOOD: dict[str, Any] = {
    "traceEvents": [
        {"ph": "M", "name": "thread_name", "pid": 1, "tid": 1, "args": {"name": "main"}},
        {"ph": "X", "name": "a", "cat": "c", "ts": 0, "dur": 10, "pid": 1, "tid": 1},
        {"ph": "X", "name": "b", "cat": "c", "ts": 2, "dur": 5, "pid": 1, "tid": 1},
        {"ph": "s", "name": "v", "cat": "flow", "id": 1, "ts": 3, "pid": 1, "tid": 1},
        {"ph": "f", "name": "v", "cat": "flow", "id": 1, "ts": 4, "pid": 1, "tid": 1, "bp": "e"},
        {"ph": "C", "name": "queued", "ts": 5, "pid": 1, "args": {"tasks": 0}},
    ]
}


@pytest.mark.parametrize(
    ("index", "key", "value", "message"),
    [
        (1, "cat", None, "lacks"),
        (1, "ts", -1, "no proper time"),
        (2, "ts", 8, "overlaps"),
        (2, "tid", 3, "track 3 has no name"),
        (1, "ts", 3, "goes back in time"),
        (4, "id", 2, "1 beginnings and 0 ends"),
        (4, "ts", 2.5, "goes back in time"),
        (3, "ts", 11, "hangs in the air"),
        (5, "args", {"tasks": -1}, "negative"),
        (0, "name", "process_name", "has no name"),
    ],
)
def test_the_checker_finds_each_kind_of_fault(index: int, key: str, value: Any, message: str) -> None:
    assert problems(GOOD) == []
    bad = copy.deepcopy(GOOD)
    if value is None:
        del bad["traceEvents"][index][key]
    else:
        bad["traceEvents"][index][key] = value
    assert any(message in problem for problem in problems(bad)), problems(bad)
    assert problems({"traceEvents": []}) == ["there are no traceEvents"]
