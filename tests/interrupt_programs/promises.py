"""Programs with callbacks, futures, deadlines and threads."""

from __future__ import annotations

import concurrent.futures
import contextlib
from typing import Any

import numpy as np

from tests.interrupt_programs.base import Base
from tests.interrupts import Interrupt
from tests.stepped import CHEAP, Rig
from webnn.errors import InvalidStateError, MLError, OperationError
from webnn.scheduler.lane import ThreadLane
from webnn.scheduler.promise import Promise, reject

__all__ = ["Promises"]


class Promises(Base):
    def callbacks(self) -> None:
        rig = self.rig

        def fail(_: object) -> None:
            raise LookupError("a mistake of the callback")

        rig.dispatch(self.dear, [self.x], self.y)
        read = self.keep(rig.read(self.y))
        read.add_done_callback(self.told.append)
        read.add_done_callback(fail)
        derived = self.keep(read.then(lambda array: array + 1))
        self.keep(derived.then(lambda array: array.no_such_attribute))
        read.add_done_callback(self.told.append)
        read.remove_done_callback(self.told.append)
        self.keep(read.then(len)).cancel()
        derived.done()
        derived.add_done_callback(self.told.append)
        rig.run_all()
        self.keep(read.then(len))
        read.add_done_callback(fail)
        cancelled = self.keep(rig.read(self.x))
        self.keep(cancelled.then(len))
        cancelled.cancel()
        repr(cancelled), cancelled.running(), cancelled.cancelled()
        for refused in (bool, len, np.asarray, lambda p: p.set_result(1), lambda p: p.set_exception(ValueError())):
            with contextlib.suppress(TypeError, InvalidStateError):
                refused(read)
        with contextlib.suppress(InvalidStateError):
            read.set_running_or_notify_cancel()
        with contextlib.suppress(concurrent.futures.CancelledError):
            cancelled.exception()
        with contextlib.suppress(concurrent.futures.CancelledError):
            cancelled.result()
        bare: Promise[Any] = self.keep(Promise())
        bare.then(len).add_done_callback(self.told.append)
        with contextlib.suppress(TimeoutError):
            bare.result(timeout=0)
        with contextlib.suppress(InvalidStateError):
            bare.__await__().send(None)
        reject(bare, ValueError("rejected"))
        with contextlib.suppress(ValueError):
            bare.result()

    def futures(self) -> None:
        rig = self.rig
        rig.dispatch(self.cheap, [self.x], self.y)
        rig.dispatch(self.dear, [self.y], self.z)
        reads = [self.keep(rig.read(name)) for name in (self.x, self.y, self.z)]
        reads.append(self.keep(rig.read(self.z)))
        with contextlib.suppress(TimeoutError):
            concurrent.futures.wait(reads, timeout=0)
        reads[3].cancel()
        rig.run_all()
        concurrent.futures.wait(reads)

    def interruptions(self) -> None:
        """Interrupts by the work, a callback and the memory, so that a second one may come during the recovery."""
        rig, timeline = self.rig, self.rig.timeline
        errors = iter([Interrupt, None, ValueError, None, OperationError, None])

        def fail_sometimes(a: Any) -> Any:
            error = next(errors, None)
            if error is not None:
                raise error("made anew, since errors keep frames")
            return a + 1

        def interrupt(*_: object) -> Any:
            raise Interrupt

        sometimes = rig.work("sometimes", fail_sometimes, cost=CHEAP, measured=False)
        for _ in range(3):
            rig.dispatch(sometimes, [self.x], self.y)
            rig.dispatch(self.dear, [self.y], self.z)
            read = self.keep(rig.read(self.z))
            with contextlib.suppress(Interrupt, MLError):
                read.done()
                read.result()
            rig.run_all()
        rig.dispatch(rig.work("late", compiled=False), [self.x], rig.name())
        rig.dispatch(self.cheap, [self.x], self.y)
        read = self.keep(rig.read(self.y))
        read.add_done_callback(interrupt)
        self.keep(read.then(interrupt))
        read.add_done_callback(self.told.append)
        with contextlib.suppress(Interrupt):
            read.done()
        host_array, write, clear = timeline.host_array, timeline.allocator.write, timeline.allocator.clear
        try:
            timeline.host_array = interrupt
            rig.dispatch(self.cheap, [self.x], self.y)
            with contextlib.suppress(Interrupt):
                self.keep(rig.read(self.y)).done()
            timeline.host_array = host_array
            timeline.allocator.write = interrupt  # type: ignore[method-assign, assignment]
            with contextlib.suppress(Interrupt):
                rig.write(rig.name(), 1)
            with contextlib.suppress(Interrupt):
                self.run(self.cheap)
            timeline.allocator.clear = interrupt  # type: ignore[method-assign, assignment]
            with contextlib.suppress(Interrupt):
                self.keep(rig.read(rig.name()))
            with contextlib.suppress(Interrupt):
                rig.dispatch(self.cheap, [rig.name()], self.y)
        finally:
            timeline.host_array = host_array
            timeline.allocator.write = write  # type: ignore[method-assign]
            timeline.allocator.clear = clear  # type: ignore[method-assign]

    def deadlines(self) -> None:
        for timeout in (0.0, 1.0):
            feeds = [(self.rig.shelf, self.data())]
            run = self.keep(self.rig.timeline.run(self.dear, feeds, [("y", self.rig.shelf)], timeout=timeout))
            if timeout == 0:
                run.exception(timeout=5)
        self.rig.run_all()
        run.result()

    def threads(self) -> None:
        """With a lane that is a thread."""
        rig = Rig(threads=1)
        try:
            x, y = rig.name(1), rig.name()
            for _ in range(2):
                rig.dispatch(rig.work("dear"), [x], y)
                reads = [self.keep(rig.read(y)) for _ in range(2)]
                concurrent.futures.wait(reads, timeout=5)
                reads[0].result(timeout=5)
            lane = rig.timeline._workers._lanes[0]
            assert isinstance(lane, ThreadLane)
            lane.call(lambda: None)
        finally:
            try:
                rig.end()
            finally:
                rig.end()
