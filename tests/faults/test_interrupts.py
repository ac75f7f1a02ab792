"""Whatever is raised at whatever line of the scheduler and the memory: nothing stays pending, nothing is lost.

A signal handler, that of Ctrl-C above all, raises wherever the main thread happens to be. Here something is raised at
every line in turn, in programs that between them come by all of them. After each, every promise settles, the timeline
goes on, and every buffer is accounted for.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import logging
import sys
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pytest
import trio

from tests.interrupts import Place, interrupted, places
from tests.leaks import ErrorLog
from tests.stepped import LARGE, SMALL, Rig, broken
from webnn.errors import InvalidStateError, MLError, OperationError
from webnn.scheduler.bridge import current_bridge
from webnn.scheduler.promise import Promise, reject, resolve
from webnn.scheduler.value import Name

LIMIT: Final = 50_000
CHEAP: Final = 1_000


class Programs:
    """Programs over one rig; what they make is kept here, so that it can be looked at afterwards."""

    def __init__(self, **options: Any) -> None:
        self.rig = Rig(**options)
        self.promises: list[Promise[Any]] = []
        self.x = self.rig.name(1)
        self.y, self.z = self.rig.name(), self.rig.name()
        self.cheap = self.rig.work("cheap", cost=CHEAP, measured=False)
        self.dear = self.rig.work("dear", cost=LIMIT, measured=False)
        self.told: list[object] = []

    def keep(self, promise: Promise[Any]) -> Promise[Any]:
        self.promises.append(promise)
        return promise

    def data(self, number: float = 3) -> Any:
        descriptor = self.rig.shelf.descriptor
        return np.full(descriptor.shape, number, descriptor.dtype)

    def run(self, work: Any) -> Promise[Any]:
        return self.keep(self.rig.timeline.run(work, [(self.rig.shelf, self.data())], [("y", self.rig.shelf)]))

    # Programs, each of which leaves something for the next line to go wrong with.

    def round_trips(self) -> None:
        rig = self.rig
        for work in (self.cheap, self.dear):
            rig.write(self.x, 2)
            handle = rig.dispatch(work, [self.x], self.y)
            read = self.keep(rig.read(self.y))
            self.keep(handle.finished())
            rig.run_all()
            read.done()
            read.result()
        rig.timeline.statistics  # noqa: B018

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
        list_of_one: list[Promise[Any]] = [Promise()]
        self.keep(list_of_one[0])

        async def settle() -> None:
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
        for call in (lambda: rig.write(self.x, 1), lambda: rig.read(self.x), lambda: self.run(self.dear)):
            with contextlib.suppress(MLError):
                call()

    def budget(self) -> None:
        rig = self.rig
        rig.write(self.x, 1)
        rig.write(self.x, 2)
        names = [rig.name() for _ in range(8)]
        with contextlib.suppress(OperationError):
            for name in names:
                rig.dispatch(self.dear, [self.x], name)
        with contextlib.suppress(OperationError):
            for _ in range(8):
                self.run(self.dear)
        with contextlib.suppress(OperationError):
            for name in names:
                rig.write(name, 1)
        rig.run_all()
        rig.pool.trim()
        rig.pool.info()


PROGRAMS: Final[dict[str, dict[str, Any]]] = {
    "round_trips": {"inline_limit": LIMIT},
    "chains": {"inline_limit": LIMIT, "lanes": 2},
    "runs": {"inline_limit": LIMIT},
    "reads": {},
    "drops": {},
    "failures": {"inline_limit": LIMIT},
    "compilations": {},
    "callbacks": {"inline_limit": LIMIT},
    "futures": {"inline_limit": LIMIT},
    "room": {"inline_limit": LIMIT, "max_queued": 4},
    "on_asyncio": {"inline_limit": LIMIT},
    "on_trio": {"inline_limit": LIMIT},
    "dropped_tick": {"inline_limit": LIMIT},
    "destroying": {"max_queued": 4},
    "budget": {"budget": 6 * LARGE.byte_length},
}
"""Each with the options of its rig."""


def settled(rig: Rig, promises: list[Promise[Any]]) -> bool:
    for _ in range(3):
        rig.run_all()
        if all(promise.done() for promise in promises):
            return True
    return False


def check(programs: Programs, place: object) -> None:
    """Everything settles, the timeline goes on or has ended, and no buffer is gone."""
    rig = programs.rig
    with contextlib.suppress(MLError):  # whoever uses it next
        rig.read(Name(rig.shelf)).cancel()
    for work in rig.works:  # as the thread that compiles, which is interrupted by no signal
        if work in rig._uncompiled:
            rig.compile(work)
        rig.timeline.compiled(work)
    rig.timeline.inline.expect_elsewhere()  # as at the end of a tick
    assert settled(rig, [p for p in programs.promises if p._source is not None or p.done()]), f"pending after {place}"
    for promise in programs.promises:
        if promise._source is None and not promise.done():
            resolve(promise, None)  # one that only the program settles
    if not rig.timeline._ended:
        x, y = rig.name(5), rig.name()
        rig.dispatch(rig.work("after", cost=CHEAP), [x], y)
        assert rig.read(y).result()[0] == 6, f"a wrong result after {place}"
        rig.dispatch(rig.work("after on a lane"), [y], x)
        read = rig.read(x)
        rig.run_all()
        assert read.done(), f"a lane is dead after {place}"
        statistics = rig.timeline.statistics
        assert (statistics.queued, statistics.running) == (0, 0), f"{statistics} after {place}"
        assert rig.timeline._renaming.queued_bytes == 0
        del x, y, read
    rig.end()
    assert all(promise.done() for promise in programs.promises)


def leftovers(programs: Programs) -> int:
    """The bytes in use once everything that held them is let go."""
    rig = programs.rig
    programs.promises.clear()
    programs.told.clear()
    del programs.x, programs.y, programs.z
    in_use: int = rig.in_use
    if in_use:
        gc.collect()
        in_use = rig.in_use
    return in_use


SEEN: Final[set[tuple[str, int]]] = set()
"""The lines at which something was raised, by all tests of this module."""


@pytest.fixture
def quiet(error_log: ErrorLog) -> Iterator[None]:
    """What a lane or a callback was interrupted by is logged."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
    sys.unraisablehook = hook


@pytest.mark.timeout(300)
@pytest.mark.parametrize("descriptor", [LARGE, SMALL], ids=["large", "small"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_lost_whatever_is_raised_at_any_line(name: str, descriptor: Any, quiet: None) -> None:
    options = {**PROGRAMS[name], "descriptor": descriptor}
    first = Programs(**options)
    found: list[Place] = list(places(getattr(first, name), first=2))
    check(first, "nothing")
    assert leftovers(first) == 0
    for place in found:
        programs = Programs(**options)
        tracer = interrupted(getattr(programs, name), place)
        if tracer.raised:
            SEEN.add(place[:2])
        check(programs, place)
        assert leftovers(programs) == 0, f"a buffer is gone after {place}"
