"""The options of a stream, checked."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import dataclass
from inspect import isasyncgenfunction, iscoroutinefunction, isfunction
from typing import Any, Final, Literal, TypeAlias, TypedDict

from webnn.errors import ValidationError
from webnn.graph.arguments import boolean, enum_value, shown, unsigned
from webnn.runtime.checks import seconds
from webnn.runtime.graph import MLGraph

__all__ = [
    "ERROR_POLICIES",
    "ErrorPolicy",
    "Options",
    "Policy",
    "StreamOptions",
    "check_function",
    "check_iterable",
    "check_not_async",
    "options_from",
]

Policy: TypeAlias = Literal["all", "latest"]
ErrorPolicy: TypeAlias = Literal["raise", "yield"]

POLICIES: Final[tuple[Policy, ...]] = ("all", "latest")
ERROR_POLICIES: Final[tuple[ErrorPolicy, ...]] = ("raise", "yield")


class StreamOptions(TypedDict, total=False):
    """The options of `context.stream` that say how items go through, as they are given."""

    depth: int | None
    ordered: bool
    policy: Policy
    deadline: float | None
    on_error: ErrorPolicy


@dataclass(frozen=True, slots=True)
class Options:
    """What a stream was asked for.

    Attributes:
        depth: the most items that are under way at once; None if the stream chooses.
        width: the most items that are in progress at once.
        ordered: whether results come in the order of their items.
        latest: whether a newer item replaces the one that waits.
        deadline: nanoseconds after which an item that was not begun is dropped; None for no limit.
        yields_errors: whether an item's error is given in place of its result.
    """

    depth: int | None
    width: int
    ordered: bool
    latest: bool
    deadline: int | None
    yields_errors: bool


def options_from(
    *,
    width: int,
    depth: int | None = None,
    ordered: bool = True,
    policy: Policy = "all",
    deadline: float | None = None,
    on_error: ErrorPolicy = "raise",
) -> Options:
    """The options of a call of `context.stream`; `width` is the most items that can be in progress."""
    if depth is not None and unsigned("stream: depth", depth) == 0:
        raise ValidationError("stream: depth must be at least 1, got 0")
    latest = enum_value("stream: policy", policy, POLICIES) == "latest"
    if depth is None and latest:
        depth = 1  # two frames side by side would each take longer, and be older when they are done
    limit = None if deadline is None else seconds("stream: deadline", deadline)
    return Options(
        depth=depth,
        width=width if depth is None else min(width, depth),
        ordered=boolean("stream: ordered", ordered),
        latest=latest,
        deadline=None if limit is None else int(limit * 1e9),
        yields_errors=enum_value("stream: on_error", on_error, ERROR_POLICIES) == "yield",
    )


def check_iterable(where: str, items: object) -> None:
    """Raise if `items` are not iterable, or the path of a folder, which is iterable as a text: letter by letter."""
    if isinstance(items, str | os.PathLike):
        raise ValidationError(
            f"{where} must be an iterable or an async iterable, got {shown(items)};"
            " the files of a folder are sorted(pathlib.Path(folder).iterdir())"
        )
    if not isinstance(items, Iterable | AsyncIterable):
        raise ValidationError(f"{where} must be an iterable or an async iterable, got {type(items).__name__}")


def check_function(name: str, function: Callable[..., Any] | None) -> None:
    """Raise if `function` was given and cannot be called, or is async: worker threads call it, without a loop."""
    if function is None:
        return
    if not callable(function) or isinstance(function, MLGraph):
        raise ValidationError(f"stream: {name} must be a function, got {type(function).__name__}")
    check_not_async(f"stream: {name}", function)


def check_not_async(where: str, function: Callable[..., Any]) -> None:
    """Raise if calling `function` gives something to await."""
    own = function if isfunction(function) else getattr(type(function), "__call__", None)  # noqa: B004
    if iscoroutinefunction(function) or iscoroutinefunction(own) or isasyncgenfunction(function):
        raise ValidationError(
            f"{where} must be a plain function, got an async one, but a worker thread calls it;"
            " await in the source instead, an async generator, or around the results"
        )
