"""`context.stream`: runs a graph on each item of a source, in order, with several items under way.

A plain iterable is advanced by the consumer, between two results: while the device computes the items that are under
way, the next one is prepared. An async source is advanced by a task of its own, so that a result never waits for the
next item to arrive.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import weakref
from asyncio import CancelledError
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Iterable, Iterator
from typing import Any, ClassVar, Final

from webnn.errors import ContextLostError, InvalidStateError, ValidationError
from webnn.forking import belongs_to, on_fork
from webnn.graph.arguments import unsigned
from webnn.graph.unpicklable import Unpicklable
from webnn.scheduler.bridge import current_bridge
from webnn.scheduler.promise import Promise, abandon, resolve

__all__ = ["Stream", "StreamResults"]

_log = logging.getLogger("webnn")

_WHY_UNPICKLABLE = (
    "it runs on a context of this process. Send the source's items or the results, and make the stream in the process"
    " that uses it"
)


class Stream(Unpicklable):
    """The results of a stream: an async iterable, and an iterable if its source is one. It can be iterated once."""

    _why_unpicklable: ClassVar[str] = _WHY_UNPICKLABLE

    def __init__(
        self,
        run: Callable[[Any], Promise[Any]],
        source: Iterable[Any] | AsyncIterable[Any],
        *,
        depth: int,
        before: Callable[[Any], Any] | None,
        after: Callable[[Any], Any] | None,
    ) -> None:
        if unsigned("stream: depth", depth) == 0:
            raise ValidationError("stream: depth must be at least 1, got 0")
        if not isinstance(source, Iterable | AsyncIterable):
            raise ValidationError(
                f"stream: source must be an iterable or an async iterable, got {type(source).__name__}"
            )
        self._run = run
        self._source = source
        self._depth = depth
        self._before = before
        self._after = after
        self._started = False

    def __aiter__(self) -> StreamResults:
        self._start()
        if isinstance(self._source, AsyncIterable):
            return StreamResults(self._from_async(self._source))
        return StreamResults(self._from_sync(self._source))

    def __iter__(self) -> Generator[Any]:
        self._start()
        if not isinstance(self._source, Iterable):
            raise ValidationError("stream: the source is async; use `async for`")
        return self._blocking(self._source)

    def _start(self) -> None:
        if self._started:
            raise InvalidStateError("stream: it can be iterated once; make another with context.stream")
        self._started = True

    def _submit(self, item: Any) -> Promise[Any]:
        return self._run(item if self._before is None else self._before(item))

    def _finish(self, outputs: Any) -> Any:
        return outputs if self._after is None else self._after(outputs)

    async def _from_sync(self, source: Iterable[Any]) -> AsyncGenerator[Any]:
        window, items = _Window(self._depth), iter(source)
        try:
            while window.fill(items, self._submit):
                outputs = await window.runs[0]
                window.runs.popleft()
                yield self._finish(outputs)
            window.raise_error()
        finally:
            window.give_up()
            _close(items)

    def _blocking(self, source: Iterable[Any]) -> Generator[Any]:
        window, items = _Window(self._depth), iter(source)
        try:
            while window.fill(items, self._submit):
                outputs = window.runs[0].result()
                window.runs.popleft()
                yield self._finish(outputs)
            window.raise_error()
        finally:
            window.give_up()
            _close(items)

    async def _from_async(self, source: AsyncIterable[Any]) -> AsyncGenerator[Any]:
        window = _Window(self._depth)
        bridge = current_bridge()
        assert bridge is not None
        cancel = bridge.spawn(lambda: self._pump(source, window))
        try:
            while True:
                while not window.runs and not window.ended:
                    await window.changed()
                if not window.runs:
                    break
                outputs = await window.runs[0]
                window.runs.popleft()
                window.change()
                yield self._finish(outputs)
            window.raise_error()
        finally:
            window.give_up()
            if not window.forked:  # otherwise the task that takes the items belongs to the parent's event loop
                cancel()

    async def _pump(self, source: AsyncIterable[Any], window: _Window) -> None:
        """Run the items of `source`, never more at once than the window holds."""
        try:
            items = aiter(source)
            try:
                async for item in items:
                    while window.is_full:
                        await window.changed()
                    window.runs.append(self._submit(item))
                    window.change()
            finally:
                if hasattr(items, "aclose"):
                    await items.aclose()
            window.end(None)
        except BaseException as error:
            cancellation, failure = _parted(error)
            if window.given_up and failure is not None:
                _log_unseen(failure)
            window.end(failure if failure is not None else cancellation)
            if cancellation is not None:
                raise cancellation from None  # for the event loop; the consumer raises any other error


class StreamResults(Unpicklable):
    """The iterator of a stream's results, for `async for`.

    It ends with its last reference, so nothing has to be closed after `break`. `aclose()` ends it earlier.
    """

    _why_unpicklable: ClassVar[str] = _WHY_UNPICKLABLE

    def __init__(self, results: AsyncGenerator[Any]) -> None:
        self._results = results

    def __aiter__(self) -> StreamResults:
        return self

    def __anext__(self) -> Awaitable[Any]:
        return self._results.__anext__()

    def aclose(self) -> Awaitable[None]:
        """Give up the items that are under way and close the source."""
        return self._results.aclose()

    def __del__(self) -> None:
        # The generators await nothing once they are closed, so one step closes them. It fails if the loop was closed in
        # the middle of the stream.
        with contextlib.suppress(StopIteration, RuntimeError):
            self._results.aclose().send(None)


class _Window:
    """The runs that are under way, oldest first, and the end of their source."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self.runs: deque[Promise[Any]] = deque()
        self.ended = False
        self.given_up = False
        self.forked = False
        self._error: BaseException | None = None
        self._change: Promise[None] | None = None  # set while the pump or the consumer waits for it
        _windows.add(self)

    @property
    def is_full(self) -> bool:
        """Whether no other run fits into the window."""
        return len(self.runs) >= self._depth

    def fill(self, items: Iterator[Any], submit: Callable[[Any], Promise[Any]]) -> bool:
        """Take items until the window is full or the source has ended. Returns whether a run is under way."""
        while not self.ended and not self.is_full:
            try:
                item = next(items)
            except StopIteration:
                self.end(None)
                break
            except Exception as error:  # raised after the results of the items before; an interrupt is raised at once
                self.end(error)
                break
            try:
                self.runs.append(submit(item))
            except Exception as error:
                self.end(error)
        return bool(self.runs)

    def end(self, error: BaseException | None) -> None:
        """The source is exhausted, or has failed."""
        self.ended, self._error = True, error
        self.change()

    def raise_error(self) -> None:
        """Raise the error of the source, if it has failed."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def give_up(self) -> None:
        """The consumer has left. An interrupt that it has not seen is logged; other errors are dropped."""
        self.given_up = True
        error, self._error = self._error, None
        if error is not None and not isinstance(error, Exception):
            failure = _parted(error)[1]
            if failure is not None:
                _log_unseen(failure)
        for run in self.runs:
            run.cancel()
        self.change()

    def end_in_child(self, error: ContextLostError) -> None:
        """End the stream: this process is a forked child, and the source and the waiters belong to the parent."""
        self.forked = self.ended = True
        self._error = error
        change, self._change = self._change, None
        if change is not None:
            abandon(change, error)

    def change(self) -> None:
        """Wake the waiter for a change, if there is one."""
        change, self._change = self._change, None
        if change is not None:
            resolve(change, None)

    def changed(self) -> Promise[None]:
        """A promise that settles at the next `change`."""
        if self._change is None:
            self._change = Promise()
        return self._change


_windows: Final[weakref.WeakSet[_Window]] = weakref.WeakSet()


@on_fork
def _end_all_in_child(parent: int) -> None:
    for window in list(_windows):
        window.end_in_child(ContextLostError(f"the stream has ended: {belongs_to(parent)}"))


def _parted(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """The part of `error` that cancels a task of asyncio or trio, and the rest."""
    trio = sys.modules.get("trio")
    kinds = (CancelledError,) if trio is None else (CancelledError, trio.Cancelled)
    if isinstance(error, BaseExceptionGroup):
        cancellation, failure = error.split(kinds)
        return (cancellation, failure) if cancellation is not None else (None, error)
    return (error, None) if isinstance(error, kinds) else (None, error)


def _log_unseen(error: BaseException) -> None:
    if not isinstance(error, GeneratorExit):  # the loop was closed around the source
        _log.error("the source of a stream failed after its consumer had left", exc_info=error)


def _close(items: Any) -> None:
    if hasattr(items, "close"):
        items.close()
