"""The methods of a model for many items: `stream` and `map`."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from webnn.backends.processors import usable_cores
from webnn.errors import ValidationError
from webnn.graph.arguments import enum_value, shown
from webnn.model.loaded import Loaded
from webnn.model.mapping import Mapped, Work, batched, length_of
from webnn.model.options import at_least_one
from webnn.runtime.streaming.options import ERROR_POLICIES, ErrorPolicy, Policy, StreamOptions, check_not_async
from webnn.runtime.streaming.stream import Stream

__all__ = ["Many"]


class Many:
    """What a model can do with many items."""

    _path: str

    def _load(self) -> Loaded:
        """Load the model in this process, if it is not."""
        raise NotImplementedError

    def stream(
        self,
        source: Iterable[Any] | AsyncIterable[Any],
        *,
        before: Callable[[Any], Any] | None = None,
        after: Callable[[dict[str, np.ndarray[Any, Any]]], Any] | None = None,
        depth: int | None = None,
        ordered: bool = True,
        policy: Policy = "all",
        deadline: float | None = None,
        on_error: ErrorPolicy = "raise",
        key: Callable[[Any], Any] | None = None,
        state: Mapping[str, str] | None = None,
    ) -> Stream[Any]:
        """The outputs for each item of `source`, as `context.stream` gives them: for cameras, microphones and the like.

        The arguments are those of `context.stream`. Each item is one call of the model, and items may differ in size.
        `map` computes items in batches.

        Raises:
            ValidationError: an option is not valid, or `state` is given and the inputs have open dimensions.
        """
        loaded = self._load()
        given: StreamOptions = {
            "depth": depth,
            "ordered": ordered,
            "policy": policy,
            "deadline": deadline,
            "on_error": on_error,
        }
        if state is not None:
            if loaded.signature.open:
                raise ValidationError(
                    f"{self._path}: a stream with state needs inputs without open dimensions, the inputs are"
                    f" {loaded.signature}; give them sizes: Model(..., shapes={{...}})"
                )
            return loaded.context.stream(
                [loaded.graphs.get(())],
                source,
                before=before,
                after=after,
                key=key,
                state=state,
                **given,
            )

        def compute(inputs: Any) -> dict[str, np.ndarray[Any, Any]]:
            return loaded.compute(loaded.call(inputs), here=True)

        steps = [step for step in (before, compute, after) if step is not None]
        return loaded.context.stream_work(steps, source, key=key, **given)

    def map(
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        before: Callable[[Any], Any] | None = None,
        after: Callable[[dict[str, np.ndarray[Any, Any]]], Any] | None = None,
        key: Callable[[Any], Any] | None = None,
        batch: int = 32,
        on_error: ErrorPolicy = "yield",
        progress: bool | Callable[[int, int | None], object] = True,
    ) -> Mapped[Any]:
        """A result for each of many items, in their order: `for result in model.map(paths, before=decode)`.

        Items are worked on side by side, in batches, on as many threads as there are cores: `before` of each item, the
        runs, `after` of each. So decoding overlaps with inference. The inputs of an item may have the dimension of the
        batch or lack it; its result then has it, or lacks it, too. Items of equal shapes are computed together, in the
        size of batch that was measured to be fastest. The result can be iterated with `for` and with `async for`, once.

        Args:
            items: an iterable or async iterable. It is advanced on a thread, or in a task, of its own. An error of its
                own is raised after the results of all items before it, whatever `on_error` is.
            before: called with each item; returns the inputs. It is called on several threads at once.
            after: called with the outputs of each item, by name, which are views of the batch; returns the result.
                Without it, the outputs are copied.
            key: called with each item; the results are then `(key(item), result)`.
            batch: the most items that are worked on in one piece.
            on_error: "yield" gives an `ItemError` in place of the result of an item that failed. "raise" raises its
                error, after the results of the items before it.
            progress: True for a bar on the terminal once it takes more than a second, if the package `rich` is
                installed. A function is called with the number of items that are done and the total, or None if
                `items` have no length.

        Raises:
            ValidationError: an option is not valid. Besides the errors of `load`.
        """
        size = at_least_one(f"{self._path}: map", "batch", batch)
        raises = enum_value(f"{self._path}: map: on_error", on_error, ERROR_POLICIES) == "raise"
        for name, function in (("before", before), ("after", after), ("key", key)):
            if function is None:
                continue
            if not callable(function):
                raise ValidationError(f"{self._path}: map: {name} must be a function, got {shown(function)}")
            check_not_async(f"{self._path}: map: {name}", function)
        total = length_of(items)
        if total is not None:  # the last pieces would otherwise keep one core busy, and the others waiting
            size = max(1, min(size, total // (4 * usable_cores())))
        batches = batched(items, size)
        loaded = self._load()
        work = Work(before, after, key)
        stream = loaded.context.stream_work([lambda batch: work.of(loaded, *batch)], batches)
        return Mapped(stream, total, Path(self._path).name, progress, keyed=key is not None, raises=raises)
