"""Many threads on one timeline, with lanes that are threads."""

from __future__ import annotations

import threading
from concurrent import futures
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.stepped import LARGE, SMALL, Rig, number_in
from webnn.errors import ContextLostError, InvalidStateError, OperationError
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.memory.pool import Shelf
from webnn.scheduler.promise import Promise


class TestThreads:
    @pytest.mark.parametrize("lanes", [1, 3])
    def test_many_threads_use_one_timeline_at_once(self, lanes: int) -> None:
        rig = Rig(threads=lanes)
        shared, errors = rig.name(1000), list[BaseException]()
        add, twice = rig.work("add"), rig.work("twice", lambda a: a * 2)

        def use(seed: int) -> None:
            try:
                x, y = rig.name(), rig.name()
                for i in range(30):
                    rig.write(x, seed + i)
                    rig.dispatch(add, [x, shared], y)
                    first = rig.read(y)
                    rig.dispatch(twice, [y], y)
                    expected = seed + i + 1001
                    assert number_in(rig.read(y).result()) == 2 * expected
                    assert number_in(first.result()) == expected
                for name in (x, y):
                    rig.timeline.destroy_name(name, InvalidStateError("gone"))
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=use, args=(100 * i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert rig.in_use == 1
        statistics = rig.timeline.statistics
        assert (statistics.queued, statistics.running) == (0, 0)
        assert statistics.run_inline + statistics.run_on_lanes + statistics.dropped == 240
        rig.end()

    @pytest.mark.parametrize("way", ["result", "exception", "as_completed"])
    def test_a_callback_on_a_lane_can_wait_with_a_timeout(self, way: str) -> None:
        rig = Rig(threads=2)
        add, waited, told = rig.work("add"), list[Any](), threading.Event()
        x, y = rig.name(1), rig.name()

        def wait(_: Promise[Any]) -> None:
            rig.dispatch(add, [x, x], y)
            read: Any = rig.read(y)
            try:
                if way == "as_completed":
                    waited.extend(futures.as_completed([read], timeout=5))
                else:
                    getattr(read, way)(timeout=5)
                    waited.append(read)
            finally:
                told.set()

        rig.dispatch(add, [x, x], y)
        rig.read(y).add_done_callback(wait)
        assert told.wait(10)
        assert [number_in(read.result()) for read in waited] == [3]
        rig.end()

    @pytest.mark.parametrize("timeout", [None, 5])
    @pytest.mark.parametrize("descriptor", [SMALL, LARGE])
    @pytest.mark.parametrize("inline_limit", [0, 10_000])
    def test_a_callback_can_wait_for_what_its_own_task_has_made(
        self, inline_limit: float, descriptor: MLOperandDescriptor, timeout: float | None
    ) -> None:
        rig = Rig(threads=1, inline_limit=inline_limit, descriptor=descriptor)
        x, y = rig.name(1), rig.name()
        handle = rig.dispatch(rig.work("add", cost=500), [x, x], y)
        end, first, second = handle.finished(), rig.read(y), rig.read(y)
        waited: futures.Future[Any] = futures.Future()
        # The thread that tells them calls this first. It would tell the other two next.
        end.add_done_callback(lambda _: waited.set_result((first.result(timeout), second.exception(timeout))))
        end.result()
        result, error = waited.result(10)
        assert (number_in(result), error) == (3, None)
        rig.end()

    @pytest.mark.parametrize("way", ["result", "result with a timeout", "as_completed"])
    @pytest.mark.parametrize("lanes", [1, 2])
    def test_more_callbacks_than_lanes_can_wait(self, lanes: int, way: str) -> None:
        rig = Rig(threads=lanes)
        add, x = rig.work("add"), rig.name(1)

        def wait(told: futures.Future[float]) -> None:
            y = rig.name()
            rig.dispatch(add, [x, x], y)
            read: Any = rig.read(y)
            if way == "as_completed":
                list(futures.as_completed([read]))
            told.set_result(number_in(read.result(5 if "timeout" in way else None)))

        seen = [futures.Future[float]() for _ in range(20)]
        for told in seen:
            y = rig.name()
            rig.dispatch(add, [x, x], y)
            rig.read(y).add_done_callback(partial(lambda told, _: wait(told), told))
        assert [told.result(10) for told in seen] == [3] * 20
        rig.end()

    def test_no_more_lanes_work_than_before_when_those_that_waited_are_back(self) -> None:
        rig = Rig(threads=2)
        working, most, lock = 0, 0, threading.Lock()

        def count(a: Any, *_: Any) -> Any:
            nonlocal working, most
            with lock:
                working += 1
                most = max(most, working)
            threading.Event().wait(0.002)
            with lock:
                working -= 1
            return a

        work, x = rig.work("count", count), rig.name(1)
        told = [futures.Future[Any]() for _ in range(20)]

        def again(done: futures.Future[Any], _: Any) -> None:
            z = rig.name()
            rig.dispatch(work, [x], z)
            done.set_result(rig.read(z).exception(5))

        for done in told:
            y = rig.name()
            rig.dispatch(work, [x], y)
            rig.read(y).add_done_callback(partial(again, done))
        assert [done.result(10) for done in told] == [None] * 20
        assert most == 2
        rig.end()

    def test_a_callback_can_wait_for_the_next_task_of_its_chain(self) -> None:
        rig = Rig(threads=1, inline_limit=10_000)
        x, y, z = rig.name(1), rig.name(), rig.name()
        rig.dispatch(rig.work("first", cost=500), [x], y)
        rig.dispatch(rig.work("second", cost=500), [y], z)
        first, second, told = rig.read(y), rig.read(z), futures.Future[Any]()
        first._listen(lambda _: told.set_result(second.result(5)))  # so that it is no reason to use a lane
        assert number_in(second.result()) == 3
        assert number_in(told.result(5)) == 3
        rig.end()

    def test_one_that_blocks_is_woken_by_the_lane_that_has_begun(self) -> None:
        rig = Rig(threads=1)

        def held_up(a: Any) -> Any:
            started.set()
            assert gate.wait(5)
            return a + 1

        started, gate = threading.Event(), threading.Event()
        x, y, z = rig.name(1), rig.name(), rig.name()
        rig.dispatch(rig.work("slow", held_up), [x], y)
        rig.dispatch(rig.work("behind"), [y], z)
        assert started.wait(5)
        read, got = rig.read(z), list[float]()
        thread = threading.Thread(target=lambda: got.append(number_in(read.result())))
        thread.start()
        while not read._callbacks:
            pass
        gate.set()
        thread.join()
        assert got == [3]
        rig.end()

    @pytest.mark.parametrize("how", ["waits", "leaves a callback", "was about to run it"])
    def test_what_waits_for_a_run_on_another_threads_time_goes_on_when_that_ends(self, how: str) -> None:
        rig = Rig(threads=1, inline_limit=10**9)

        def held_up(a: Any) -> Any:
            started.set()
            assert gate.wait(5)
            return a + 1

        started, gate, told = threading.Event(), threading.Event(), threading.Event()
        x, y, z = rig.name(1), rig.name(), rig.name()
        rig.dispatch(rig.work("held up", held_up, cost=1), [x], y)
        first = rig.read(y)
        rig.dispatch(rig.work("behind", cost=1), [y], z)
        behind = rig.read(z)
        other = threading.Thread(target=first.result)
        if how == "was about to run it":
            inline = rig.timeline.inline
            run = inline._run

            def run_late(*args: Any) -> int:
                if other.ident is None:
                    other.start()
                    assert started.wait(5)
                return run(*args)

            inline._run = run_late  # type: ignore[method-assign, assignment]
        else:
            other.start()
            assert started.wait(5)
        if how == "leaves a callback":
            behind.add_done_callback(lambda _: told.set())
        else:

            def wait() -> None:
                behind.exception(5)
                told.set()

            threading.Thread(target=wait).start()
            while not behind._callbacks:
                pass
        gate.set()
        other.join()
        assert told.wait(5)
        assert number_in(behind.result()) == 3
        rig.end()

    def test_a_callback_needs_neither_an_event_loop_nor_anybody_who_asks(self) -> None:
        rig = Rig(threads=1, inline_limit=10**9)
        told = threading.Event()
        x, y = rig.name(1), rig.name()
        rig.dispatch(rig.work("cheap", cost=1), [x], y)
        rig.read(y).then(number_in).add_done_callback(lambda _: told.set())
        assert told.wait(5)
        told.clear()
        rig.read(y).add_done_callback(lambda _: told.set())  # of a value that is there
        assert told.is_set()
        rig.end()

    def test_one_who_comes_second_to_a_read_whose_value_is_gone_by_then_just_sees_it_settled(self) -> None:
        rig = Rig(descriptor=SMALL)
        x = rig.name(1)
        read: Any = rig.read(x)
        source = read._source

        class Late:  # the view is asked for when another thread has settled the read, and the value is overwritten
            error = None

            @property
            def view(self) -> Any:
                source.value = value
                source.deliver(read)
                rig.dispatch(rig.work("over it"), [], x)
                assert value.view is None
                return value.view

        value = source.value
        source.value = Late()
        source.deliver(read)
        assert number_in(read.result()) == 1
        rig.end()

    def test_of_two_threads_that_deliver_a_read_the_slower_one_takes_nothing_back(self) -> None:
        rig = Rig()
        x = rig.name(1)
        read: Any = rig.read(x)
        host_array, array = rig.timeline.host_array, list[Any]()

        def slow(view: Any) -> Any:
            rig.timeline.host_array = host_array
            array.append(read.result())  # another thread is faster
            return host_array(view)

        rig.timeline.host_array = slow
        read._source.deliver(read)
        rig.write(x, 2)
        rig.timeline.tidy()
        for _ in range(3):
            rig.write(x, 3)
        assert number_in(array.pop()) == 1
        rig.end()

    def test_a_thread_that_waits_between_an_executable_and_its_news_goes_to_sleep(self) -> None:
        rig = Rig(threads=1)
        x, y = rig.name(1), rig.name()
        work = rig.work("new", compiled=False)
        rig.dispatch(work, [x], y)
        work.executable = rig._uncompiled[work]
        read = rig.read(y)
        thread = threading.Thread(target=read.result)
        thread.start()
        for _ in range(10**6):
            if read._callbacks:
                break
        asleep = bool(read._callbacks)
        rig.compile(work)
        thread.join()
        assert asleep
        assert number_in(read.result()) == 2
        rig.end()

    def test_runs_on_several_threads_cannot_promise_the_same_memory_twice(self) -> None:
        rig = Rig(budget=3 * Rig().size)
        work, copy_of = rig.work("run"), rig.timeline._new.copy_of
        data = np.zeros(LARGE.shape, np.float32)

        def run() -> Promise[Any]:
            return rig.timeline.run(work, [(rig.shelf, data)], [("y", rig.shelf)])

        def another_comes_between(array: Any, shelf: Shelf) -> Any:
            rig.timeline._new.copy_of = copy_of  # type: ignore[method-assign]
            others.append(run())
            return copy_of(array, shelf)

        others = list[Promise[Any]]()
        rig.timeline._new.copy_of = another_comes_between  # type: ignore[method-assign, assignment]
        with pytest.raises(OperationError, match="budget"):
            run()
        rig.run_all()
        assert number_in(others.pop().result()["y"]) == 1
        assert rig.in_use == 0
        rig.end()

    def test_a_call_that_exceeds_the_budget_still_tells_whose_dispatch_was_dropped(self) -> None:
        rig = Rig(budget=2 * Rig().size)
        x, y = rig.name(1), rig.name()
        finished = rig.dispatch(rig.work("dropped"), [x], y).finished()
        value, y.value = y.value, None  # forgotten
        assert value is not None
        rig.timeline.discard(value)
        with pytest.raises(OperationError, match="budget"):
            rig.dispatch(rig.work("too much", outputs=3), [x], [rig.name() for _ in range(3)])
        assert finished.done()
        rig.end()

    @pytest.mark.parametrize("what", ["a tensor", "the context"])
    def test_something_is_destroyed_while_other_work_ends(self, what: str) -> None:
        rig = Rig(lanes=2)
        live = rig.timeline._renaming.live

        class Waiters(list[Any]):
            """While a thread looks at them, another one has told the waiters of the task behind."""

            def __iter__(self) -> Any:
                if last in live:
                    del live[last]
                return super().__iter__()

        def destroy(x: Any) -> Any:
            first.waiters = Waiters(first.waiters)
            if what == "a tensor":
                rig.timeline.destroy_name(y, InvalidStateError("gone"))
            else:
                rig.end()
            done.append(what)
            live[last] = None
            return x

        done: list[str] = []
        x, y, z = rig.name(1), rig.name(), rig.name()
        rig.dispatch(rig.work("first", lambda x: rig.step(1) + x), [x], y)
        read = rig.read(y)
        rig.dispatch(rig.work("last", destroy), [x], z)
        end = rig.read(z)
        first, last = live
        rig.run_all()
        assert isinstance(read.exception(), InvalidStateError if what == "a tensor" else ContextLostError)
        assert end.done()
        assert done == [what]
