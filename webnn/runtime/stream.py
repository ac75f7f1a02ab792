"""`context.stream`: a graph over everything that a source yields, in order, several items at a time.

A source that is not async is advanced by the consumer, between handing out results: while the device works on the
items that are under way, the next one is prepared. An async source is advanced by a task of its own, so that a result
never waits for the next item to arrive.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable
from typing import Any

from webnn.errors import InvalidStateError, ValidationError
from webnn.graph.arguments import unsigned
from webnn.scheduler.bridge import current_bridge
from webnn.scheduler.promise import Promise

__all__ = ["Stream"]


class Stream:
    """The results of a stream: an async iterable, and an iterable if its source is one. It can be gone through once."""

    def __init__(
        self,
        run: Callable[[Any], Promise[Any]],
        source: Iterable[Any] | AsyncIterable[Any],
        *,
        depth: int,
        before: Callable[[Any], Any] | None,
        after: Callable[[Any], Any] | None,
    ) -> None:
        if unsigned("depth", depth) == 0:
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

    def __aiter__(self) -> AsyncGenerator[Any]:
        self._start()
        if isinstance(self._source, AsyncIterable):
            return self._from_async(self._source)
        return self._from_sync(self._source)

    def __iter__(self) -> Generator[Any]:
        self._start()
        if not isinstance(self._source, Iterable):
            raise ValidationError("stream: the source is async; use `async for`")
        return self._blocking(self._source)

    def _start(self) -> None:
        if self._started:
            raise InvalidStateError("stream: it can be gone through once; make another with context.stream")
        self._started = True

    def _submit(self, item: Any) -> Promise[Any]:
        return self._run(item if self._before is None else self._before(item))

    def _finish(self, outputs: Any) -> Any:
        return outputs if self._after is None else self._after(outputs)

    def _fill(self, under_way: deque[Promise[Any]], items: Any) -> BaseException | None:
        """Take items until `depth` are under way; what ended the source, which is raised after what is under way."""
        while len(under_way) < self._depth:
            try:
                under_way.append(self._submit(next(items)))
            except BaseException as error:
                return error
        return None

    async def _from_sync(self, source: Iterable[Any]) -> AsyncGenerator[Any]:
        under_way: deque[Promise[Any]] = deque()
        items = iter(source)
        end: BaseException | None = None
        try:
            while True:
                if end is None:
                    end = self._fill(under_way, items)
                if not under_way:
                    break
                yield self._finish(await under_way.popleft())
            _raise_unless_exhausted(end)
        finally:
            _give_up(under_way)
            _close(items)

    def _blocking(self, source: Iterable[Any]) -> Generator[Any]:
        under_way: deque[Promise[Any]] = deque()
        items = iter(source)
        end: BaseException | None = None
        try:
            while True:
                if end is None:
                    end = self._fill(under_way, items)
                if not under_way:
                    break
                yield self._finish(under_way.popleft().result())
            _raise_unless_exhausted(end)
        finally:
            _give_up(under_way)
            _close(items)

    async def _from_async(self, source: AsyncIterable[Any]) -> AsyncGenerator[Any]:
        under_way: deque[Promise[Any]] = deque()
        state = _Pump()

        async def pump() -> None:
            items = aiter(source)
            try:
                async for item in items:
                    while len(under_way) >= self._depth:
                        await state.changed()
                    under_way.append(self._submit(item))
                    state.change()
                state.end = StopAsyncIteration()
            except BaseException as error:
                state.end = error
                if not isinstance(error, Exception):  # cancellation is the loop's business
                    raise
            finally:
                state.change()
                if hasattr(items, "aclose"):
                    await items.aclose()

        bridge = current_bridge()
        assert bridge is not None
        cancel = bridge.spawn(pump)
        try:
            while True:
                while not under_way and state.end is None:
                    await state.changed()
                if not under_way:
                    break
                outputs = await under_way[0]
                under_way.popleft()
                state.change()
                yield self._finish(outputs)
            _raise_unless_exhausted(state.end)
        finally:
            cancel()
            _give_up(under_way)


class _Pump:
    """What the task that advances an async source and its consumer tell each other."""

    def __init__(self) -> None:
        self.end: BaseException | None = None
        self._next: Promise[None] = Promise()

    def change(self) -> None:
        """Something has changed."""
        changed, self._next = self._next, Promise()
        changed.resolve(None)

    def changed(self) -> Promise[None]:
        """Settles at the next `change`."""
        return self._next


def _raise_unless_exhausted(end: BaseException | None) -> None:
    if end is not None and not isinstance(end, StopIteration | StopAsyncIteration):
        raise end


def _give_up(under_way: deque[Promise[Any]]) -> None:
    for promise in under_way:
        promise.cancel()


def _close(items: Any) -> None:
    if hasattr(items, "close"):
        items.close()
