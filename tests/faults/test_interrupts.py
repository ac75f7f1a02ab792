"""Interrupts at every line of the scheduler and the memory leave nothing pending and lose nothing.

A signal handler, above all that of Ctrl-C, raises wherever the main thread happens to be. Here an exception is raised
at each line in turn, in programs that together reach all lines. After each one, every promise settles, the timeline
still works, and every buffer is accounted for.
"""

from __future__ import annotations

import contextlib
import gc
import linecache
import logging
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

import webnn
from tests.interrupt_programs.programs import PROGRAMS, Programs
from tests.interrupts import FOLDERS, Interrupt, Place, interrupted, lines_of, places
from tests.leaks import ErrorLog
from tests.stepped import CHEAP, INLINE_LIMIT, LARGE, SMALL, Rig
from webnn.errors import MLError
from webnn.graph.in_place import InPlaceOutput
from webnn.scheduler.promise import Promise, resolve
from webnn.scheduler.value import Name

THOROUGH: Final = 10 if os.environ.get("WEBNN_PROPERTY_PROFILE") == "thorough" else 1
"""For each line, the number of times that it is interrupted, besides the last time that it runs."""

SIGNALS: Final = 2000 if os.environ.get("WEBNN_PROPERTY_PROFILE") == "thorough" else 200


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
    "Histogram.__repr__",
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
    for place in list(places(lambda: wrong(Programs(inline_limit=INLINE_LIMIT)), first=1)):
        programs = Programs(inline_limit=INLINE_LIMIT)
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
