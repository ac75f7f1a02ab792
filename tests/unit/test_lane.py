"""Lanes call what they are given, elsewhere or when told, and end when they are closed."""

from __future__ import annotations

import gc
import queue
import threading
import weakref
from collections.abc import Callable

from tests.stepped import SteppedLane
from webnn.scheduler.lane import ThreadLane


def counting(times: int, ran: Callable[[], object]) -> Callable[[], bool]:
    """A drain with work for so many calls."""
    left = times

    def drain() -> bool:
        nonlocal left
        if left == 0:
            return False
        left -= 1
        ran()
        return True

    return drain


class TestThreadLane:
    def test_it_has_no_thread_before_there_is_work(self) -> None:
        lane = ThreadLane("webnn-test")
        assert not any(thread.name == "webnn-test" for thread in threading.enumerate())
        lane.close(wait=True)

    def test_it_runs_everything_on_one_other_thread(self) -> None:
        lane, seen = ThreadLane("webnn-test"), queue.SimpleQueue[threading.Thread]()
        lane.wake(counting(3, lambda: seen.put(threading.current_thread())))
        lane.wake(counting(2, lambda: seen.put(threading.current_thread())))
        threads = {seen.get(timeout=5) for _ in range(5)}
        assert len(threads) == 1
        (thread,) = threads
        assert thread is not threading.current_thread()
        assert thread.name == "webnn-test"
        lane.close(wait=True)
        assert not thread.is_alive()
        assert seen.empty()

    def test_it_does_not_keep_the_process(self) -> None:
        lane, seen = ThreadLane("webnn-test"), queue.SimpleQueue[bool]()
        lane.wake(counting(1, lambda: seen.put(threading.current_thread().daemon)))
        assert seen.get(timeout=5)
        lane.close(wait=True)

    def test_while_idle_it_keeps_nothing_alive(self) -> None:
        class Owner:
            def drain(self) -> bool:
                return False

        lane, ran = ThreadLane("webnn-test"), threading.Event()
        owner = Owner()
        lane.wake(owner.drain)
        lane.wake(counting(1, ran.set))
        assert ran.wait(5)
        reference = weakref.ref(owner)
        del owner
        gc.collect()
        assert reference() is None
        lane.close(wait=True)

    def test_closing_lets_what_is_running_end(self) -> None:
        lane, started, go, ended = ThreadLane("webnn-test"), threading.Event(), threading.Event(), threading.Event()

        def work() -> None:
            started.set()
            assert go.wait(5)
            ended.set()

        lane.wake(counting(1, work))
        assert started.wait(5)
        lane.close(wait=False)
        go.set()
        lane.close(wait=True)
        assert ended.is_set()

    def test_waking_a_closed_lane_does_nothing(self) -> None:
        lane, ran = ThreadLane("webnn-test"), threading.Event()
        lane.close(wait=True)
        lane.wake(counting(1, ran.set))
        assert not any(thread.name == "webnn-test" for thread in threading.enumerate())
        assert not ran.is_set()

    def test_it_may_be_closed_from_its_own_thread(self) -> None:
        lane, done = ThreadLane("webnn-test"), threading.Event()

        def close() -> None:
            lane.close(wait=True)
            done.set()

        lane.wake(counting(1, close))
        assert done.wait(5)

    def test_closing_twice_is_fine(self) -> None:
        lane, ran = ThreadLane("webnn-test"), threading.Event()
        lane.wake(counting(1, ran.set))
        assert ran.wait(5)
        lane.close(wait=True)
        lane.close(wait=True)

    def test_many_threads_waking_it_at_once_start_one_thread(self) -> None:
        lane, seen, barrier = ThreadLane("webnn-test"), queue.SimpleQueue[threading.Thread](), threading.Barrier(8)

        def wake() -> None:
            barrier.wait()
            lane.wake(counting(1, lambda: seen.put(threading.current_thread())))

        wakers = [threading.Thread(target=wake) for _ in range(8)]
        for waker in wakers:
            waker.start()
        assert len({seen.get(timeout=5) for _ in wakers}) == 1
        for waker in wakers:
            waker.join()
        lane.close(wait=True)


class TestSteppedLane:
    def test_nothing_runs_until_it_is_stepped(self) -> None:
        lane, ran = SteppedLane(), list[int]()
        lane.wake(counting(2, lambda: ran.append(1)))
        assert ran == []
        assert lane.step()
        assert ran == [1]
        assert lane.step()
        assert not lane.step()
        assert ran == [1, 1]

    def test_a_closed_one_forgets_its_work(self) -> None:
        lane, ran = SteppedLane(), list[int]()
        lane.wake(counting(1, lambda: ran.append(1)))
        lane.close(wait=True)
        assert not lane.step()
        assert ran == []
