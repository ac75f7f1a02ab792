"""Programs that write, dispatch, run and read."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from tests.interrupt_programs.base import Base
from tests.interrupts import Interrupt
from tests.stepped import CHEAP, broken
from webnn.errors import InvalidStateError, MLError, OperationError
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.scheduler.direct import LARGE as LARGE_INPUT
from webnn.scheduler.direct import run_here
from webnn.scheduler.plan import Calls
from webnn.scheduler.statistics import EXACT, FULL
from webnn.scheduler.task import MergedWork
from webnn.scheduler.width import Widths

__all__ = ["Dispatches"]


class Dispatches(Base):
    def round_trips(self) -> None:
        rig = self.rig
        for _ in range(3):
            rig.dispatch(self.cheap, [self.x], self.x)
        self.keep(rig.read(self.x)).done()
        for cost in (CHEAP // 2, CHEAP // 10, CHEAP * 2):  # of works that take CHEAP
            rig.dispatch(rig.work("measured", cost=cost, nanoseconds=CHEAP), [self.x], self.y)
            self.keep(rig.read(self.y)).done()
        for work in (self.cheap, self.dear):
            rig.write(self.x, 2)
            handle = rig.dispatch(work, [self.x], self.y)
            read = self.keep(rig.read(self.y))
            self.keep(handle.finished())
            rig.run_all()
            read.done()
            read.result()
        rig.timeline.statistics  # noqa: B018

    def one_by_one(self) -> None:
        """Cheap tasks that run alone: with memory that they were given, and without memory."""
        rig, allocator = self.rig, self.rig.pool.allocator
        calls = Calls([([self.x], [self.y])])
        plan = calls.plan((read, made, [rig.shelf]) for read, made in calls.values)
        for _ in range(3):
            self.keep(rig.timeline.replay(plan, [self.cheap]).finished()).done()

        def allocate(size: int) -> Any:
            raise MemoryError(size)

        rig.dispatch(self.cheap, [self.x], self.z)
        rig.dispatch(self.cheap, [self.z], rig.name())
        read = self.keep(rig.read(self.z))
        rig.pool.trim()
        allocator.allocate = allocate  # type: ignore[method-assign]
        try:
            read.done()
        finally:
            del allocator.allocate
        rig.dispatch(self.cheap, [self.x], self.z)

    def chains(self) -> None:
        rig = self.rig
        for _ in range(3):
            rig.dispatch(self.cheap, [self.x], self.y)
            rig.dispatch(self.cheap, [self.y], self.x)
        rig.dispatch(self.dear, [self.x, self.y], self.z)
        rig.dispatch(self.cheap, [self.z], self.y)
        reads = [self.keep(rig.read(name)) for name in (self.x, self.y, self.z)]
        for read in reads:
            read.done()
        rig.run_all()
        reads[1].result()
        rig.dispatch(self.cheap, [self.x], self.y)
        rig.dispatch(self.cheap, [self.y, self.y], self.z)  # two inputs of one task
        rig.dispatch(self.cheap, [self.z], self.x)
        self.keep(rig.read(self.x)).done()

    def runs(self) -> None:
        for work in (self.cheap, self.dear):
            self.run(work).result()
            self.run(work).cancel()
            given_up = self.run(work)
            self.promises.pop()
            del given_up
            self.run(work)
        array = self.run(self.dear).result()["y"]
        self.promises.pop()
        del array
        self.rig.timeline.tidy()
        self.rig.run_all()

    def alone(self) -> None:
        """Runs without a task: with what they must not wait for, with large inputs, that fail, and at the end."""
        rig, shelf = self.rig, self.rig.shelf
        large = rig.pool.shelf(MLOperandDescriptor("float32", [LARGE_INPUT // 4 + 1]))
        feeds = [(shelf, self.data()), (large, np.ones(large.descriptor.shape, np.float32))]

        def run(work: Any, feeds: Any = feeds) -> Any:
            with contextlib.suppress(MLError):
                return run_here(rig.timeline, work, feeds, [("y", shelf)])

        def meanwhile(a: Any, b: Any) -> Any:
            run(self.cheap, feeds[:1])  # refused, if this run is wide
            self.run(self.dear)
            return a + b[0]

        def interrupt(*_: object) -> Any:
            raise Interrupt

        def end(a: Any) -> Any:
            rig.end()
            return a

        busy = rig.work("busy", meanwhile)
        shared = rig.work("shared", meanwhile)
        shared.widths = Widths(lambda _: self.told.append("narrow"))
        bad = rig.work("bad", broken(ValueError("strange")))
        bad.widths = Widths(lambda _: None)
        cut_off = rig.work("cut off", interrupt)
        last = rig.work("last", end)
        for work in (busy, shared, bad, self.cheap):
            for _ in range(2):
                result = run(work, feeds[:1] if work is self.cheap else feeds)
                if work is not bad:
                    rig.run_all()
                del result
        with rig.timeline.width.piece(), rig.timeline.width.piece():
            run(shared)
        rig.timeline._renaming.running.add(next(iter(rig.dispatch(self.dear, [self.x], self.z)._task for _ in "1")))
        rig.run_all()
        rig.dispatch(self.dear, [self.x], self.y)
        assert run(self.cheap, feeds[:1]) is None
        rig.run_all()
        with contextlib.suppress(Interrupt):
            run(cut_off)
        run(last, feeds[:1])

    def reads(self) -> None:
        rig, out = self.rig, self.data(0)
        self.keep(rig.read(self.x, out))
        for _ in range(20):
            self.keep(rig.read(self.x))
        rig.timeline.inline.settle_unasked()
        rig.dispatch(self.dear, [self.x], self.y)
        self.keep(rig.read(self.y, out))
        self.keep(rig.read(self.y)).cancel()
        rig.run_all()
        rig.timeline.destroy_name(self.y, InvalidStateError("gone"))
        rig.timeline.destroy_name(self.z, InvalidStateError("gone"))
        unread = rig.name()
        self.keep(rig.read(unread))
        rig.timeline.destroy_name(unread, InvalidStateError("gone"))

    def fetched(self) -> None:
        """Values are in the memory of a device, and lanes read them."""
        rig = self.rig
        read = self.keep(rig.read(self.x))
        read.done()
        rig.run_all()
        self.keep(rig.read(self.x)).add_done_callback(self.told.append)
        for _ in range(20):
            self.keep(rig.read(self.x))
        rig.timeline.inline.settle_unasked()
        rig.dispatch(self.cheap, [self.x], self.y)
        self.keep(rig.read(self.y)).done()
        rig.run_all()
        read.result()
        rig.pool.info()

    def replays(self) -> None:
        rig, (x, y, z) = self.rig, (self.x, self.y, self.z)
        unwritten = rig.name()
        calls = Calls([([x, unwritten], [y]), ([y], [z]), ([y], [x]), ([x], [y])])
        plan = calls.plan((read, made, [rig.shelf]) for read, made in calls.values)
        for work in (self.cheap, self.dear, rig.work("bad", broken(OperationError("it broke")))):
            rig.read(x)  # its promise is freed at once
            handle = rig.timeline.replay(plan, [self.cheap, self.dear, self.cheap, work])
            end = self.keep(handle.finished())
            self.keep(handle.finished()).add_done_callback(self.told.append)
            self.keep(rig.read(y)).done()
            end.done()
            with contextlib.suppress(TimeoutError, OperationError):
                end.result(timeout=0)
            rig.run_all()
            with contextlib.suppress(OperationError):
                self.keep(handle.finished()).result()
            with contextlib.suppress(OperationError):
                self.keep(rig.timeline.replay(plan, [self.cheap] * 4).finished()).result()
            rig.write(x, 1)
            repr(handle)

    def figures(self) -> None:
        rig = self.rig
        rig.timeline.statistics  # noqa: B018
        work = rig.work("counted", cost=CHEAP)
        work.figures.times += [0] * (FULL - 3)
        rig.dispatch(work, [self.x], self.y)
        self.keep(rig.read(self.y)).done()
        assert len(work.figures.times) in (0, FULL - 3)
        work.figures.runs = EXACT
        rig.dispatch(work, [self.x], self.y)
        self.keep(rig.read(self.y)).done()
        graph = rig.timeline.statistics.graphs[-1]
        run = graph.run
        assert graph.runs
        assert run.median <= run.p90 <= run.p99
        run.percentile(101)
        rig.timeline.count_drops("late", 2)
        merged = MergedWork(rig.shelf.size, work.figures, 2)
        merged.executable = work.executable
        rig.dispatch(merged, [self.x], self.y)
        rig.run_all()
        self.keep(rig.read(self.y)).done()
