"""The loops that promises are tested on: asyncio, uvloop, trio, and a plain thread without any.

A test that asks for the fixture `loop` is a coroutine function and runs on each of them. On the plain thread it is only
a way to write the same words: there its coroutine must never suspend, so tests wait with `loop.result(promise)` and
`loop.until(condition)`, which block that thread. What needs tasks and cancellation asks for `event_loop` instead, which
leaves the plain thread out.

A test that needs neither uvloop, nor a plain thread, nor what is said below, is marked with `pytest.mark.anyio`, which
runs it on asyncio and trio, or with `pytest.mark.asyncio`.

A test whose code blocks an event loop fails: a heartbeat runs beside it and is late.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import pytest
import trio

from webnn import Promise, Stream

__all__ = ["EVENT_LOOPS", "LOOPS", "Loop", "Started", "causes", "loop_named"]

T = TypeVar("T")
Main: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

PERIOD: Final = 0.005
LATE: Final = 0.25
"""Seconds by which a heartbeat may be late before a test fails."""
PATIENCE: Final = 10.0
"""Seconds after which waiting for something that must happen is given up."""


class Started:
    """Something that runs beside the test; `Loop.join` waits for it."""

    def __init__(self) -> None:
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.cancel: Callable[[], object] = lambda: None

    async def follow(self, main: Callable[[], Awaitable[Any]]) -> None:
        """Run `main` and remember how it ended."""
        try:
            self.result = await main()
        except Exception as error:
            self.error = error
        except BaseException as error:  # a cancellation, which is the loop's business
            self.error = error
            raise
        finally:
            self.done = True


class Companion:
    """A thread that does nothing but look at the clock: when it is late too, it was not the loop that was blocked.

    A machine that stops processes makes both late; so does code that holds the interpreter's lock, which takes
    processor time.
    """

    def __init__(self) -> None:
        self._gaps: deque[tuple[float, float]] = deque(maxlen=64)
        self._collections: tuple[tuple[float, float], ...] = ()
        self._collection_began = 0.0
        gc.callbacks.append(self._collect)
        threading.Thread(target=self._beat, name="companion", daemon=True).start()

    def _collect(self, phase: str, _: object) -> None:
        if phase == "start":
            self._collection_began = time.perf_counter()
        else:
            self._collections = (*self._collections[-63:], (self._collection_began, time.perf_counter()))

    def _beat(self) -> None:
        last, used = time.perf_counter(), time.process_time()
        while True:
            time.sleep(PERIOD)
            now, now_used = time.perf_counter(), time.process_time()
            if now - last > 4 * PERIOD:
                self._gaps.append((last, now - (now_used - used)))
            last, used = now, now_used

    def stood_still(self, start: float, end: float) -> float:
        """Seconds between two moments in which the process did nothing at all."""
        time.sleep(4 * PERIOD)  # it may not have looked yet
        return _common(self._gaps, start, end)

    def collected(self, start: float, end: float) -> float:
        """Seconds of garbage collections between two moments: one of a whole test run's objects takes 0.3 s."""
        return _common(self._collections, start, end)


def _common(spans: Iterable[tuple[float, float]], start: float, end: float) -> float:
    """The seconds that `spans` have in common with the time between two moments."""
    return sum(max(0.0, min(end, last) - max(start, first)) for first, last in list(spans))


@cache
def companion() -> Companion:
    """The one of this process."""
    return Companion()


def waits() -> dict[str, float]:
    """The seconds for which each thread of the process was ready to run and got no processor; on Linux.

    A thread that computes on a busy machine gets less of a processor than one that only looks at the clock, so the
    companion does not notice.
    """
    found = {}
    for path in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # the thread has ended
            found[path.parent.name] = int(path.read_text().split()[1]) / 1e9
    return found


class Heartbeat:
    """Notices when the loop's other tasks do not get their turn for long."""

    def __init__(self, limit: float) -> None:
        companion()
        self._limit = limit
        self._last = time.perf_counter()
        self._waits = waits()
        self._worst = 0.0

    async def beat(self, sleep: Callable[[float], Awaitable[object]]) -> None:
        """Look at the clock again and again."""
        while True:
            await sleep(PERIOD)
            self.look()

    def look(self) -> None:
        """The loop is alive now."""
        now = time.perf_counter()
        late, waited = now - self._last - PERIOD, waits()
        if late > self._limit:
            late -= max(companion().stood_still(self._last, now), self._starved(waited))
            late -= companion().collected(self._last, now)
            now = time.perf_counter()
        self._last, self._waits = now, waited
        self._worst = max(self._worst, late)

    def _starved(self, waited: dict[str, float]) -> float:
        """Seconds since the last look that this thread, or one that it may have waited for, had no processor."""
        return max((seconds - self._waits.get(thread, 0.0) for thread, seconds in waited.items()), default=0.0)

    def check(self) -> None:
        """Fail if there was a long gap, up to now."""
        self.look()
        if self._worst > self._limit:
            pytest.fail(f"the event loop was blocked for {self._worst * 1e3:.0f} ms")


class Loop(ABC):
    """One kind of loop, and the words that tests use on all of them."""

    name: str

    @abstractmethod
    def run(self, main: Main, *, late: float = LATE) -> None:
        """Run a test's body on a new loop; fail if its heartbeat is more than so many seconds late."""

    @abstractmethod
    async def pause(self) -> None:
        """Let everything else run once."""

    @abstractmethod
    def start(self, main: Callable[[], Awaitable[Any]]) -> Started:
        """Run `main()` beside the test: as a task, or on a thread of its own."""

    async def result(self, promise: Promise[T]) -> T:
        """What the promise resolves to."""
        return await promise

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until `condition()` holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "what the test waits for does not happen"
            await self.pause()

    async def join(self, started: Started) -> Any:
        """The result of what was started, or its error."""
        await self.until(lambda: started.done)
        if started.error is not None:
            raise started.error
        return started.result

    def items(self, stream: Stream[T]) -> AsyncIterator[T]:
        """The results of a stream, as this loop goes through it."""
        return aiter(stream)


class Asyncio(Loop):
    """asyncio's own loop."""

    name = "asyncio"

    def __init__(self, new_event_loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> None:
        self._factory = new_event_loop
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, main: Main, *, late: float = LATE) -> None:
        async def watched() -> None:
            heart = Heartbeat(late)
            beating = asyncio.create_task(heart.beat(asyncio.sleep))
            try:
                await main()
            finally:
                beating.cancel()
            heart.check()

        with asyncio.Runner(loop_factory=self._factory) as runner:
            runner.run(watched())

    async def pause(self) -> None:
        await asyncio.sleep(0)

    def start(self, main: Callable[[], Awaitable[Any]]) -> Started:
        started = Started()
        task = asyncio.create_task(started.follow(main))
        self._tasks.add(task)  # asyncio itself holds tasks weakly
        task.add_done_callback(self._tasks.discard)
        started.cancel = task.cancel
        return started


class Uvloop(Asyncio):
    """uvloop, where it is installed."""

    name = "uvloop"

    def __init__(self) -> None:
        uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
        super().__init__(uvloop.new_event_loop)


class Trio(Loop):
    """trio."""

    name = "trio"

    def run(self, main: Main, *, late: float = LATE) -> None:
        async def watched() -> None:
            heart = Heartbeat(late)
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(heart.beat, trio.sleep)
                await main()
                self._nursery.cancel_scope.cancel()
            heart.check()

        try:
            trio.run(watched)
        except BaseExceptionGroup as group:  # the nursery's; a test fails with what failed
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from None
            raise

    async def pause(self) -> None:
        await trio.lowlevel.checkpoint()

    def start(self, main: Callable[[], Awaitable[Any]]) -> Started:
        started = Started()
        scope = trio.CancelScope()
        started.cancel = scope.cancel

        async def scoped() -> None:
            with scope:
                await started.follow(main)

        self._nursery.start_soon(scoped)
        return started


class PlainThread(Loop):
    """No event loop: waiting blocks."""

    name = "thread"

    def run(self, main: Main, *, late: float = LATE) -> None:
        _finish(main())

    async def pause(self) -> None:
        time.sleep(0.0005)  # noqa: ASYNC251 (there is no loop to block)

    async def result(self, promise: Promise[T]) -> T:
        return promise.result(timeout=PATIENCE)

    def start(self, main: Callable[[], Awaitable[Any]]) -> Started:
        started = Started()
        threading.Thread(target=lambda: _finish(started.follow(main)), name="test", daemon=True).start()
        return started

    async def items(self, stream: Stream[T]) -> AsyncIterator[T]:
        results = iter(stream)
        try:
            for item in results:
                yield item
        finally:
            results.close()


def causes(error: BaseException) -> list[BaseException]:
    """`error`, what caused it, what caused that, and so on."""
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    return chain


def _finish(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    pytest.fail("on a plain thread a test must not suspend: use loop.result(promise)")


LOOPS: Final = {kind.name: kind for kind in (Asyncio, Uvloop, Trio, PlainThread)}
EVENT_LOOPS: Final = {name: kind for name, kind in LOOPS.items() if kind is not PlainThread}


def loop_named(name: str) -> Loop:
    """A loop of that kind; the test is skipped where it is not installed."""
    if name == "uvloop" and importlib.util.find_spec("uvloop") is None:
        pytest.skip("uvloop is not installed")
    return LOOPS[name]()
