"""The timeline on lanes that are stepped by hand: values, what nobody can observe, failures, compilations."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest

from tests.leaks import ErrorLog
from tests.stepped import Rig, broken, now, number_in
from webnn.errors import InvalidStateError, OperationError, UnknownError
from webnn.scheduler.promise import Promise
from webnn.scheduler.task import TaskState

# Names and values.


class TestValues:
    def test_read_sees_the_value_at_the_call(self, rig: Rig) -> None:
        x = rig.name(1)
        first = rig.read(x)
        rig.write(x, 2)
        second = rig.read(x)
        assert now(second) == 2
        assert now(first) == 1

    def test_read_sees_the_value_before_a_dispatch_that_comes_later(self, rig: Rig) -> None:
        x = rig.name(1)
        before = rig.read(x)
        rig.dispatch(rig.work("later"), [x], x)
        rig.run_all()
        assert now(before) == 1
        assert now(rig.read(x)) == 2

    def test_dispatch_sees_the_value_at_the_call(self, rig: Rig) -> None:
        x, y = rig.name(1), rig.name()
        rig.dispatch(rig.work("plus one"), [x], y)
        rig.write(x, 10)
        rig.run_all()
        assert now(rig.read(y)) == 2
        assert now(rig.read(x)) == 10

    def test_write_takes_the_bytes_at_the_call(self, rig: Rig) -> None:
        x, data = rig.name(), np.ones(rig.shelf.descriptor.shape, np.float32)
        rig.timeline.write(x, data)
        data[:] = 5
        assert now(rig.read(x)) == 1

    def test_a_loop_that_writes_the_same_input_never_waits(self, rig: Rig) -> None:
        x, y, work = rig.name(), rig.name(), rig.work("plus one")
        reads = []
        for i in range(5):
            rig.write(x, i)
            rig.dispatch(work, [x], y)
            reads.append(rig.read(y))
        assert rig.ran == []
        rig.run_all()
        assert [now(read) for read in reads] == [1, 2, 3, 4, 5]

    def test_a_read_settles_when_its_value_is_made(self, rig: Rig) -> None:
        x, y = rig.name(1), rig.name()
        rig.dispatch(rig.work("plus one"), [x], y)
        read = rig.read(y)
        assert not read.done()
        assert rig.step()
        assert now(read) == 2

    def test_what_was_never_written_reads_as_zeros(self, rig: Rig) -> None:
        dirty = rig.name(9)
        rig.timeline.destroy_name(dirty, InvalidStateError("gone"))
        x, y = rig.name(), rig.name()
        assert now(rig.read(x)) == 0
        rig.dispatch(rig.work("plus one"), [rig.name()], y)
        rig.run_all()
        assert now(rig.read(y)) == 1

    def test_reading_zeros_does_not_make_two_names_one(self, rig: Rig) -> None:
        x, y = rig.name(), rig.name()
        read = rig.read(x)
        rig.write(y, 3)
        assert now(rig.read(y)) == 3
        assert now(read) == 0
        assert now(rig.read(x)) == 0

    def test_many_reads_of_one_value_all_settle(self, rig: Rig) -> None:
        x, y = rig.name(1), rig.name()
        rig.dispatch(rig.work("plus one"), [x], y)
        reads = [rig.read(y) for _ in range(3)]
        rig.run_all()
        assert [now(read) for read in reads] == [2, 2, 2]

    def test_a_graph_of_two_outputs_binds_two_names(self, rig: Rig) -> None:
        x, y, z = rig.name(5), rig.name(), rig.name()
        rig.dispatch(rig.work("both", lambda a: (a + 1, a - 1), outputs=2), [x], [y, z])
        rig.run_all()
        assert (now(rig.read(y)), now(rig.read(z))) == (6, 4)

    def test_a_recurrence_may_read_and_write_one_name(self, rig: Rig) -> None:
        x, work = rig.name(0), rig.work("plus one")
        for _ in range(4):
            rig.dispatch(work, [x], x)
        read = rig.read(x)
        rig.run_all()
        assert now(read) == 4

    def test_a_graph_without_inputs_runs(self, rig: Rig) -> None:
        y = rig.name()
        rig.dispatch(rig.work("seven", lambda: 7), [], y)
        rig.run_all()
        assert now(rig.read(y)) == 7

    def test_run_takes_arrays_and_gives_arrays_by_name(self, rig: Rig) -> None:
        data = np.full(rig.shelf.descriptor.shape, 3, np.float32)
        run = rig.timeline.run(rig.work("plus one"), [(rig.shelf, data)], [("y", rig.shelf)])
        data[:] = 9
        assert not run.done()
        rig.run_all()
        assert {name: number_in(array) for name, array in run.result().items()} == {"y": 4}

    def test_two_lanes_run_what_does_not_depend_on_each_other(self) -> None:
        rig = Rig(lanes=2)
        x, names = rig.name(1), [rig.name() for _ in range(3)]
        rig.dispatch(rig.work("left"), [x], names[0])
        rig.dispatch(rig.work("right"), [x], names[1])
        rig.dispatch(rig.work("both"), names[:2], names[2])
        assert rig.step(1)
        assert rig.step(0)
        assert sorted(rig.ran) == ["left", "right"]
        rig.run_all()
        assert now(rig.read(names[2])) == 5


class TestReadingInto:
    def test_out_is_filled_and_given_back(self, rig: Rig) -> None:
        x, out = rig.name(4), np.zeros(rig.shelf.descriptor.shape, np.float32)
        read = rig.read(x, out)
        rig.write(x, 5)
        assert read.done()
        assert read.result() is out
        assert number_in(out) == 4

    def test_out_stays_writable_and_keeps_no_memory_of_the_pool(self, rig: Rig) -> None:
        x, out = rig.name(4), np.zeros(rig.shelf.descriptor.shape, np.float32)
        assert rig.read(x, out).done()
        rig.timeline.destroy_name(x, InvalidStateError("gone"))
        assert rig.in_use == 0
        out[:] = 1

    def test_out_is_left_alone_if_the_read_is_cancelled_in_time(self, rig: Rig) -> None:
        x, y, out = rig.name(4), rig.name(), np.zeros(rig.shelf.descriptor.shape, np.float32)
        rig.dispatch(rig.work("plus one"), [x], y)
        read = rig.read(y, out)
        read.cancel()
        rig.run_all()
        assert number_in(out) == 0

    def test_out_that_cannot_be_filled_any_more_is_an_error_of_the_read(self, rig: Rig) -> None:
        x, y, out = rig.name(4), rig.name(), np.zeros(rig.shelf.descriptor.shape, np.float32)
        rig.dispatch(rig.work("plus one"), [x], y)
        read = rig.read(y, out)
        out.flags.writeable = False
        try:
            rig.run_all()
            assert isinstance(read.exception(timeout=0), Exception)
            assert rig.in_use == 2
        finally:
            read.cancel()


# What nobody can observe.


class TestDropping:
    def test_what_is_replaced_before_it_is_read_never_runs(self, rig: Rig) -> None:
        x, y, work = rig.name(1), rig.name(), rig.work("plus one")
        handles = [rig.dispatch(work, [x], y) for _ in range(3)]
        read = rig.read(y)
        rig.run_all()
        assert rig.ran == ["plus one"]
        assert now(read) == 2
        assert [handle._task.state for handle in handles] == [TaskState.DROPPED, TaskState.DROPPED, TaskState.DONE]
        assert rig.timeline.statistics.dropped == 2

    def test_what_is_overwritten_never_runs(self, rig: Rig) -> None:
        x, y = rig.name(1), rig.name()
        rig.dispatch(rig.work("plus one"), [x], y)
        rig.write(y, 8)
        rig.run_all()
        assert rig.ran == []
        assert now(rig.read(y)) == 8

    def test_the_end_of_dropped_work_is_not_an_error(self, rig: Rig) -> None:
        x, y = rig.name(1), rig.name()
        end = rig.dispatch(rig.work("plus one"), [x], y).finished()
        rig.write(y, 8)
        assert end.done()
        assert end.result() is None

    def test_destroying_the_only_output_drops_the_work(self, rig: Rig) -> None:
        x, y = rig.name(1), rig.name()
        rig.dispatch(rig.work("plus one"), [x], y)
        rig.timeline.destroy_name(y, InvalidStateError("gone"))
        rig.run_all()
        assert rig.ran == []
        assert rig.timeline.statistics.dropped == 1

    def test_cancelling_the_only_read_drops_the_work_with_the_next_call(self, rig: Rig) -> None:
        x, y = rig.name(1), rig.name()
        rig.dispatch(rig.work("plus one"), [x], y)
        read = rig.read(y)
        rig.write(y, 8)
        assert read.cancel()
        rig.timeline.tidy()
        rig.run_all()
        assert rig.ran == []
        assert rig.timeline.statistics.dropped == 1
        assert rig.in_use == 2

    def test_cancelling_one_of_two_reads_leaves_the_other_alone(self, rig: Rig) -> None:
        x, y = rig.name(1), rig.name()
        rig.dispatch(rig.work("plus one"), [x], y)
        first, second = rig.read(y), rig.read(y)
        rig.write(y, 8)
        first.cancel()
        rig.timeline.tidy()
        rig.run_all()
        assert now(second) == 2
        with pytest.raises(CancelledError):
            first.result()

    def test_cancelling_a_read_leaves_a_value_that_has_a_name(self, rig: Rig) -> None:
        x, y = rig.name(1), rig.name()
        rig.dispatch(rig.work("plus one"), [x], y)
        rig.read(y).cancel()
        rig.timeline.tidy()
        rig.run_all()
        assert now(rig.read(y)) == 2

    def test_cancelling_a_run_drops_it(self, rig: Rig) -> None:
        data = np.zeros(rig.shelf.descriptor.shape, np.float32)
        run = rig.timeline.run(rig.work("plus one"), [(rig.shelf, data)], [("y", rig.shelf)])
        run.cancel()
        rig.timeline.tidy()
        rig.run_all()
        assert rig.ran == []
        assert rig.in_use == 0

    def test_cancelling_what_runs_lets_it_end_and_frees_its_result(self, rig: Rig) -> None:
        data = np.zeros(rig.shelf.descriptor.shape, np.float32)
        promises: list[Promise[Any]] = []
        work = rig.work("plus one", lambda a: (promises[0].cancel(), a + 1)[1])
        promises.append(rig.timeline.run(work, [(rig.shelf, data)], [("y", rig.shelf)]))
        rig.run_all()
        assert rig.ran == ["plus one"]
        assert promises[0].cancelled()
        assert rig.in_use == 0

    def test_a_chain_that_nobody_reads_is_dropped_up_to_its_beginning(self, rig: Rig) -> None:
        x, y, z = rig.name(1), rig.name(), rig.name()
        rig.dispatch(rig.work("first"), [x], y)
        rig.dispatch(rig.work("second"), [y], z)
        rig.write(y, 0)
        rig.write(z, 0)
        rig.run_all()
        assert rig.ran == []
        assert rig.timeline.statistics.dropped == 2


# Failure.


class TestFailure:
    def test_the_error_is_raised_where_the_result_is_read(self, rig: Rig) -> None:
        x, y, error = rig.name(1), rig.name(), OperationError("[stem] conv2d: it broke")
        rig.dispatch(rig.work("broken", broken(error)), [x], y)
        read = rig.read(y)
        rig.run_all()
        assert read.exception() is error
        assert rig.read(y).exception() is error

    def test_an_error_that_the_backend_does_not_explain_is_chained(self, rig: Rig) -> None:
        x, y, error = rig.name(1), rig.name(), LookupError("strange")
        rig.dispatch(rig.work("broken", broken(error)), [x], y)
        rig.run_all()
        with pytest.raises(UnknownError, match="the backend failed: LookupError: strange") as caught:
            rig.read(y).result()
        assert caught.value.__cause__ is not None
        assert caught.value.__cause__.__cause__ is error  # behind the error that all readers share

    def test_it_travels_along_values_with_its_cause(self, rig: Rig) -> None:
        x, y, z, error = rig.name(1), rig.name(), rig.name(), OperationError("it broke")
        rig.dispatch(rig.work("broken", broken(error)), [x], y)
        later = rig.dispatch(rig.work("later"), [y], z)
        before, end = rig.read(z), later.finished()
        rig.run_all()
        rig.dispatch(rig.work("much later"), [z], x)
        assert [p.exception() for p in (before, end, rig.read(z), rig.read(x))] == [error] * 4
        assert rig.ran == ["broken"]

    def test_a_run_fails_with_it(self, rig: Rig) -> None:
        data, error = np.zeros(rig.shelf.descriptor.shape, np.float32), OperationError("it broke")
        run = rig.timeline.run(rig.work("broken", broken(error)), [(rig.shelf, data)], [("y", rig.shelf)])
        rig.run_all()
        assert run.exception() is error
        assert rig.in_use == 0

    def test_a_name_can_be_written_again_after_it(self, rig: Rig) -> None:
        x, y = rig.name(1), rig.name()
        rig.dispatch(rig.work("broken", broken(OperationError("it broke"))), [x], y)
        rig.run_all()
        rig.write(y, 5)
        rig.dispatch(rig.work("fine"), [y], x)
        rig.run_all()
        assert now(rig.read(x)) == 6

    def test_other_work_goes_on(self, rig: Rig) -> None:
        x, y, z = rig.name(1), rig.name(), rig.name()
        rig.dispatch(rig.work("broken", broken(OperationError("it broke"))), [x], y)
        rig.dispatch(rig.work("fine"), [x], z)
        rig.run_all()
        assert now(rig.read(z)) == 2

    def test_it_gives_every_buffer_back(self, rig: Rig) -> None:
        x, y, z = rig.name(1), rig.name(), rig.name()
        rig.dispatch(rig.work("broken", broken(OperationError("it broke"))), [x], y)
        rig.dispatch(rig.work("later"), [y], z)
        rig.run_all()
        assert rig.in_use == 1  # x
        assert rig.timeline.statistics.queued == 0

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_not_even_an_exit_in_a_backend_ends_a_lane(self, rig: Rig, kind: type[BaseException]) -> None:
        x, y = rig.name(1), rig.name()
        rig.dispatch(rig.work("broken", broken(kind())), [x], y)
        try:
            rig.run_all()
        except BaseException as error:
            raise AssertionError("a thread lane would have ended here") from error
        assert isinstance(rig.read(y).exception(), UnknownError)

    @pytest.mark.parametrize("kind", [SystemExit, asyncio.CancelledError])
    @pytest.mark.parametrize("fails", [False, True])
    def test_nor_does_one_in_a_callback_which_keeps_nobody_waiting(
        self, rig: Rig, kind: type[BaseException], fails: bool, error_log: ErrorLog
    ) -> None:
        def interrupt(_: object) -> None:
            raise kind

        x, y, z = rig.name(1), rig.name(), rig.name()
        work = rig.work("y", broken(ValueError())) if fails else rig.work("y")
        rig.dispatch(work, [x], y)
        reads = [rig.read(y) for _ in range(3)]
        reads[0].add_done_callback(interrupt)
        rig.dispatch(rig.work("z"), [x], z)
        rig.run_all()
        assert all(read.done() for read in [*reads, rig.read(z)])
        (record,) = error_log.records
        assert record.getMessage() == "a lane was interrupted"
        error_log.records.clear()

    def test_an_error_that_cannot_be_printed_is_an_error_of_the_read(self, rig: Rig) -> None:
        class UnprintableError(Exception):
            def __str__(self) -> str:
                raise RuntimeError("no text")

        x, y = rig.name(1), rig.name()
        rig.dispatch(rig.work("broken", broken(UnprintableError())), [x], y)
        read = rig.read(y)
        try:
            rig.run_all()
            assert isinstance(read.exception(timeout=0), UnknownError)
        finally:
            read.cancel()


# Compilations.


class TestCompilations:
    def test_work_queues_behind_its_compilation(self, rig: Rig) -> None:
        x, y, work = rig.name(1), rig.name(), rig.work("plus one", compiled=False)
        rig.dispatch(work, [x], y)
        rig.write(x, 50)
        read = rig.read(y)
        assert not rig.step()
        assert not read.done()
        rig.compile(work)
        rig.run_all()
        assert now(read) == 2

    def test_a_failed_compilation_fails_what_is_queued_and_what_comes_later(self, rig: Rig) -> None:
        x, y, z, work = rig.name(1), rig.name(), rig.name(), rig.work("plus one", compiled=False)
        rig.dispatch(work, [x], y)
        rig.dispatch(rig.work("behind"), [y], z)
        reads, error = [rig.read(y), rig.read(z)], OperationError("no such kernel")
        rig.compile(work, error)
        assert [read.exception() for read in reads] == [error, error]
        end = rig.dispatch(work, [x], y).finished()
        assert end.exception() is error
        assert rig.in_use == 1

    def test_what_waits_for_a_compilation_can_be_dropped(self, rig: Rig) -> None:
        x, y, work = rig.name(1), rig.name(), rig.work("plus one", compiled=False)
        rig.dispatch(work, [x], y)
        rig.write(y, 3)
        rig.compile(work)
        rig.run_all()
        assert rig.ran == []

    def test_a_thread_that_blocks_for_a_result_is_woken_by_the_compilation(self) -> None:
        rig = Rig(threads=1)
        x, y, work = rig.name(1), rig.name(), rig.work("plus one", compiled=False)
        rig.dispatch(work, [x], y)
        read, got = rig.read(y), list[float]()
        thread = threading.Thread(target=lambda: got.append(number_in(read.result())))
        thread.start()
        while not read._callbacks:
            pass
        rig.compile(work)
        thread.join()
        assert got == [2]
        rig.end()


def test_statistics_count_what_has_happened(rig: Rig) -> None:
    x, y, work = rig.name(1), rig.name(), rig.work("plus one")
    rig.dispatch(work, [x], y)
    rig.dispatch(work, [x], y)
    assert (rig.timeline.statistics.queued, rig.timeline.statistics.dropped) == (1, 1)
    rig.run_all()
    statistics = rig.timeline.statistics
    assert (statistics.queued, statistics.running, statistics.run_inline, statistics.run_on_lanes) == (0, 0, 0, 1)


def test_a_forgotten_timeline_is_freed() -> None:
    rig = Rig()
    x, y = rig.name(1), rig.name()
    rig.dispatch(rig.work("plus one"), [x], y)
    rig.run_all()
    promise = rig.read(y)
    assert now(promise) == 2
    reference = weakref.ref(rig.timeline)
    del rig, promise
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("what", ["a run", "a read of pending work", "the end of work", "a read"])
def test_a_promise_that_a_finalizer_of_a_cycle_waits_for_settles(rig: Rig, what: str) -> None:
    x, y = rig.name(1), rig.name()
    end = rig.dispatch(rig.work("plus one"), [x], y).finished
    data = np.ones(rig.shelf.descriptor.shape, np.float32)
    makers: dict[str, Callable[[], Promise[Any]]] = {
        "a run": lambda: rig.timeline.run(rig.work("run"), [(rig.shelf, data)], [("y", rig.shelf)]),
        "a read of pending work": lambda: rig.read(y),
        "the end of work": end,
        "a read": lambda: rig.read(x),
    }
    found: list[BaseException | None] = []

    class Waits:
        def __init__(self) -> None:
            self.promise = makers[what]()
            self.itself = self

        def __del__(self) -> None:
            found.append(self.promise.exception(timeout=2))

    Waits()
    gc.collect()
    (error,) = found
    if what == "a read":  # whose value is there
        assert error is None
    else:
        assert isinstance(error, InvalidStateError)
        assert "when the garbage collector freed" in str(error)
    rig.run_all()
    assert now(rig.read(y)) == 2


@pytest.mark.parametrize("begun", [False, True], ids=["queued", "begun"])
def test_work_that_is_dropped_leaves_nothing_to_the_garbage_collector(begun: bool) -> None:
    rig = Rig()
    work = rig.endable("work", lambda x: given_up() + x if begun else x)
    x, y, z = rig.name(1), rig.name(), rig.name()
    rig.dispatch(work, [x], y)
    rig.dispatch(rig.work("reader"), [y], z)
    values = [weakref.ref(name.value) for name in (y, z) if name.value is not None]

    def given_up() -> int:
        rig.write(y, 2)
        rig.write(z, 3)
        return 0

    gc.disable()
    try:
        rig.run_all() if begun else given_up()
        assert rig.timeline.statistics.dropped == 2
        assert [value() for value in values] == [None, None]
    finally:
        gc.enable()
