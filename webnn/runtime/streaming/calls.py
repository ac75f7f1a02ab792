"""The method `stream` of a context."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, Unpack, overload

import numpy as np

from webnn.backends.processors import usable_threads
from webnn.forking import import_lock
from webnn.graph.spelling import explained
from webnn.runtime.checks import check_not_recording
from webnn.runtime.device import Device
from webnn.runtime.graph import MLGraph
from webnn.runtime.recording import Recordings

if TYPE_CHECKING:
    from webnn.runtime.streaming.options import ErrorPolicy, Options, Policy, StreamOptions
    from webnn.runtime.streaming.pieces import ItemError, Piece, Stage
    from webnn.runtime.streaming.stream import Stream

__all__ = ["Streaming"]

I = TypeVar("I")  # noqa: E741 (an item)
K = TypeVar("K")
R = TypeVar("R")
Outputs: TypeAlias = dict[str, np.ndarray[Any, Any]]
Source: TypeAlias = Iterable[I] | AsyncIterable[I]


class Streaming:
    """What a context can do with many items."""

    _device: Device
    _recordings: Recordings

    @overload
    def stream(
        self,
        graph: MLGraph,
        source: Source[I],
        *,
        before: Callable[[I], Mapping[str, Any]] | None = None,
        after: None = None,
        depth: int | None = None,
        ordered: bool = True,
        policy: Policy = "all",
        deadline: float | None = None,
        on_error: Literal["raise"] = "raise",
        key: None = None,
        state: Mapping[str, str] | None = None,
    ) -> Stream[Outputs]: ...
    @overload
    def stream(
        self,
        graph: MLGraph,
        source: Source[I],
        *,
        before: Callable[[I], Mapping[str, Any]] | None = None,
        after: None = None,
        depth: int | None = None,
        ordered: bool = True,
        policy: Policy = "all",
        deadline: float | None = None,
        on_error: Literal["yield"],
        key: None = None,
        state: Mapping[str, str] | None = None,
    ) -> Stream[Outputs | ItemError]: ...
    @overload
    def stream(
        self,
        graph: MLGraph,
        source: Source[I],
        *,
        before: Callable[[I], Mapping[str, Any]] | None = None,
        after: Callable[[Outputs], R],
        depth: int | None = None,
        ordered: bool = True,
        policy: Policy = "all",
        deadline: float | None = None,
        on_error: Literal["raise"] = "raise",
        key: None = None,
        state: Mapping[str, str] | None = None,
    ) -> Stream[R]: ...
    @overload
    def stream(
        self,
        graph: MLGraph,
        source: Source[I],
        *,
        before: Callable[[I], Mapping[str, Any]] | None = None,
        after: Callable[[Outputs], R],
        depth: int | None = None,
        ordered: bool = True,
        policy: Policy = "all",
        deadline: float | None = None,
        on_error: Literal["yield"],
        key: None = None,
        state: Mapping[str, str] | None = None,
    ) -> Stream[R | ItemError]: ...
    @overload
    def stream(
        self,
        graph: MLGraph,
        source: Source[I],
        *,
        before: Callable[[I], Mapping[str, Any]] | None = None,
        after: None = None,
        depth: int | None = None,
        ordered: bool = True,
        policy: Policy = "all",
        deadline: float | None = None,
        on_error: Literal["raise"] = "raise",
        key: Callable[[I], K],
        state: Mapping[str, str] | None = None,
    ) -> Stream[tuple[K, Outputs]]: ...
    @overload
    def stream(
        self,
        graph: MLGraph,
        source: Source[I],
        *,
        before: Callable[[I], Mapping[str, Any]] | None = None,
        after: None = None,
        depth: int | None = None,
        ordered: bool = True,
        policy: Policy = "all",
        deadline: float | None = None,
        on_error: Literal["yield"],
        key: Callable[[I], K],
        state: Mapping[str, str] | None = None,
    ) -> Stream[tuple[K, Outputs | ItemError]]: ...
    @overload
    def stream(
        self,
        graph: MLGraph,
        source: Source[I],
        *,
        before: Callable[[I], Mapping[str, Any]] | None = None,
        after: Callable[[Outputs], R],
        depth: int | None = None,
        ordered: bool = True,
        policy: Policy = "all",
        deadline: float | None = None,
        on_error: Literal["raise"] = "raise",
        key: Callable[[I], K],
        state: Mapping[str, str] | None = None,
    ) -> Stream[tuple[K, R]]: ...
    @overload
    def stream(
        self,
        graph: MLGraph,
        source: Source[I],
        *,
        before: Callable[[I], Mapping[str, Any]] | None = None,
        after: Callable[[Outputs], R],
        depth: int | None = None,
        ordered: bool = True,
        policy: Policy = "all",
        deadline: float | None = None,
        on_error: Literal["yield"],
        key: Callable[[I], K],
        state: Mapping[str, str] | None = None,
    ) -> Stream[tuple[K, R | ItemError]]: ...
    @overload
    def stream(
        self,
        graph: Sequence[Stage],
        source: Source[I],
        *,
        before: Callable[[I], Any] | None = None,
        after: Callable[[Any], Any] | None = None,
        depth: int | None = None,
        ordered: bool = True,
        policy: Policy = "all",
        deadline: float | None = None,
        on_error: ErrorPolicy = "raise",
        key: Callable[[I], Any] | None = None,
        state: Mapping[str, str] | None = None,
    ) -> Stream[Any]: ...
    @explained
    def stream(
        self,
        graph: MLGraph | Sequence[Stage],
        source: Iterable[Any] | AsyncIterable[Any],
        *,
        before: Callable[[Any], Any] | None = None,
        after: Callable[[Any], Any] | None = None,
        depth: int | None = None,
        ordered: bool = True,
        policy: Policy = "all",
        deadline: float | None = None,
        on_error: ErrorPolicy = "raise",
        key: Callable[[Any], Any] | None = None,
        state: Mapping[str, str] | None = None,
    ) -> Stream[Any]:
        """Run `graph` on each item of `source`: `async for outputs in context.stream(graph, frames)`, or `for`.

        One worker thread does all the work on an item: `before(item)`, the run, `after(outputs)`. As many items as
        there are cores are processed side by side. A source that is not async is advanced on a thread of its own. So
        neither the source nor the functions hold up an event loop, and they overlap with the runs.

        >>> import numpy as np
        >>> import webnn
        >>> with webnn.create_context() as context:
        ...     builder = context.create_graph_builder()
        ...     x = builder.input("x", [2], "float32")
        ...     graph = builder.build({"y": builder.mul(x, x)})
        ...     numbers = context.stream(
        ...         graph,
        ...         range(4),
        ...         before=lambda i: {"x": np.array([i, i + 1], np.float32)},
        ...         after=lambda outputs: float(outputs["y"].sum()),
        ...     )
        ...     print(list(numbers))
        [1.0, 5.0, 13.0, 25.0]

        Args:
            graph: a graph of this context; or a list of stages, each of them a graph or a function, which takes the
                result of the stage before.
            source: an iterable or async iterable of the items. Without `before`, these are inputs as `run` takes them.
                It is closed when the stream ends, however it ends.
            before: called with each item; returns the inputs. As all functions here, it is called on several threads at
                once, unless `state` is given or `depth` is 1.
            after: called with the outputs of each run, by name; returns the result.
            depth: the most items that have been taken from the source and whose results have not been delivered, at
                least 1. By default, as many items are in progress as there are cores, one more waits for every four
                cores (two per core, if the source does not wait for its items), and up to four results per core are
                kept ready; more, if the work on an item takes little. With `policy="latest"` the default is 1.
            ordered: whether results come in the order of their items, or as soon as they are available.
            policy: "all" takes an item from the source when there is room for it. "latest" takes items as they come;
                when a worker is free, it begins the newest item and skips older ones: for cameras.
            deadline: seconds. An item that has waited longer since it came from the source is dropped before any work.
            on_error: "raise" ends the stream with the error of an item, after the results of the items before it.
                "yield" gives an `ItemError` in place of the result, and goes on.
            key: called with each item; the stream gives `(key(item), result)`.
            state: names of outputs, each with the name of an input. The output of one item is that input of the next.
                It begins with zeros, and an item whose inputs have the name sets it. Items then go one after the
                other. An item whose run fails leaves the state as it was.

        Errors of the source are raised after the results of the items before. `Stream.statistics()` counts the items
        that were left out, late or failed.

        Raises:
            ValidationError: an option has no valid value, `source` is not iterable, a stage is neither a graph of this
                context nor a function, or `state` does not fit the graph.
        """
        with import_lock:  # here, since most programs stream nothing
            from webnn.runtime.streaming.pieces import piece_of  # noqa: PLC0415

        options = self._checked_options(
            source,
            {"before": before, "after": after, "key": key},
            1 if state else usable_threads(),
            depth=depth,
            ordered=ordered,
            policy=policy,
            deadline=deadline,
            on_error=on_error,
        )
        piece = piece_of(
            self._device,
            graph,
            before=before,
            after=after,
            key=key,
            state=state,
            yields_errors=options.yields_errors,
        )
        return _stream(self._device, source, piece, options)

    def stream_work(
        self,
        steps: Sequence[Callable[[Any], Any]],
        source: Source[Any],
        *,
        key: Callable[[Any], Any] | None = None,
        **given: Unpack[StreamOptions],
    ) -> Stream[Any]:
        """A stream in which `steps` are called one after the other, and run the graphs of this context by themselves.

        The options are those of `stream`. For code that chooses the graph by the item, as `webnn.Model` does.
        """
        with import_lock:  # here, since most programs stream nothing
            from webnn.runtime.streaming.pieces import Piece  # noqa: PLC0415

        options = self._checked_options(
            source,
            {"key": key, **{f"step {i}": step for i, step in enumerate(steps)}},
            usable_threads(),
            **given,
        )
        return _stream(self._device, source, Piece(steps, key, yields_errors=options.yields_errors), options)

    def _checked_options(
        self,
        source: object,
        functions: Mapping[str, Callable[..., Any] | None],
        width: int,
        **given: Unpack[StreamOptions],
    ) -> Options:
        with import_lock:
            from webnn.runtime.streaming.options import (  # noqa: PLC0415
                check_function,
                check_iterable,
                options_from,
            )

        check_not_recording(self._recordings, "stream")
        check_iterable("stream: source", source)
        for name, function in functions.items():
            check_function(name, function)
        return options_from(width=width, **given)


def _stream(device: Device, source: Source[Any], piece: Piece, options: Options) -> Stream[Any]:
    with import_lock:
        from webnn.runtime.streaming.stream import Stream  # noqa: PLC0415

    return Stream(device, source, piece, options)
