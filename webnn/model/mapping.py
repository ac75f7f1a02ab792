"""`model.map`: many items, computed side by side, with a result or an error for each of them in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from webnn.errors import InvalidStateError
from webnn.graph.unpicklable import Unpicklable
from webnn.model.loaded import Loaded
from webnn.model.progress import Progress, bar_of
from webnn.model.rows import computed
from webnn.runtime.streaming.options import check_iterable
from webnn.runtime.streaming.pieces import ItemError
from webnn.runtime.streaming.stream import Stream

__all__ = ["Mapped", "Work", "batched", "length_of"]

R_co = TypeVar("R_co", covariant=True)

Show = bool | Callable[[int, int | None], object]


@dataclass(frozen=True, slots=True)
class Work:
    """What is done with each item.

    Attributes:
        before: called with an item; returns the inputs of the model.
        after: called with the outputs; returns the result.
        key: called with an item; its value stands beside the result.
    """

    before: Callable[[Any], Any] | None
    after: Callable[[Any], Any] | None
    key: Callable[[Any], Any] | None

    def of(self, loaded: Loaded, first: int, items: Sequence[Any]) -> list[tuple[Any, Any]]:
        """The key and the result of each item, or its `ItemError`. `first` is the number of the first item."""
        outcomes = computed(loaded, [self._inputs(item) for item in items], here=True)
        results: list[tuple[Any, Any]] = []
        for number, (item, outcome) in enumerate(zip(items, outcomes, strict=True), first):
            key: Any = None
            result: Any = outcome
            try:
                key = None if self.key is None else self.key(item)
                if isinstance(outcome, Exception):
                    result = ItemError(number, outcome)
                elif self.after is not None:
                    result = self.after(outcome)
                else:  # copied, so that a result that is kept does not keep its batch
                    result = {name: array.copy() for name, array in outcome.items()}
            except Exception as error:
                result = ItemError(number, error)
            results.append((key, result))
        return results

    def _inputs(self, item: Any) -> Callable[[], Any]:
        before = self.before
        return lambda: item if before is None else before(item)


class Mapped(Unpicklable, Generic[R_co]):
    """The results of `model.map`: an iterable, and an async iterable. It can be iterated once."""

    _why_unpicklable: ClassVar[str] = (
        "it runs on a context of this process. Send the items or the results, and call model.map in the process that"
        " uses them"
    )

    def __init__(
        self, stream: Stream[Any], total: int | None, title: str, progress: Show, *, keyed: bool, raises: bool
    ):
        self._stream = stream
        self._total = total
        self._title = title
        self._progress = progress
        self._keyed = keyed
        self._raises = raises
        self._started = False

    def __iter__(self) -> Iterator[R_co]:
        self._check_new()
        results: Iterator[R_co] = MappedIterator(iter(self._stream), self._taker())
        self._started = True
        return results

    def __aiter__(self) -> AsyncIterator[R_co]:
        self._check_new()
        results: AsyncIterator[R_co] = MappedAsyncIterator(aiter(self._stream), self._taker())
        self._started = True
        return results

    def _check_new(self) -> None:
        if self._started:
            raise InvalidStateError("map: the results can be iterated once; call model.map again")

    def _taker(self) -> _Taker:
        return _Taker(bar_of(self._total, self._title, self._progress), keyed=self._keyed, raises=self._raises)


class _Taker:
    """The results of the last batch, given one by one."""

    def __init__(self, progress: Progress, *, keyed: bool, raises: bool) -> None:
        self.progress = progress
        self.ready: deque[tuple[Any, Any]] = deque()
        self._keyed = keyed
        self._raises = raises

    def take(self) -> Any:
        """The next result. It counts as taken when nothing more can fail."""
        key, result = self.ready[0]
        failed = self._raises and isinstance(result, ItemError)
        if not failed:
            self.progress.advance()
        self.ready.popleft()
        if failed:
            self.ready.clear()
            raise result.error
        return (key, result) if self._keyed else result


class MappedIterator(Unpicklable, Iterator[R_co]):
    """The iterator of the results, for `for`. `close()` ends it before its last result."""

    _why_unpicklable: ClassVar[str] = Mapped._why_unpicklable

    def __init__(self, batches: Any, taker: _Taker) -> None:
        self._batches = batches
        self._taker = taker

    def __next__(self) -> R_co:
        taker = self._taker
        try:
            while not taker.ready:
                taker.ready.extend(next(self._batches))
            return taker.take()  # type: ignore[no-any-return]
        except Exception as error:
            if not isinstance(error, StopIteration):
                self._batches.close()
            taker.progress.end()
            raise

    def close(self) -> None:
        """Give up the items that were not begun, and close their source."""
        self._batches.close()
        self._taker.ready.clear()
        self._taker.progress.end()

    def __del__(self) -> None:
        self._taker.progress.end()


class MappedAsyncIterator(Unpicklable, AsyncIterator[R_co]):
    """The iterator of the results, for `async for`. `aclose()` ends it before its last result."""

    _why_unpicklable: ClassVar[str] = Mapped._why_unpicklable

    def __init__(self, batches: Any, taker: _Taker) -> None:
        self._batches = batches
        self._taker = taker

    async def __anext__(self) -> R_co:
        taker = self._taker
        try:
            while not taker.ready:
                taker.ready.extend(await anext(self._batches))
            return taker.take()  # type: ignore[no-any-return]
        except Exception as error:
            if not isinstance(error, StopAsyncIteration):
                await self._batches.aclose()
            taker.progress.end()
            raise

    async def aclose(self) -> None:
        """Give up the items that were not begun, and close their source."""
        await self._batches.aclose()
        self._taker.ready.clear()
        self._taker.progress.end()

    def __del__(self) -> None:
        self._taker.progress.end()


def batched(items: Iterable[Any] | AsyncIterable[Any], size: int) -> Any:
    """Lists of up to `size` items, each with the number of the first; the source stays sync or async."""
    check_iterable("map: items", items)
    return _batches(items, size) if isinstance(items, Iterable) else _async_batches(items, size)


def length_of(items: object) -> int | None:
    """The number of items, if they know it."""
    return len(items) if isinstance(items, Sized) else None


def _batches(items: Iterable[Any], size: int) -> Iterator[tuple[int, list[Any]]]:
    source, first = iter(items), 0
    try:
        while True:
            batch: list[Any] = []
            try:
                while len(batch) < size:  # not `islice`, which calls `iter` again: that of Daft's Series begins again
                    batch.append(next(source))
            except Exception as error:  # raised after the items before it
                if batch:
                    yield first, batch
                if isinstance(error, StopIteration):
                    return
                raise
            yield first, batch
            first += len(batch)
    finally:
        if hasattr(source, "close"):
            source.close()


async def _async_batches(items: AsyncIterable[Any], size: int) -> AsyncIterator[tuple[int, list[Any]]]:
    source, first = aiter(items), 0
    try:
        while True:
            batch: list[Any] = []
            try:
                while len(batch) < size:
                    batch.append(await anext(source))
            except Exception as error:  # raised after the items before it
                if batch:
                    yield first, batch
                if isinstance(error, StopAsyncIteration):
                    return
                raise
            yield first, batch
            first += len(batch)
    finally:
        if hasattr(source, "aclose"):
            await source.aclose()
