"""The objects of a stream that a program holds: the stream, and the iterators of its results."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any, ClassVar, Generic, TypeVar

from webnn.errors import InvalidStateError, ValidationError
from webnn.forking import import_lock
from webnn.graph.unpicklable import Unpicklable
from webnn.runtime.device import Device
from webnn.runtime.streaming.crew import begin_in_loop
from webnn.runtime.streaming.iteration import END, NOTHING, TURN, Iteration
from webnn.runtime.streaming.options import Options
from webnn.runtime.streaming.pieces import Piece
from webnn.runtime.streaming.window import Failure, StreamStatistics, Window
from webnn.scheduler.bridge import current_bridge

__all__ = ["Stream", "StreamIterator", "StreamResults"]

T_co = TypeVar("T_co", covariant=True)

_WHY_UNPICKLABLE = (
    "it runs on a context of this process. Send the source's items or the results, and make the stream in the process"
    " that uses it"
)


class Stream(Unpicklable, Generic[T_co]):
    """The results of a stream: an async iterable, and an iterable if its source is one. It can be iterated once.

    Made by `MLContext.stream`. Nothing is taken from the source before the first result is requested.
    """

    _why_unpicklable: ClassVar[str] = _WHY_UNPICKLABLE

    def __init__(
        self, device: Device, source: Iterable[Any] | AsyncIterable[Any], piece: Piece, options: Options
    ) -> None:
        self._device = device
        self._source = source
        self._piece = piece
        self._width = options.width
        self._window = Window(
            depth=options.depth,
            width=options.width,
            ordered=options.ordered,
            latest=options.latest,
            deadline=options.deadline,
        )
        self._started = False

    def __aiter__(self) -> StreamResults[T_co]:
        return StreamResults(self._start(), self._source, self._width)

    def __iter__(self) -> StreamIterator[T_co]:
        if not isinstance(self._source, Iterable):
            raise ValidationError("stream: the source is async; use `async for`")
        return StreamIterator(self._start())

    def statistics(self) -> StreamStatistics:
        """Counts of the items so far: taken, delivered, left out, late, failed."""
        return self._window.statistics()

    def __repr__(self) -> str:
        figures = self.statistics()
        return f"<Stream: {figures.taken} taken, {figures.delivered} delivered>"

    def _start(self) -> Iteration:
        if self._started:
            raise InvalidStateError("stream: it can be iterated once; make another with context.stream")
        self._started = True
        timeline = self._device.timeline
        iteration = Iteration(self._source, self._window, self._piece, timeline.width.piece, timeline.count_drops)
        self._device.register(iteration)
        return iteration


class StreamResults(Unpicklable, AsyncIterator[T_co]):
    """The iterator of a stream's results, for `async for`.

    It ends with its last reference, so nothing has to be closed after `break`. `aclose()` ends it earlier. Cancelling
    a task that awaits the next result loses nothing: the stream goes on, and `anext` may be called again.
    """

    _why_unpicklable: ClassVar[str] = _WHY_UNPICKLABLE

    def __init__(self, iteration: Iteration, source: Iterable[Any] | AsyncIterable[Any], width: int) -> None:
        self._iteration = iteration
        self._source = source
        self._width = width
        self._started = False
        iteration.owned_by(self)
        self._turn = 0
        """When the event loop had its last turn, in nanoseconds."""

    def __aiter__(self) -> StreamResults[T_co]:
        return self

    async def __anext__(self) -> T_co:
        iteration, result = self._iteration, NOTHING
        try:
            if not self._started:
                self._begin()
            now = time.perf_counter_ns()
            # Results that are ready must not keep the loop from its other tasks.
            if now - self._turn > TURN and not iteration.is_forked:
                await _checkpoint()
                self._turn = time.perf_counter_ns()
            while (result := iteration.take()) is NOTHING:
                await iteration.changed()
                self._turn = time.perf_counter_ns()
            if result is END:
                iteration.leave()
                raise StopAsyncIteration
            if result.__class__ is Failure:
                iteration.leave(result.error)
                raise result.error
            return result  # type: ignore[no-any-return]
        except BaseException:
            # The exception keeps this frame alive, which must keep neither the stream nor the exception alive.
            del self, result
            raise

    async def aclose(self) -> None:
        """End the stream: drop the items that have not begun, and close the source.

        When it returns, no function of the program is running on an item any more. The source is closed after the step
        that it is in.
        """
        self._iteration.leave()
        await self._iteration.quiet()

    def _begin(self) -> None:
        bridge = current_bridge()
        if bridge is None:
            raise InvalidStateError("stream: `async for` needs a running asyncio or trio event loop; or use `for`")
        self._started = True
        self._turn = time.perf_counter_ns()
        begin_in_loop(self._iteration, self._source, bridge, self._width)

    def __del__(self) -> None:  # for the task of an async source; the threads see it by themselves
        if hasattr(self, "_turn"):  # set at the end of `__init__`
            self._iteration.leave()


class StreamIterator(Unpicklable, Iterator[T_co]):
    """The iterator of a stream's results, for `for` in a plain thread.

    It ends with its last reference, so nothing has to be closed after `break`. `close()` ends it earlier. A Ctrl-C that
    comes while it waits for a result loses nothing: `next` may be called again.
    """

    _why_unpicklable: ClassVar[str] = _WHY_UNPICKLABLE

    def __init__(self, iteration: Iteration) -> None:
        self._started = False
        self._iteration = iteration
        iteration.owned_by(self)

    def __iter__(self) -> StreamIterator[T_co]:
        return self

    def __next__(self) -> T_co:
        iteration, result = self._iteration, NOTHING
        try:
            if not self._started:
                iteration.start_source()
                self._started = True
            while (result := iteration.take()) is NOTHING:
                iteration.changed().result()
            if result.__class__ is not Failure and result is not END:
                return result  # type: ignore[no-any-return]
            iteration.leave(None if result is END else result.error)
        except BaseException:
            if result is not NOTHING and result is not END:
                iteration.put_back(result)
            del self, result  # the exception keeps this frame alive
            raise
        try:
            raise StopIteration if result is END else result.error
        finally:
            del result  # the error refers to this frame: a cycle, left to the garbage collector

    def close(self) -> None:
        """End the stream; see `StreamResults.aclose`."""
        self._iteration.leave()
        self._iteration.quiet().result()


async def _checkpoint() -> None:
    """Give the event loop a turn."""
    with import_lock:  # see `begin_in_loop`
        from anyio.lowlevel import checkpoint  # noqa: PLC0415

    await checkpoint()
