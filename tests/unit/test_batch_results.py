"""Who tells the results of a batch, and when: other lanes beside the next batch, and event loops by one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent import futures
from functools import partial
from typing import Any

import pytest

from tests.crowd import Crowd, results
from tests.scripted import eventually
from tests.stepped import LARGE, LOST, now, number_in
from webnn.errors import ContextLostError
from webnn.scheduler.bridge import Waiter
from webnn.scheduler.promise import Promise
from webnn.scheduler.width import Width


class Following:
    """Two batches, the second of which gathers while the first one is computed, on lanes that are stepped."""

    def __init__(self, *, lanes: int = 2) -> None:
        self.crowd = crowd = Crowd(lanes=lanes, width=Width(2)).gather()
        self.told: list[float] = []
        """The results of the first batch of which a callback was told."""
        self.late: list[Promise[Any]] = []
        self.seen: list[list[float]] = []
        """What was told when the second batch began, and after a step of the other lane."""
        self.first: list[Promise[Any]] = []
        self.meanwhile: Callable[[], object] = lambda: None
        add_one = crowd.add_one

        def hooked(x: Any) -> Any:
            if not self.late:
                self.late = [crowd.run(number) for number in (10, 20)]
                self.meanwhile()
            else:
                self.seen.append(list(self.told))
                if lanes > 1:
                    crowd.rig.step(1)
                self.seen.append(list(self.told))
            return add_one(x)

        crowd.add_one = hooked  # type: ignore[method-assign]
        crowd.compile(4)
        self.first = [crowd.run(number) for number in (1, 2)]
        for promise in self.first:
            promise.add_done_callback(lambda done: self.told.append(number_in(done.result()["y"])))


def test_the_next_batch_begins_before_the_results_of_the_last_one_are_told_by_another_lane() -> None:
    following = Following()
    following.crowd.rig.step(0)
    assert following.told == []
    following.crowd.rig.run_all()
    assert following.seen == [[], [2, 3]]
    assert results(following.late) == [11, 21]


def test_a_lane_is_added_that_tells_them_where_no_other_one_is_asleep() -> None:
    following = Following(lanes=1)
    following.crowd.rig.run_all()
    assert results(following.late) == [11, 21]
    eventually(lambda: sorted(following.told) == [2, 3])
    following.crowd.rig.end()


@pytest.mark.parametrize("lanes", [1, 2])
def test_callbacks_can_wait_for_the_next_batch(lanes: int) -> None:
    crowd = Crowd(threads=lanes, width=Width(2)).gather()
    crowd.compile(4)
    told = [futures.Future[float]() for _ in range(20)]

    def again(done: futures.Future[float], _: Promise[Any]) -> None:
        done.set_result(number_in(crowd.run(1).result()["y"]))

    for done in told:
        crowd.run(1).add_done_callback(partial(again, done))
    assert [done.result(10) for done in told] == [2] * 20
    crowd.rig.end()


def test_results_do_not_wait_for_other_work_that_comes_before_the_next_batch() -> None:
    following = Following()
    rig = following.crowd.rig
    x = rig.name(1)
    following.meanwhile = lambda: rig.dispatch(rig.work("other"), [x], rig.name())
    rig.step(0)
    assert following.told == [2, 3]


def test_results_are_told_although_the_next_batch_is_given_up() -> None:
    following = Following()
    following.crowd.rig.step(0)
    assert following.told == []
    for promise in following.late:
        promise.cancel()
    following.crowd.rig.timeline.tidy()
    assert following.told == [2, 3]


def test_results_are_told_although_the_context_is_destroyed_before_the_next_batch() -> None:
    following = Following()
    following.crowd.rig.step(0)
    following.crowd.rig.end()
    assert following.told == [2, 3]
    with pytest.raises(ContextLostError, match="a test said so"):
        following.late[0].result()


def test_a_forked_child_abandons_results_that_have_not_been_told() -> None:
    following = Following()
    following.crowd.rig.step(0)
    following.crowd.rig.timeline.shutdown.forked(LOST)
    assert following.told == []
    for promise in (*following.first, *following.late):
        with pytest.raises(ContextLostError, match="a test said so"):
            promise.result()


class HandDrivenLoop:
    """An event loop whose posted calls are run by hand."""

    def __init__(self) -> None:
        self.posted: list[Callable[[], object]] = []


class WaitingTask(Waiter):
    """A task of such a loop that waits; `woken` has how it was woken."""

    def __init__(self, loop: HandDrivenLoop) -> None:
        self.loop = loop
        self.woken: list[str] = []

    def suspend(self) -> Iterable[Any]:
        return ()

    def __call__(self, _: object = None) -> None:
        self.woken.append("from any thread")

    def wake(self) -> None:
        self.woken.append("on its loop")

    def post(self, callback: Callable[[], object]) -> bool:
        self.loop.posted.append(callback)
        return True


def test_the_tasks_of_one_loop_get_the_results_of_a_batch_by_one_call() -> None:
    crowd = Crowd().gather(4)
    loops = [HandDrivenLoop(), HandDrivenLoop()]
    promises = [crowd.run(number) for number in range(4)]
    tasks = [WaitingTask(loops[number == 3]) for number in range(4)]
    for promise, task in zip(promises, tasks, strict=True):
        promise._listen(task)
    crowd.rig.run_all()
    assert [len(loop.posted) for loop in loops] == [1, 1]
    assert [task.woken for task in tasks] == [[], [], [], []]
    loops[0].posted.pop()()
    assert [task.woken for task in tasks] == [["on its loop"]] * 3 + [[]]
    loops[1].posted.pop()()
    assert tasks[3].woken == ["on its loop"]
    assert results(promises) == [1, 2, 3, 4]


def test_a_task_of_another_loop_that_has_come_to_wait_meanwhile_is_not_woken_as_if_it_were_there() -> None:
    crowd = Crowd().gather(4)
    loop, elsewhere = HandDrivenLoop(), HandDrivenLoop()
    promises = [crowd.run(number) for number in range(2)]
    tasks = [WaitingTask(loop), WaitingTask(loop)]
    for promise, task in zip(promises, tasks, strict=True):
        promise._listen(task)
    crowd.rig.run_all()
    late = WaitingTask(elsewhere)
    promises[0]._forget(tasks[0])
    promises[0]._listen(late)
    loop.posted.pop()()
    assert late.woken == ["from any thread"]
    assert tasks[1].woken == ["on its loop"]
    assert tasks[0].woken == []


def test_a_thread_that_begins_to_wait_does_not_depend_on_the_loop_of_another_waiter() -> None:
    crowd = Crowd().gather(4)
    loop = HandDrivenLoop()
    promises = [crowd.run(number) for number in range(2)]
    for promise in promises:
        promise._listen(WaitingTask(loop))
    crowd.rig.run_all()
    assert results(promises) == [1, 2], "although the loop does nothing"
    loop.posted.pop()()
    assert results(promises) == [1, 2]


def test_a_request_that_is_given_up_while_its_results_are_copied_changes_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crowd = Crowd(LARGE).gather(4)
    crowd.rig.run_all()
    allocator = crowd.rig.timeline.allocator
    write = allocator.write
    promises = [crowd.run(number) for number in range(4)]
    others: list[Any] = []

    def meanwhile(view: Any, data: Any) -> None:
        monkeypatch.setattr(allocator, "write", write)
        promises[0].cancel()
        crowd.rig.timeline.tidy()
        others.append(crowd.rig.name(100))  # takes what was given back
        write(view, data)

    split = crowd.batcher.computation._split

    def splitting(*args: Any) -> None:
        monkeypatch.setattr(allocator, "write", meanwhile)
        split(*args)

    monkeypatch.setattr(crowd.batcher.computation, "_split", splitting)
    crowd.rig.run_all()
    assert promises[0].cancelled()
    assert results(promises[1:]) == [2, 3, 4]
    assert [now(crowd.rig.read(name)) for name in others] == [100]
    assert 4 in crowd.batcher.policy.usable, "nothing is wrong with batches of this size"
