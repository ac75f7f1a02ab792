"""Interrupts at every line of the scheduler and the memory leave nothing pending and lose nothing.

A signal handler, above all that of Ctrl-C, raises wherever the main thread happens to be. Here an exception is raised
at each line in turn, in programs that together reach all lines. After each one, every promise settles, the timeline
still works, and every buffer is accounted for.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import linecache
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import numpy as np
import pytest
import trio

import webnn
from tests.interrupts import FOLDERS, Interrupt, Place, interrupted, lines_of, places, undisturbed
from tests.leaks import ErrorLog
from tests.stepped import LARGE, SMALL, DeviceAllocator, Endable, Function, Rig, broken, replaced
from webnn.errors import InvalidStateError, MLError, OperationError
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.in_place import InPlaceOutput
from webnn.memory.guarded import GuardedAllocator
from webnn.memory.mapped import map_file, place_in_file, unmap
from webnn.scheduler.batches.batcher import Batcher
from webnn.scheduler.batches.computation import NARROW, Size
from webnn.scheduler.batching import APART_STILL, SAMPLES
from webnn.scheduler.bridge import current_bridge, current_task
from webnn.scheduler.cores import HOST_RUNS
from webnn.scheduler.crowd import SHORTEST, Crowd
from webnn.scheduler.direct import LARGE as LARGE_INPUT
from webnn.scheduler.direct import run_here
from webnn.scheduler.execution import LONG
from webnn.scheduler.hot_chains import MAX_ENDINGS, MAX_SHAPES, SINGLE, TIMED, HotChains
from webnn.scheduler.lane import ThreadLane
from webnn.scheduler.plan import Calls
from webnn.scheduler.promise import Promise, reject, resolve
from webnn.scheduler.ready import PROBE, PROMPT, PROMPT_LIMIT
from webnn.scheduler.statistics import EXACT, FULL
from webnn.scheduler.task import MergedWork
from webnn.scheduler.trials import ALL, ALONE, BLOCK, ONE, RECENT, RESTING, ROUNDS, SURE
from webnn.scheduler.value import Name
from webnn.scheduler.width import STEADY_RUNS, Width, Widths

LIMIT: Final = 50_000
CHEAP: Final = 1_000

THOROUGH: Final = 10 if os.environ.get("WEBNN_PROPERTY_PROFILE") == "thorough" else 1
"""For each line, the number of times that it is interrupted, besides the last time that it runs."""

SIGNALS: Final = 2000 if os.environ.get("WEBNN_PROPERTY_PROFILE") == "thorough" else 200


class Programs:
    """Programs over one rig. Their promises and tensors are kept here for the checks."""

    def __init__(self, **options: Any) -> None:
        self.rig = Rig(**options)
        self.promises: list[Promise[Any]] = []
        self.x = self.rig.name(1)
        self.y, self.z, self.at = self.rig.name(), self.rig.name(), self.rig.name()
        self.cheap = self.rig.work("cheap", cost=CHEAP, measured=False)
        self.dear = self.rig.work("dear", cost=LIMIT, measured=False)
        self.told: list[object] = []
        self.expected: list[tuple[Promise[Any], Any]] = []
        """Promises, and the arrays that they give if they do not fail."""

    def keep(self, promise: Promise[Any]) -> Promise[Any]:
        self.promises.append(promise)
        return promise

    def data(self, number: float = 3) -> Any:
        descriptor = self.rig.shelf.descriptor
        return np.full(descriptor.shape, number, descriptor.dtype)

    def run(self, work: Any) -> Promise[Any]:
        return self.keep(self.rig.timeline.run(work, [(self.rig.shelf, self.data())], [("y", self.rig.shelf)]))

    # The programs. Each call leaves some state that an interrupt of the next call could damage.

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

    def drops(self) -> None:
        rig = self.rig
        for _ in range(3):
            self.keep(rig.dispatch(self.dear, [self.x], self.y).finished())
        rig.dispatch(self.cheap, [self.y], self.z)
        rig.write(self.y, 1)
        rig.write(self.z, 1)
        rig.dispatch(self.dear, [self.y], [self.x])
        rig.write(self.x, 1)
        rig.run_all()

    def ended(self) -> None:
        """Runs that end early, on a lane and on the caller's thread: cancelled, freed, overwritten, or not begun."""
        rig, give_up = self.rig, list[Callable[[], object]]()

        def meanwhile(a: Any) -> Any:
            while give_up:
                give_up.pop()()
            return a + 1

        long = rig.endable("long", meanwhile)
        give_up.append(self.run(long).cancel)
        rig.run_all()
        held = [self.run(long)]
        self.promises.pop()
        give_up += [rig.timeline.tidy, held.clear]
        rig.run_all()
        rig.dispatch(long, [self.x], self.y)
        give_up.append(partial(rig.write, self.y, 1))
        rig.run_all()
        blocking = self.run(long)
        give_up.append(blocking.cancel)
        with contextlib.suppress(concurrent.futures.CancelledError):
            blocking.result()
        blocking, freed = self.run(long), self.run(long)
        self.promises.pop()
        del freed
        blocking.result()
        rig.run_all()

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

    def made_anew(self) -> None:
        """Replays whose values only their names can reach, and some where others can reach them too."""
        rig, names = self.rig, [self.y, self.z]
        calls = Calls([([self.x], names)])
        plan = calls.plan((read, made, [rig.shelf] * 2) for read, made in calls.values)
        errors = iter([None, None, None, None, OperationError("it broke"), None])

        def split(x: Any) -> Any:
            if (error := next(errors, None)) is not None:
                raise error
            return x + 1, x + 2

        for cost in (CHEAP, PROMPT_LIMIT):
            work = rig.work("split", split, cost=cost, measured=False, outputs=2)
            for _ in range(4):
                rig.timeline.replay(plan, [work])
                rig.timeline.replay(plan, [work])
                read = self.keep(rig.read(self.y))
                read.done()
                rig.run_all()
                with contextlib.suppress(OperationError):
                    read.result()
            rig.timeline.replay(plan, [work])
            rig.run_all()
            rig.write(self.z, 1)
        rig.timeline.replay(plan, [work])
        rig.run_all()
        rig.dispatch(rig.work("bad", broken(OperationError("it broke"))), [self.x], self.x)
        rig.run_all()
        rig.timeline.replay(plan, [work])
        self.keep(rig.read(self.z)).exception()
        rig.write(self.x, 1)

    def failures(self) -> None:
        rig = self.rig
        for cost in (CHEAP, LIMIT):
            for error in (OperationError("it broke"), ValueError("strange")):
                rig.dispatch(rig.work("broken", broken(error), cost=cost), [self.x], self.y)
                rig.dispatch(self.cheap, [self.y], self.z)
                read = self.keep(rig.read(self.z))
                rig.run_all()
                read.exception()
                with contextlib.suppress(MLError):
                    read.result()
                rig.dispatch(self.cheap, [self.z], self.y)
                self.keep(rig.read(self.y))

    def compilations(self) -> None:
        rig = self.rig
        for error in (None, OperationError("not compiled")):
            work = rig.work("late", compiled=False)
            rig.dispatch(work, [self.x], self.y)
            rig.dispatch(work, [self.y], self.z)
            read = self.keep(rig.read(self.z))
            read.done()
            rig.compile(work, error)
            rig.run_all()

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

    def room(self) -> None:
        rig = self.rig
        names = [rig.name() for _ in range(6)]
        for name in names:
            rig.dispatch(self.dear, [self.x], name)
        waiting = [self.keep(rig.timeline.make_room()) for _ in range(2)]
        assert not any(promise.done() for promise in waiting)
        rig.dispatch(self.cheap, [self.x], self.y)
        self.keep(rig.read(self.y)).done()
        rig.run_all()
        names = [rig.name() for _ in range(40)]
        for name in names:
            rig.dispatch(self.cheap, [self.x], name)
        self.keep(rig.timeline.make_room())

    async def tasks(self) -> None:
        rig = self.rig
        for _ in range(2):
            rig.write(self.x, 2)
            await rig.dispatch(self.cheap, [self.x], self.y)
            await self.keep(rig.read(self.y))
        handle = rig.dispatch(self.cheap, [self.x], self.y)
        self.keep(rig.read(self.y)).add_done_callback(self.told.append)
        self.keep(rig.read(self.x)).add_done_callback(self.told.append)
        self.keep(handle.finished())
        bridge = current_bridge()
        assert bridge is not None
        assert current_task() is not None
        list_of_one: list[Promise[Any]] = [Promise()]
        self.keep(list_of_one[0])

        async def settle() -> None:
            try:
                resolve(list_of_one[0], None)
            finally:  # asyncio only remembers what a task raises, and the test waits for this
                resolve(list_of_one[0], None)

        cancel = bridge.spawn(settle)
        try:
            await list_of_one[0]
        finally:
            cancel()
            resolve(list_of_one[0], None)
        rig.clock.now += 10_000_000
        await rig.dispatch(self.cheap, [self.x], self.y)
        await self.keep(rig.read(self.y))

    def on_asyncio(self) -> None:
        asyncio.run(self.tasks())

    def on_trio(self) -> None:
        trio.run(self.tasks)

    def dropped_tick(self) -> None:
        loop = asyncio.new_event_loop()

        async def leave() -> None:
            try:
                self.rig.dispatch(self.cheap, [self.x], self.y)
                self.keep(self.rig.read(self.y)).add_done_callback(self.told.append)
            finally:
                loop.stop()

        task = loop.create_task(leave())
        try:
            loop.run_forever()
        finally:
            loop.close()
            del task
        self.rig.run_all()

    def destroying(self) -> None:
        rig = self.rig
        work = rig.work("late", compiled=False)
        rig.dispatch(work, [self.x], self.z)
        rig.dispatch(self.dear, [self.x], self.y)
        for name in (self.x, self.y, self.z):
            self.keep(rig.read(name))
        self.keep(rig.dispatch(self.dear, [self.y], self.x).finished())
        self.run(self.dear)
        for _ in range(6):
            rig.dispatch(self.dear, [self.x], rig.name())
            self.keep(rig.read(self.x))
        self.keep(rig.timeline.make_room())
        rig.end()
        rig.end()
        calls = Calls([([self.x], [self.y])])
        plan = calls.plan((read, made, [rig.shelf]) for read, made in calls.values)
        replay = partial(rig.timeline.replay, plan, [self.dear])
        for call in (replay, lambda: rig.write(self.x, 1), lambda: rig.read(self.x), lambda: self.run(self.dear)):
            with contextlib.suppress(MLError):
                call()

    def widths(self) -> None:
        """Runs of a graph that can be narrow, beside each other, beside one that blocks, and alone."""
        rig, timeline = self.rig, self.rig.timeline

        def meanwhile(a: Any) -> Any:
            if self.told:
                self.told.clear()
                self.run(self.dear)
                handle = rig.dispatch(two, [self.x], self.z)
                self.keep(handle.finished())
                timeline.inline.drive(handle._task)
                rig.step(1)
            return a + 1

        two = rig.work("two", meanwhile, cost=LIMIT, measured=False, nanoseconds=LIMIT)
        two.widths = Widths(lambda _: self.told.append("narrow"), lambda _: self.told.append("resting"))
        failing = rig.work("failing", broken(ValueError()), cost=LIMIT, measured=False)
        failing.widths = Widths(lambda _: None)
        for _ in range(2):
            with timeline.width.piece(), timeline.width.piece():
                timeline.width.pieces  # noqa: B018
                self.run(failing)
                self.run(two)
                self.queued_elsewhere()
                rig.run_all()
                timeline.statistics  # noqa: B018
            two.widths.narrow = two.executable
            for _ in range(2):
                rig.dispatch(two, [self.x], self.y)
                self.run(two)
                self.told.append("narrow")
                rig.run_all()
                timeline.statistics  # noqa: B018
        for host_share in (0, 1):
            timeline.width.ended(0, host_share)
            for _ in range(5):
                self.run(two).result()
                timeline.statistics  # noqa: B018
        for _ in range(2 * STEADY_RUNS):
            timeline.width.ended(0, 0)
        for _ in range(HOST_RUNS):
            self.run(two).result()
            timeline.statistics  # noqa: B018

    def trials(self) -> None:
        """Runs of a graph alone, at every point of a trial."""
        timeline = self.rig.timeline
        work = self.rig.work("short", lambda a: a + 1, cost=LIMIT, measured=False, nanoseconds=LIMIT)
        widths = work.widths = Widths(lambda _: self.told.append("narrow"), lambda _: self.told.append("resting"))
        trials = widths.trials
        widths.wide_cost = 1.0
        for executable in (None, work.executable):
            widths.narrow = widths.resting = executable
            for runs in (ALONE, trials._until):
                trials.wanted, trials._runs = runs != ALONE, runs - RECENT
                trials.unseen = [1] * (RECENT - 1)
                self.run(work).result()
            for way in (ALL, ONE, RESTING):
                for rounds, block, own, others in (
                    (0, BLOCK, 1, 1),
                    (0, 2, 1, 1),
                    (0, 2, LIMIT, 1),  # hopeless
                    (SURE - 1, 1, LIMIT, 1),
                    (ROUNDS - 1, 1, 1, LIMIT),  # better than the way in use
                ):
                    trials.chosen, trials.unseen = ALL, None
                    trials._times = {each: [own if each == way else others] * 2 for each in (ALL, RESTING, ONE)}
                    trials._left, trials._block, trials._rounds, trials._turn = (
                        [ALL, RESTING, ONE],
                        block,
                        rounds,
                        [way],
                    )
                    timeline.statistics  # noqa: B018
                    self.run(work).result()
                    timeline.statistics  # noqa: B018
                trials._turn, trials.unseen = [way], None
                trials.measured(way - 1, 1, widths.ways)  # it began before the trial
                trials._turn, trials._space = [], 2
                self.run(work).result()
                self.run(work).result()
                trials._turn = []  # as if an interrupt had cut off the end of the trial
                self.run(work).result()
                trials._runs, trials._until, trials.unseen = RECENT + 1, 4 * RECENT, [10**9] * (RECENT - 1)
                self.run(work).result()
                timeline.statistics  # noqa: B018
                trials.measured(-1, 1, widths.ways)

    def crowded(self) -> None:
        """Runs of a graph alone, while threads of other programs come and go."""
        timeline = self.rig.timeline
        work = self.rig.work("short", lambda a: a + 1, cost=LIMIT, measured=False, nanoseconds=2 * SHORTEST)
        widths = work.widths = Widths(lambda _: self.told.append("narrow"))
        runnable = [3]
        crowd = timeline.width.crowd = Crowd(2, 2, lambda: runnable[0])
        for until in (0, 0, 0, 2, 1, 1):  # unknown, is late, looks, is here, may be over, is over
            crowd._until = until
            self.run(work).result()
            timeline.statistics  # noqa: B018
            widths.narrow = work.executable
            widths.wide_cost = float(SHORTEST)
            if until:
                runnable[0] = 1

    def queued_elsewhere(self) -> None:
        """As if a thread that has ended had queued the tasks."""
        thread = threading.Thread(target=self.rig.timeline._execution.cores.host.here)
        thread.start()
        thread.join()

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

    def merging(self, warm: int, after: Any = lambda _: None) -> tuple[Any, HotChains]:
        """A function that runs a chain, after `warm` runs, and the chains of its rig. It is merged in the sixth run."""
        rig = self.rig
        chains = rig.merge(after, hot=0, checks=1, rest=0)
        split = rig.work("split", lambda a: (a + 1, a + 2), cost=CHEAP, measured=False, outputs=2)

        def chain(many: int = 1) -> None:
            for _ in range(many):
                rig.write(self.x, 1)
                rig.dispatch(self.cheap, [self.x], self.y)
                self.keep(rig.read(self.y))
                rig.dispatch(split, [self.y], [self.x, self.z])
                rig.dispatch(self.cheap, [self.z], self.y)
                read = rig.read(self.y)
                rig.dispatch(self.cheap, [self.y], self.x)  # not needed for it, and ready when the others have run
                self.expected.append((self.keep(read.then(np.copy)), self.data(5)))
                with contextlib.suppress(Interrupt):
                    read.done()
                rig.run_all()

        with undisturbed():
            chain(warm)
        return chain, chains

    def merged(self) -> None:
        """A chain that becomes hot, and runs as one."""
        chain, _ = self.merging(2)
        chain(4)

    def merged_again(self) -> None:
        """A merged chain with an open trace, and one that is checked again."""
        chain, chains = self.merging(6)
        trace: list[Any] = []
        self.rig.timeline.start_trace(trace)
        chain()
        self.rig.timeline.stop_trace(trace)
        for ending in chains.endings.values():
            for each in ending.chains:
                each.check_at = each.runs
        chain()
        self.rig.timeline.statistics  # noqa: B018

    def merged_failing(self) -> None:
        """A chain whose merged run fails."""
        checked = False

        def after(_: Any) -> None:
            nonlocal checked
            if checked:
                raise ValueError("made anew, since errors keep frames")
            checked = True

        chain, _ = self.merging(5, after)
        chain()

    def merged_failing_at_once(self) -> None:
        """A chain whose check fails."""

        def after(_: Any) -> None:
            raise ValueError("made anew, since errors keep frames")

        chain, _ = self.merging(4, after)
        chain()

    def merged_forgotten(self) -> None:
        """A chain of a graph that is destroyed."""
        chain, _ = self.merging(6)
        self.rig.timeline.forget(self.cheap)
        chain()

    def merged_spoilt(self) -> None:
        """A chain with other results."""
        chain, spoilt = self.merging(4, lambda outputs: outputs[0].array.fill(99))
        chain()
        assert spoilt.dispatches == 0

    def link(self, first: Any, last: Any = None) -> None:
        """A chain of three."""
        rig = self.rig
        rig.dispatch(first, [self.x], self.y)
        rig.dispatch(first, [self.y], self.z)
        rig.dispatch(last or self.cheap, [self.z], self.y)
        self.keep(rig.read(self.y)).result()
        self.promises.pop()

    def merged_slower(self) -> None:
        """Chains that are not merged, since they are too dear or no faster."""
        chains = self.rig.merge(hot=0, checks=0, rest=0)
        with undisturbed():
            for _ in range(3):
                self.link(self.cheap)
        for ending in chains.endings.values():
            for chain in ending.chains:
                chain.works[0].cost = LIMIT  # measured since
        self.link(self.cheap)
        self.cheap.cost = CHEAP
        for _ in range(2):
            self.link(self.cheap)
        for ending in chains.endings.values():
            for chain in ending.chains:
                chain.runs, chain.best_single = TIMED - 1, 0
        for _ in range(3):
            self.link(self.cheap)

    def merged_shapes(self) -> None:
        """Chains of too many shapes, with work that cannot be merged, and with too many endings."""
        rig = self.rig
        works = [rig.work("other", cost=CHEAP, measured=False) for _ in range(3)]
        chains = rig.merge(hot=9, checks=0, rest=0)
        for _ in range(3):
            self.link(works[0])
        (ending,) = chains.endings.values()
        ending.chains *= MAX_SHAPES
        for _ in range(2):
            self.link(works[1])  # takes the place of another one
        for chain in ending.chains:
            chain.stage = SINGLE
        for _ in range(2):
            self.link(works[2])
        for _ in range(2):
            self.link(works[1])
        self.cheap.unlooked = 0
        works[1].graph = None
        self.link(works[1], works[0])
        self.link(works[1], works[0])
        self.link(works[1], works[1])
        chains.endings.update((rig.work("last"), ending) for _ in range(MAX_ENDINGS))
        chains._add(works[2])
        rig.timeline.forget(works[2])

    def merged_budgeted(self) -> None:
        """With large tensors there is memory for the chain, but not for a check."""
        rig = self.rig
        rig.merge(hot=1, checks=1, rest=0)
        for i in range(7):
            with contextlib.suppress(OperationError), undisturbed() if i < 3 else contextlib.nullcontext():
                for source, target in ((self.x, self.y), (self.y, self.z), (self.z, self.at), (self.at, self.x)):
                    rig.dispatch(self.cheap, [source], target)
                self.keep(rig.read(self.x)).done()
                self.promises.pop()

    def traced(self) -> None:
        """With two open traces, each of which has the same records."""
        rig, traces = self.rig, ([], [])  # type: tuple[Rig, tuple[list[Any], list[Any]]]
        for trace in traces:
            recorder = rig.timeline.start_trace(trace)
        try:
            self.round_trips()
            self.runs()
            self.reads()
            self.drops()
            self.failures()
            rig.dispatch(self.cheap, [rig.name()], rig.name())
            rig.dispatch(rig.work("two", lambda a: (a, a), cost=CHEAP, outputs=2), [self.x], [self.y, self.z])
            self.keep(rig.read(self.z)).done()
            recorder.note(next(iter(rig.timeline._renaming.live)), "why", "a test")
            recorder.spent("something", recorder.clock())
            for name in [rig.name() for _ in range(20)]:
                handle = rig.dispatch(self.cheap, [self.x], name)
            list(handle.__await__())  # it makes room by running some
            recorder.compiled(self.cheap.figures, recorder.clock())
        finally:
            for trace in traces:
                rig.timeline.stop_trace(trace)
        assert traces[0] == traces[1]

    def traced_choices(self) -> None:
        """With an open trace, which is told of what is chosen for a run."""
        rig, trace = self.rig, list[Any]()
        rig.timeline.start_trace(trace)
        try:
            work = rig.in_place(rig.work("added", cost=LIMIT, measured=False), InPlaceOutput(0, 0, False))
            rig.write(self.z, 1)
            rig.write(self.y, 4)
            rig.dispatch(work, [self.y, self.z], self.y)
            self.keep(rig.read(self.y))
            two = rig.work("two", cost=LIMIT, measured=False)
            two.widths = Widths(lambda _: None)
            self.run(two)
            rig.run_all()
        finally:
            rig.timeline.stop_trace(trace)

    def made(self) -> None:
        """A new timeline, from its start to its end."""
        rig = Rig(inline_limit=LIMIT, budget=1 << 20)
        x = rig.name(1)
        assert rig.read(x).result()[0] == 1
        rig.end()

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

    def on_asyncio_given_up(self) -> None:
        rig = self.rig

        async def wait(promise: Promise[Any]) -> None:
            await promise

        async def main() -> None:
            rig.dispatch(self.dear, [self.x], self.y)
            task = asyncio.ensure_future(wait(self.keep(rig.read(self.y))))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.crowd()

        asyncio.run(main())

    def on_asyncio_woken(self) -> None:
        """A task waits for a lane, which runs on the thread of its event loop and then on another one."""
        rig = self.rig

        async def wait(promise: Promise[Any]) -> None:
            await promise

        async def main() -> None:
            for here in (True, False):
                rig.dispatch(self.dear, [self.x], self.y)
                task = asyncio.ensure_future(wait(self.keep(rig.read(self.y))))
                await asyncio.sleep(0)
                if here:
                    rig.run_all()
                else:
                    thread = threading.Thread(target=rig.run_all)
                    thread.start()
                    thread.join()
                await task

        asyncio.run(main())

    def on_asyncio_lone(self) -> None:
        """The only task of an event loop runs itself what takes milliseconds, unless there is something else to do."""
        rig = self.rig
        work = rig.work("long", cost=PROMPT_LIMIT, measured=False)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            for busy in (lambda: None, lambda: loop.call_soon(len, ()), lambda: loop.call_later(1e-4, len, ())):
                work.prompt = PROBE - 1
                busy()
                rig.dispatch(work, [self.x], self.y)
                read = self.keep(rig.read(self.y))
                await read
                await asyncio.sleep(0)
            await asyncio.sleep(1e-3)
            for ask in (True, False):
                work.prompt = PROMPT
                rig.dispatch(work, [self.x], self.y)
                read = self.keep(rig.read(self.y))
                if ask:
                    read.done()
                else:
                    await asyncio.sleep(0)
                await read

        asyncio.run(main())
        work.prompt = PROMPT
        rig.dispatch(work, [self.x], self.y)

    def on_trio_given_up(self) -> None:
        rig = self.rig

        async def main() -> None:
            rig.dispatch(self.dear, [self.x], self.y)
            with trio.move_on_after(0):
                await self.keep(rig.read(self.y))
            await self.crowd()

        trio.run(main)

    async def crowd(self) -> None:
        """Many cheap dispatches, awaited in a tick that has become long."""
        rig = self.rig
        names = [rig.name() for _ in range(20)]
        for name in names:
            handle = rig.dispatch(self.cheap, [self.x], name)
        repr(handle)
        await handle
        rig.clock.now += 10_000_000
        rig.timeline.inline.breath_due(look=True)
        await rig.dispatch(self.cheap, [self.x], self.y)
        rig.dispatch(self.cheap, [self.y], self.z)
        await self.keep(rig.read(self.z))

    def in_place(self) -> None:
        """Two tensors in turn and one alone, written in place; overwritten, dropped and failing in between."""
        rig, cheap, dear = self.rig, self.rig.scatter(cost=CHEAP, measured=False), self.rig.scatter(cost=LIMIT)
        added = rig.in_place(rig.work("added", cost=LIMIT), InPlaceOutput(0, 0, False), InPlaceOutput(1, 0, False))
        state, at = self.data(1), self.at

        def step(work: Any, source: Name, target: Name, number: float, *, wait: bool = True) -> None:
            nonlocal state
            rig.write(self.at, number)
            rig.dispatch(work, [source, at], target)
            state = replaced(state, self.data(number))
            read = self.keep(rig.read(target))
            self.expected.append((read, state))
            if wait:
                rig.run_all()
                read.done()
            self.promises.remove(read)  # an array that is lent is not overwritten
            self.expected[-1] = (self.keep(read.then(np.copy)), state)

        for i, work in enumerate([cheap, dear, cheap, cheap, dear, cheap]):
            step(work, (self.x, self.y)[i % 2], (self.y, self.x)[i % 2], 10 + i)
        for i, work in enumerate([dear, cheap, cheap, dear]):
            step(work, self.x, self.x, 20 + i, wait=i % 2 == 0)
        rig.run_all()
        before = state

        def expect(name: Name, array: Any) -> None:
            read = rig.read(name).then(np.copy)
            self.expected.append((self.keep(read), array))
            rig.run_all()
            read.done()

        step(cheap, self.x, self.y, 24)
        expect(self.x, before)  # restored for a read
        rig.dispatch(cheap, [self.x, at], self.z)
        expect(self.z, replaced(before, self.data(24)))
        expect(self.x, before)
        rig.dispatch(cheap, [self.z, at], self.y)
        rig.run_all()
        rig.read(self.y).done()
        rig.dispatch(cheap, [self.z, at], self.x)  # restored for a dispatch
        rig.write(self.y, 5)
        expect(self.x, replaced(before, self.data(24)))
        rig.write(self.x, 6)  # the memory goes back
        expect(self.z, replaced(before, self.data(24)))
        rig.dispatch(rig.scatter("broken", broken(OperationError("it broke")), cost=LIMIT), [self.z, at], self.y)
        expect(self.z, replaced(before, self.data(24)))

        def wanted(*arrays: Any) -> Any:
            expect(self.z, replaced(before, self.data(24)))
            rig.dispatch(dear, [self.z, self.at], self.x)
            return replaced(*arrays)

        def wanted_and_failed(*arrays: Any) -> Any:
            wanted(*arrays)
            raise OperationError("it broke")

        for function in (wanted, wanted_and_failed):
            rig.dispatch(rig.scatter("wanted", function, cost=LIMIT), [self.z, at], self.y)
            rig.run_all()
            expect(self.x, replaced(before, self.data(24)))
        rig.dispatch(dear, [self.z, at], self.y)
        rig.write(self.z, 1)  # before the run: donated
        expect(self.y, replaced(before, self.data(24)))
        self.x, self.z = rig.name(1), rig.name()
        for overwritten in ("y", "x"):  # while the run goes on

            def late(*arrays: Any, name: str = overwritten) -> Any:
                rig.write(getattr(self, name), 1)
                return replaced(*arrays)

            rig.dispatch(rig.scatter("late", late), [self.x, at], self.y)
            rig.run_all()
            expect(self.x, self.data(1))
        state = self.data(1)
        step(cheap, self.x, self.y, 30)
        step(cheap, self.y, self.x, 31)
        rig.write(self.x, 3)
        rig.write(self.y, 4)
        state = self.data(3)
        step(cheap, self.x, self.y, 32)
        rig.write(self.z, 1)
        rig.dispatch(added, [self.y, self.z], self.y)
        state = state + 2
        self.expected.append((self.keep(rig.read(self.y)), state))
        rig.run_all()
        rig.dispatch(rig.scatter("broken", broken(OperationError("it broke")), cost=LIMIT), [self.y, at], self.y)
        rig.run_all()
        self.keep(rig.read(self.y)).exception()

    def batcher(self, function: Any = lambda x: x + 1, kind: Any = Function, cost: int = 1000) -> Any:
        """Gathers requests of one row of a rig's tensors, in batches of up to 4."""
        rig = self.rig
        row = MLOperandDescriptor("float32", [1, *rig.shelf.descriptor.shape])
        shelves = {size: rig.pool.shelf(MLOperandDescriptor("float32", [size, *row.shape[1:]])) for size in (1, 2, 4)}
        work = rig.work("alone", function, cost=LIMIT, measured=False)
        if kind is not Function:
            work.executable = kind(function)
        batcher = Batcher(
            rig.timeline, work, [shelves[1]], [("y", shelves[1])], max_batch=4, max_delay=1e8, compile=lambda *_: None
        )
        batcher.policy.cheap = 0
        batcher.policy.meets_company(cost)
        for size in (1, 2, 4):
            if size > 1:
                batcher.policy._compiling.add(size)
                batcher.computation.compiled(size, Size(kind(function), [shelves[size]], [shelves[size]]))
            for _ in range(SAMPLES):
                batcher.policy.measured(size, cost)
        given = [(shelves[1], np.full(row.shape, 3, np.float32))]
        return partial(batcher.run, given), batcher

    def batches(self) -> None:
        rig = self.rig
        run, batcher = self.batcher()
        for _ in range(2):
            self.keep(run())
            given_up = self.keep(run())
            given_up.cancel()
            unseen = run()
            del unseen
            for _ in range(3):
                self.keep(run(timeout=0.5))
            rig.timeline.tidy()
            rig.run_all()
        cancelled = [self.keep(run()) for _ in range(2)]
        for promise in cancelled:
            promise.cancel()
        rig.timeline.tidy()
        waiting = [self.keep(run()) for _ in range(2)]
        with contextlib.suppress(TimeoutError):
            concurrent.futures.wait(waiting, timeout=0)
        with contextlib.suppress(TimeoutError):
            waiting[1].result(timeout=0)
        self.keep(waiting[0].then(len)).add_done_callback(self.told.append)
        rig.run_all()
        waiting[1].done()
        batcher.policy.gathers, batcher.policy._rest = False, 1
        for _ in range(4):
            self.keep(run())
        rig.run_all()
        batcher.computation.failed(4)
        self.keep(run())
        for _ in range(batcher.policy._lonely, 4):
            self.keep(run())
            rig.run_all()
        batcher.policy.explained()
        rig.timeline.statistics  # noqa: B018

    def batches_beside(self) -> None:
        """Batches that come while one is running: they are held back, fill up, are late, and go."""
        rig = self.rig
        inner: list[int] = []

        def meanwhile(x: Any) -> Any:
            if not inner:
                inner.append(1)
                for _ in range(7):
                    self.keep(run())
                held = batcher._held[-1] if batcher._held else None
                if held is not None:
                    batcher._hurry(held)
                rig.step(1)
            return x + 1

        run, batcher = self.batcher(meanwhile)
        for _ in range(2):
            inner.clear()
            for _ in range(3):
                self.keep(run())
            rig.run_all()

    def batches_following(self) -> None:
        """A batch gathers while another one is computed, and a second lane settles that one when the next begins."""
        inner: list[int] = []

        def meanwhile(x: Any) -> Any:
            if not inner:
                inner.append(1)
                for _ in range(2):
                    self.keep(run())
            return x + 1

        run, _ = self.batcher(meanwhile)
        for _ in range(2):
            self.keep(run())
        self.rig.run_all()

    def batches_apart(self) -> None:
        """Requests run side by side until it was measured how long they take so; then they are gathered."""
        run, batcher = self.batcher(cost=NARROW)
        work, policy = batcher._work, batcher.policy
        work.widths = widths = Widths(lambda _: None)
        work.cost, policy.gathers = NARROW, False
        for _ in range(2):
            self.keep(run())
        self.rig.run_all()
        widths.narrow_cost = float(NARROW)
        for _ in range(2 * APART_STILL):
            self.keep(run())
        self.rig.run_all()
        for _ in range(3):
            self.keep(run())
        self.rig.run_all()
        widths.narrow_cost, policy.gathers, policy._rest = 0, False, 0  # it was not measured after all
        for _ in range(3):
            self.keep(run())
        self.rig.run_all()

    def batches_cheap(self) -> None:
        run, batcher = self.batcher()
        batcher.policy.cheap, batcher.policy.gathers = 2 * LIMIT, False
        for _ in range(2):
            for _ in range(3):
                self.keep(run())
            self.rig.run_all()

    def batches_fail(self) -> None:
        def pick(x: Any) -> Any:
            if len(x) > 1:
                raise ValueError("too many")
            return x + 1

        for function in (broken(OperationError("it broke")), broken(ValueError("strange")), pick):
            run, _ = self.batcher(function)
            promises = [self.keep(run()) for _ in range(3)]
            self.rig.run_all()
            for promise in promises:
                promise.exception()

    def batches_ended(self) -> None:
        """All requests of a batch are given up while it is computed, and those of one request alone."""
        promises: list[Promise[Any]] = []

        def give_up(x: Any) -> Any:
            if len(promises) > 1:
                self.keep(run())  # which is held back until the others are given up
            while promises:
                promises.pop().cancel()
            self.rig.timeline.tidy()
            self.rig.clock.now += LONG
            return x + 1

        run, _ = self.batcher(give_up, Endable, cost=LONG)
        for many in (3, 1):
            promises += [self.keep(run(timeout=0.5)) for _ in range(many)]
            unseen = run()
            del unseen
            self.rig.run_all()
        self.keep(run())
        self.rig.run_all()

    async def given_up_while_it_runs(self) -> None:
        """A task that awaits a request of a batch that is being computed is cancelled."""
        begun, ended = threading.Event(), threading.Event()

        def hold(x: Any) -> Any:
            begun.set()
            ended.wait(5)
            return x + 1

        run, _ = self.batcher(hold, Endable, cost=LONG)
        try:
            async with anyio.create_task_group() as clients:
                for _ in range(2):
                    clients.start_soon(self.awaited, run())
                for _ in range(5000):
                    if begun.is_set():
                        break
                    await anyio.sleep(0.0005)
                clients.cancel_scope.cancel()
        finally:
            ended.set()

    @staticmethod
    async def awaited(promise: Promise[Any]) -> None:
        await promise

    def on_asyncio_batch_ended(self) -> None:
        asyncio.run(self.given_up_while_it_runs())

    async def gathered(self) -> None:
        run, _ = self.batcher()

        async def client() -> None:
            await self.keep(run())
            await self.keep(run())

        for _ in range(2):
            await client()
        async with anyio.create_task_group() as clients:
            for _ in range(3):
                clients.start_soon(client)
        promise = self.keep(run())
        promise.add_done_callback(self.told.append)
        await promise

    def on_asyncio_batched(self) -> None:
        asyncio.run(self.gathered())

    def on_trio_batched(self) -> None:
        trio.run(self.gathered)

    def batches_destroyed(self) -> None:
        run, _ = self.batcher()
        for _ in range(6):
            self.keep(run())
        self.rig.end()
        with contextlib.suppress(MLError):
            run()

    def batches_budgeted(self) -> None:
        run, _ = self.batcher()
        promises = []
        with contextlib.suppress(OperationError):
            while True:
                promises.append(run())
        self.rig.run_all()

    def mapped(self) -> None:
        """Reading a file, which has no state that could be damaged."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "weights"
            path.write_bytes(bytes(3 * 4096))
            array = map_file(path)
            assert array.identity == map_file(path).identity
            place_in_file(array[4:])
            place_in_file(np.zeros(3))
            unmap(array)
            np.negative(array)
            with contextlib.suppress(OSError):
                map_file(folder)
            del array

    def budget(self) -> None:
        rig = self.rig
        rig.write(self.x, 1)
        rig.write(self.x, 2)
        names = [rig.name() for _ in range(8)]
        with contextlib.suppress(OperationError):
            for name in names:
                rig.dispatch(self.dear, [self.x], name)
        rig.run_all()
        calls = Calls([([self.y], [self.z]), ([self.x], [self.y])])
        plan = calls.plan((read, made, [rig.shelf]) for read, made in calls.values)
        self.keep(rig.read(self.x)).cancel()
        with contextlib.suppress(OperationError):
            for _ in range(4):
                rig.timeline.replay(plan, [self.dear] * 2)
                rig.run_all()
        with contextlib.suppress(OperationError):
            for _ in range(8):
                self.run(self.dear)
        with contextlib.suppress(OperationError):
            for name in names:
                rig.write(name, 1)
        rig.run_all()
        rig.pool.info()
        rig.pool.trim()
        rig.pool._is_total_right = False  # as an interrupt would leave it
        rig.pool.info()


PROGRAMS: Final[dict[str, dict[str, Any]]] = {
    "round_trips": {"inline_limit": LIMIT},
    "one_by_one": {"inline_limit": LIMIT},
    "chains": {"inline_limit": LIMIT, "lanes": 2},
    "runs": {"inline_limit": LIMIT},
    "reads": {},
    "fetched": {"inline_limit": LIMIT, "allocator": GuardedAllocator(DeviceAllocator(), print)},
    "drops": {},
    "ended": {"inline_limit": LIMIT},
    "replays": {"inline_limit": LIMIT},
    "made_anew": {"inline_limit": LIMIT},
    "failures": {"inline_limit": LIMIT},
    "alone": {"inline_limit": LIMIT, "lanes": 2},
    "compilations": {},
    "callbacks": {"inline_limit": LIMIT},
    "futures": {"inline_limit": LIMIT},
    "room": {"inline_limit": LIMIT, "max_queued": 4},
    "on_asyncio": {"inline_limit": LIMIT, "threads": 1},
    "on_trio": {"inline_limit": LIMIT, "threads": 1},
    "dropped_tick": {"inline_limit": LIMIT},
    "destroying": {"max_queued": 4},
    "budget": {"budget": 6 * LARGE.byte_length},
    "interruptions": {"inline_limit": LIMIT},
    "made": {},
    "threads": {},
    "on_asyncio_given_up": {"inline_limit": LIMIT, "threads": 1},
    "on_asyncio_woken": {"inline_limit": LIMIT},
    "on_asyncio_lone": {"inline_limit": LIMIT, "threads": 1},
    "on_trio_given_up": {"inline_limit": LIMIT, "threads": 1},
    "deadlines": {},
    "figures": {"inline_limit": LIMIT},
    "batches": {},
    "batches_beside": {"lanes": 2, "width": Width(3)},
    "batches_following": {"lanes": 2, "width": Width(2)},
    "batches_apart": {},
    "batches_cheap": {},
    "batches_fail": {},
    "batches_ended": {},
    "on_asyncio_batch_ended": {"threads": 1},
    "on_asyncio_batched": {"threads": 1},
    "on_trio_batched": {"threads": 1},
    "batches_destroyed": {},
    "batches_budgeted": {"budget": 6 * LARGE.byte_length},
    "mapped": {},
    "widths": {"inline_limit": LIMIT, "lanes": 2},
    "trials": {"inline_limit": LIMIT, "lanes": 2},
    "crowded": {"inline_limit": LIMIT, "lanes": 2},
    "traced": {"inline_limit": LIMIT},
    "traced_choices": {"inline_limit": LIMIT},
    "in_place": {"inline_limit": LIMIT},
    "merged": {"inline_limit": LIMIT},
    "merged_again": {"inline_limit": LIMIT},
    "merged_failing": {"inline_limit": LIMIT},
    "merged_failing_at_once": {"inline_limit": LIMIT},
    "merged_spoilt": {"inline_limit": LIMIT},
    "merged_forgotten": {"inline_limit": LIMIT},
    "merged_shapes": {"inline_limit": LIMIT},
    "merged_slower": {"inline_limit": LIMIT},
    "merged_budgeted": {"inline_limit": LIMIT, "budget": 6 * LARGE.byte_length},
}
"""The name of each program, with the options of its rig."""


def settled(rig: Rig, promises: list[Promise[Any]]) -> bool:
    """Whether all promises have settled after the lanes have run all tasks."""
    rig.run_all()
    return all(_comes(promise.done) for promise in promises)


def _comes(condition: Callable[[], bool]) -> bool:
    """Whether it holds within a few seconds, which is enough for a lane that is a thread."""
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.0001)
    return condition()


def _rests(rig: Rig) -> bool:
    """Whether no task waits or runs. A run that was given up may still be on a lane when a later one has ended."""
    statistics = rig.timeline.statistics
    return (statistics.queued, statistics.running) == (0, 0)


def check(programs: Programs, place: object) -> None:
    """Check that everything settles, that the timeline works or has ended, and that no buffer is lost."""
    rig = programs.rig
    with contextlib.suppress(MLError):  # as the next user of the timeline would
        rig.read(Name(rig.shelf)).cancel()
    for work in rig.works:  # as on the build thread, which signals do not interrupt
        if work in rig._uncompiled:
            rig.compile(work)
        rig.timeline.compiled(work)
    rig.timeline.inline.expect_elsewhere()  # as at the end of a tick
    assert settled(rig, [p for p in programs.promises if p._source is not None or p.done()]), f"pending after {place}"
    for promise in programs.promises:
        if promise._source is None and not promise.done():
            resolve(promise, None)  # only the program settles this one
    for promise, array in programs.expected:
        if promise.done() and not promise.cancelled() and promise.exception() is None:
            np.testing.assert_array_equal(promise.result(), array, f"a wrong result after {place}")
    programs.expected.clear()
    if not rig.timeline.shutdown.has_ended:
        x, y = rig.name(5), rig.name()
        rig.dispatch(rig.work("after", cost=CHEAP), [x], y)
        assert rig.read(y).result()[0] == 6, f"a wrong result after {place}"
        rig.dispatch(rig.work("after on a lane"), [y], x)
        read = rig.read(x)
        rig.run_all()
        assert _comes(read.done), f"a lane is dead after {place}"
        assert _comes(lambda: _rests(rig)), f"{rig.timeline.statistics} after {place}"
        assert rig.timeline._renaming.queued_bytes == 0
        del x, y, read
    rig.end()
    assert all(promise.done() for promise in programs.promises)


def leftovers(programs: Programs) -> int:
    """The bytes in use after everything that held them has been released."""
    rig = programs.rig
    programs.promises.clear()
    programs.told.clear()
    del programs.x, programs.y, programs.z, programs.at
    in_use: int = rig.in_use
    if in_use:
        gc.collect()
        in_use = rig.in_use
    return in_use


NOT_HERE: Final = {
    # On threads of the package, which signal handlers do not interrupt.
    "Allocator.view",
    "_serve",
    "_Deadlines._serve",
    "_Deadlines._next",
    "give_up_after.<locals>.give_up",
    "ThreadLane.call.<locals>.once",
    "ThreadLane._timed.<locals>.timed",
    "Batcher._count",
    "Batcher._side_by_side",
    "Batcher._settle",
    "Batcher._split",
    "Batching._judge",
    "Batching._next_to_try",
    # Once in a process, when it first has imported asyncio.
    "asyncio_loop",
    "Batching._reject",
    "Batching._wanted",
    "Batching.choose",
    "Batching.compiled",
    "Batching.failed",
    "Batching.gathered",
    "Batching.measured",
    "_Delivery.__init__",
    "_settle_elsewhere.<locals>.settle",
    "_stack",
    "Request.calls_back",
    "Request.calls_back.<locals>.<genexpr>",
    "Workers._add_lane",
    "Workers._another_lane",
    "Workers._is_superfluous",
    # In a finalizer that the garbage collector calls, whose exceptions are lost.
    "_was_collected",
    "Batch.observed",
    "End.observed",
    "Shutdown.observed",
    # Nothing changes there.
    "Batching.explained",
    "BatchingStatistics.mean_size",
    # In a forked child, where none of the parent's work goes on; see `test_forks.py`.
    "_forked",
    "_give_up",
    "abandon",
    "Batch.forked",
    "End.forked",
    "ThreadLane.forked",
    "Shutdown.forked",
    "_Deadlines.forked",
    # The memory of a device, and its death. Nothing changes there, and whatever fails next tells of the death again.
    "GuardedAllocator.__init__",
    "GuardedAllocator._explained",
    "GuardedAllocator.allocate",
    "GuardedAllocator.clear",
    "GuardedAllocator.host_array",
    "GuardedAllocator.lent",
    "Allocator.lent",
    "lease_of_nothing",
    "GuardedAllocator.write",
    "Timeline.device_lost",
    "tell_if_lost",
    # Once for each process, and at exit.
    "_Deadlines.__init__",
    "_close_all",
    "_close_all_in_child",
    "_edges",
}
"""Functions that run where signal handlers do not raise."""

ONLY_IN_RACES: Final = {
    "batcher.py": 3,
    "bridge.py": 10,
    "callbacks.py": 12,
    "computation.py": 8,
    "cores.py": 1,
    "deadlines.py": 6,
    "donation.py": 4,
    "futures.py": 12,
    "hot_chains.py": 6,
    "inline.py": 6,
    "lane.py": 3,
    "merged_runs.py": 2,
    "pool.py": 2,
    "promise.py": 18,
    "recovery.py": 30,
    "ready.py": 2,
    "renaming.py": 13,
    "request.py": 5,
    "results.py": 7,
    "settling.py": 9,
    "task.py": 1,
    "timeline.py": 5,
    "workers.py": 9,
}
"""The number of lines in each module that are not reached here. They need another thread or an earlier interrupt."""


@pytest.fixture
def quiet(error_log: ErrorLog) -> Iterator[None]:
    """Silence the log and the hook, which report the interrupts of lanes and callbacks.

    What earlier tests have made is frozen: the many garbage collections would go through it again and again.
    """
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    logging.disable(logging.CRITICAL)
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    logging.disable(logging.NOTSET)
    sys.unraisablehook = hook


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "descriptor"),
    [
        *((name, LARGE) for name in PROGRAMS),
        *((name, SMALL) for name in ("round_trips", "runs", "in_place", "on_asyncio_woken")),
    ],
    ids=lambda value: value if isinstance(value, str) else "large" if value is LARGE else "small",
)
def test_nothing_is_lost_whatever_is_raised_at_any_line(name: str, descriptor: Any, quiet: None) -> None:
    options = {**PROGRAMS[name], "descriptor": descriptor}
    first = Programs(**options)
    found: list[Place] = list(places(getattr(first, name), first=THOROUGH))
    check(first, "nothing")
    assert leftovers(first) == 0
    for place in found:
        programs = Programs(**options)
        interrupted(getattr(programs, name), place)
        check(programs, place)
        assert leftovers(programs) == 0, f"a buffer is gone after {place}"


def test_the_programs_come_by_every_line(quiet: None) -> None:
    seen: set[tuple[str, int]] = set()
    for descriptor in (LARGE, SMALL):
        for name, options in PROGRAMS.items():
            programs = Programs(**{**options, "descriptor": descriptor})
            seen.update(interrupted(getattr(programs, name), None).seen)
            check(programs, "nothing")
    left: dict[str, list[str]] = {}
    for folder in FOLDERS:
        for (path, line), function in lines_of(folder).items():
            text = linecache.getline(path, line).strip()
            if (path, line) not in seen and function not in NOT_HERE and text != "..." and not text.startswith('"""'):
                left.setdefault(Path(path).name, []).append(f"{line} {function}: {text}")
    more = {name: lines for name, lines in left.items() if len(lines) > ONLY_IN_RACES.get(name, 0)}
    assert not more, "\n".join(line for lines in more.values() for line in lines)


def test_something_that_is_raised_in_a_lock_would_be_found() -> None:
    rig = Rig()

    def broken_program() -> None:
        rig.timeline._lock.acquire()
        rig.timeline.tidy()
        rig.dispatch(rig.work("dear"), [rig.name(1)], rig.name())
        rig.timeline._lock.release()

    target = next(place for place in places(broken_program, first=1) if place[0].endswith("renaming.py"))
    assert interrupted(broken_program, target).raised
    rig.timeline._lock.release()  # the program left it locked, as code without `with` does
    rig.end()


def test_an_output_in_place_that_cannot_be_made_again_would_be_found(quiet: None) -> None:
    def wrong(programs: Programs) -> None:
        rig = programs.rig
        added = rig.in_place(rig.work("added", cost=CHEAP, measured=False), InPlaceOutput(0, 0, repeatable=True))
        rig.dispatch(added, [programs.x], programs.x)
        read = programs.keep(rig.read(programs.x))
        programs.expected.append((read, programs.data(2)))
        read.done()

    found = 0
    for place in list(places(lambda: wrong(Programs(inline_limit=LIMIT)), first=1)):
        programs = Programs(inline_limit=LIMIT)
        interrupted(lambda: wrong(programs), place)  # noqa: B023
        with contextlib.suppress(AssertionError):
            check(programs, place)
            continue
        found += 1
    assert found > 0


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
@pytest.mark.timeout(300)
def test_real_signals_leave_nothing_pending(quiet: None) -> None:
    """Signals at random moments of a plain loop, with a new context after every ten of them."""

    def interrupt(*_: object) -> None:
        raise Interrupt

    moments, inside = random.Random(7), 0
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(SIGNALS // 10):
            context = webnn.ML().create_context(backend="onnxruntime")
            builder = context.create_graph_builder()
            x = builder.input("x", [4], "float32")
            graph = builder.build({"y": builder.relu(x)})
            data = np.ones(4, np.float32)
            for _ in range(5):
                context.compute(graph, {"x": data})
            promises: list[Promise[Any]] = []
            for _ in range(10):
                inside += _interrupted_loop(context, graph, data, promises, 0.0002 + moments.random() / 1000)
                assert context.run(graph, {"x": data}).result(timeout=10)["y"][0] == 1
            assert all(_comes(promise.done) for promise in promises)
            gc.collect()  # a traceback may still hold a promise that was interrupted on its way here
            context.memory_info()  # releases what the collector has found
            deadline = time.monotonic() + 5
            while (now := context.statistics()).queued or now.running:
                assert time.monotonic() < deadline, now
                time.sleep(0.001)
            promises.clear()
            context.destroy()
            gc.collect()
            assert context.memory_info().in_use == 0
    finally:
        signal.signal(signal.SIGALRM, before)
    assert inside > SIGNALS // 4


def _interrupted_loop(context: Any, graph: Any, data: Any, promises: list[Promise[Any]], seconds: float) -> bool:
    """Run the graph until a signal comes. Returns whether it came inside the package."""
    trace = None
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        while True:
            promise = context.run(graph, {"x": data})
            promises[-1:] = [promise]
            promise.result()
    except Interrupt as error:
        trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and "test_interrupts" not in trace.tb_frame.f_back.f_code.co_filename  # type: ignore[union-attr]
