"""Destroying a name or the timeline leaves nothing pending and gives everything back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.stepped import LOST, Rig, now
from webnn.errors import ContextLostError, InvalidStateError
from webnn.scheduler.promise import PENDING, Promise
from webnn.scheduler.task import TaskState


class TestDestroyingAName:
    def test_its_pending_reads_are_rejected(self, rig: Rig) -> None:
        x, y, error = rig.name(1), rig.name(), InvalidStateError("the tensor was destroyed")
        rig.dispatch(rig.work("plus one"), [x], y)
        reads = [rig.read(y), rig.read(y)]
        rig.timeline.destroy_name(y, error)
        assert [read.exception() for read in reads] == [error, error]
        rig.timeline.tidy()
        rig.run_all()
        assert rig.ran == []
        assert rig.in_use == 1

    def test_reads_of_what_is_there_are_rejected_until_they_have_settled(self, rig: Rig) -> None:
        x, error = rig.name(1), InvalidStateError("the tensor was destroyed")
        settled, unsettled = rig.read(x), rig.read(x)
        assert now(settled) == 1
        rig.timeline.destroy_name(x, error)
        assert unsettled.exception() is error
        assert now(settled) == 1

    def test_work_that_was_queued_with_it_goes_on(self, rig: Rig) -> None:
        x, y = rig.name(1), rig.name()
        rig.dispatch(rig.work("plus one"), [x], y)
        rig.timeline.destroy_name(x, InvalidStateError("gone"))
        rig.run_all()
        assert now(rig.read(y)) == 2
        assert rig.in_use == 1

    def test_destroying_an_output_while_it_is_made_frees_it_afterwards(self, rig: Rig) -> None:
        x, y, error = rig.name(1), rig.name(), InvalidStateError("the tensor was destroyed")

        def destroys(a: Any) -> Any:
            rig.timeline.destroy_name(y, error)
            return a

        rig.dispatch(rig.work("destroys", destroys), [x], y)
        read = rig.read(y)
        rig.run_all()
        assert read.exception() is error
        assert rig.in_use == 1


class TestDestroying:
    def everything(self, rig: Rig) -> list[Promise[Any]]:
        """Promises of every kind, none of them settled."""
        x, y, z = rig.name(1), rig.name(), rig.name()
        data = np.zeros(rig.shelf.descriptor.shape, np.float32)
        uncompiled = rig.work("uncompiled", compiled=False)
        first = rig.dispatch(rig.work("first"), [x], y)
        promises: list[Promise[Any]] = [
            rig.read(x),  # of what is there
            rig.read(y),
            rig.read(y, np.zeros(rig.shelf.descriptor.shape, np.float32)),
            first.finished(),
            rig.dispatch(rig.work("second"), [y], z).finished(),
            rig.read(z),
            rig.timeline.run(rig.work("run"), [(rig.shelf, data)], [("y", rig.shelf)]),
            rig.timeline.run(uncompiled, [(rig.shelf, data)], [("y", rig.shelf)]),
            rig.dispatch(uncompiled, [y], rig.name()).finished(),
        ]
        promises.append(promises[1].then(str))
        assert all(promise._status is PENDING for promise in promises)
        return promises

    def test_nothing_is_left_pending(self, rig: Rig) -> None:
        promises = self.everything(rig)
        rig.end()
        assert all(isinstance(promise.exception(timeout=0), ContextLostError) for promise in promises)
        assert rig.timeline.statistics.queued == 0
        rig.run_all()
        assert rig.ran == []

    def test_every_buffer_that_no_name_holds_goes_back(self, rig: Rig) -> None:
        x, y = rig.name(1), rig.name()
        data = np.zeros(rig.shelf.descriptor.shape, np.float32)
        rig.dispatch(rig.work("first"), [x], y)
        run = rig.timeline.run(rig.work("run"), [(rig.shelf, data)], [("y", rig.shelf)])
        assert rig.in_use == 2
        rig.end()
        assert rig.in_use == 1
        assert rig.pool.info().idle == 0
        assert run.done()
        rig.timeline.destroy_name(x, InvalidStateError("gone"))
        assert rig.in_use == 0

    def test_what_runs_ends_and_its_waiters_are_told_at_once(self, rig: Rig) -> None:
        x, y, seen = rig.name(1), rig.name(), list[object]()

        def destroy(a: Any) -> Any:
            rig.end()
            seen.extend(promise.exception(timeout=0) for promise in promises)
            return a + 1

        handle = rig.dispatch(rig.work("destroys", destroy), [x], y)
        promises: list[Promise[Any]] = [rig.read(y), handle.finished()]
        assert rig.step()
        assert [str(error) for error in seen] == [str(LOST)] * 2
        assert handle._task.state is TaskState.DONE
        assert rig.timeline.statistics.running == 0

    @pytest.mark.parametrize("call", ["write", "dispatch", "read", "run"])
    def test_afterwards_every_call_says_so_and_keeps_nothing(self, rig: Rig, call: str) -> None:
        x, y, work = rig.name(1), rig.name(), rig.work("plus one")
        data = np.zeros(rig.shelf.descriptor.shape, np.float32)
        rig.end()
        calls: dict[str, Callable[[], object]] = {
            "write": lambda: rig.write(x, 2),
            "dispatch": lambda: rig.dispatch(work, [x], y),
            "read": lambda: rig.read(x),
            "run": lambda: rig.timeline.run(work, [(rig.shelf, data)], [("y", rig.shelf)]),
        }
        with pytest.raises(ContextLostError, match="a test said so") as caught:
            calls[call]()
        assert caught.value is not LOST  # each caller has one of its own, with its own traceback
        assert rig.in_use == 1

    def test_destroying_twice_is_fine(self, rig: Rig) -> None:
        rig.end()
        rig.timeline.shutdown.destroy(ContextLostError("again"))
        with pytest.raises(ContextLostError, match="a test said so"):
            rig.read(rig.name())

    def test_a_callback_on_a_lane_may_destroy(self) -> None:
        rig = Rig(threads=1)
        x, y, done = rig.name(1), rig.name(), threading.Event()

        def destroy(_: object) -> None:
            rig.end()
            done.set()

        rig.dispatch(rig.work("plus one"), [x], y)
        rig.read(y).add_done_callback(destroy)
        assert done.wait(5)

    def test_awaiting_a_dispatch_afterwards_does_not_wait(self) -> None:
        rig = Rig(max_queued=1)
        x, work = rig.name(1), rig.work("plus one")
        outputs = [rig.name() for _ in range(4)]
        handles = [rig.dispatch(work, [x], name) for name in outputs]
        rig.end()
        with pytest.raises(StopIteration):
            handles[0].__await__().send(None)
