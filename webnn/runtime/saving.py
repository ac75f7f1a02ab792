"""Where graphs are saved to: files of several formats, and the store behind `context.save_graph`.

The formats stand above the runtime and register themselves here; those that need other libraries as `module:name`,
which is imported when asked for.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import platformdirs

from webnn.backends.disk_cache import LIMIT, DiskCache
from webnn.errors import ContextLostError, ValidationError
from webnn.forking import import_whole, reentrant_lock
from webnn.graph.arguments import shown
from webnn.graph.builder import GraphHost
from webnn.graph.ir import Graph
from webnn.graph.limits import LimitsTable
from webnn.scheduler.lane import ThreadLane
from webnn.scheduler.promise import Promise, abandon, reject, resolve

__all__ = [
    "CACHE_VARIABLE",
    "SAVERS",
    "STORES",
    "Draft",
    "GraphStore",
    "Saved",
    "SavedGraphs",
    "cache_folder",
    "check_key",
    "disk_cache",
    "registered",
]

SAVERS: Final[dict[str, str]] = {".onnx": "webnn.backends.onnx.export:save_onnx"}
"""File suffix to the function that writes a `Graph` to such a path."""

STORES: Final[dict[str, Callable[[Path], GraphStore]]] = {}
"""Under `"graphs"`, what makes the `GraphStore` in a folder."""

SESSIONS_VARIABLE: Final = "WEBNN_SESSION_CACHE"
"""The environment variable that switches the cache of compiled graphs on: "on", "off" or a folder."""

_SWITCHES: Final = {
    **dict.fromkeys(("on", "1", "true", "yes"), True),
    **dict.fromkeys(("off", "0", "false", "no", ""), False),
}

LIMIT_VARIABLE: Final = "WEBNN_SESSION_CACHE_BYTES"
"""The environment variable that says how large it may become."""

CACHE_VARIABLE: Final = "WEBNN_CACHE_DIR"
"""The environment variable that says where saved graphs go."""

T = TypeVar("T")


def registered(name: str) -> Any:
    """What `module:name` stands for."""
    module, _, attribute = name.partition(":")
    return getattr(import_whole(module), attribute)


def cache_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """The folder of everything that is kept between programs: as given, or as the environment says, or the user's."""
    chosen = given or os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("webnn", appauthor=False)


def disk_cache(
    given: bool | str | os.PathLike[str] | None, limit: int | None, folder: str | os.PathLike[str] | None
) -> DiskCache | None:
    """The cache of compiled graphs that the options, or else the environment, ask for; None if it is off.

    Raises:
        ValidationError: they are not what they can be.
    """
    chosen = given if given is not None else os.environ.get(SESSIONS_VARIABLE, "off")
    if not isinstance(chosen, bool | str | os.PathLike):
        raise ValidationError(f"session_cache must be True, False or a folder, got {chosen!r}")
    said: object = limit if limit is not None else os.environ.get(LIMIT_VARIABLE) or LIMIT
    size = int(said) if isinstance(said, str) and said.isdecimal() else said
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise ValidationError(f"session_cache_bytes, or {LIMIT_VARIABLE}, must be a number of bytes, got {shown(said)}")
    switch = _SWITCHES.get(chosen.lower(), chosen) if isinstance(chosen, str) else chosen
    if switch is False:
        return None
    return DiskCache(cache_folder(folder) / "sessions" if switch is True else Path(switch).expanduser(), size)


@dataclass(frozen=True, slots=True)
class Saved:
    """A graph as a store gives it back."""

    graph: Graph
    check: Callable[[], None]
    """Compares the weights, which have not been read yet, with what was saved; raises `DataError`."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a builder builds for that only makes the graph, without compiling it."""

    limits: LimitsTable

    def check_not_lost(self) -> None:
        """It cannot be."""

    def compile(self, graph: Graph) -> Graph:
        """The graph itself."""
        return graph


class GraphStore(Protocol):
    """Keeps graphs under keys. Called from several threads, and beside other processes."""

    def keys(self) -> list[str]:
        """Every key, sorted."""
        ...

    def save(self, key: str, graph: Graph) -> None:
        """Keep `graph` under `key`, in place of what is there."""
        ...

    def load(self, key: str, host: GraphHost[Graph]) -> Saved:
        """Make the graph again, for `host`.

        Raises:
            ValidationError: there is none.
            DataError: it is damaged; it has been removed.
            NotSupportedError: the host's limits are narrower than those it was saved with.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove it, if it is there."""
        ...


class SavedGraphs:
    """The store of one context, and the thread on which it works: in the order of the calls, off the event loop."""

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self._folder = folder
        self._lane = ThreadLane("webnn-files")
        self._pending: weakref.WeakSet[Promise[Any]] = weakref.WeakSet()
        self._lock = reentrant_lock()  # around `_pending` and `_lost`; reentrant for finalizers
        self._lost: ContextLostError | None = None
        weakref.finalize(self, self._lane.close, wait=False)

    @property
    def store(self) -> GraphStore:
        """The store, at the place that the option or the environment says now."""
        return STORES["graphs"](cache_folder(self._folder) / "graphs")

    def submit(self, work: Callable[[GraphStore], T]) -> Promise[T]:
        """Let the thread do `work` on the store."""
        promise: Promise[T] = Promise()
        store = self.store
        with self._lock:
            if self._lost is not None:
                raise ContextLostError(*self._lost.args)
            self._pending.add(promise)

        def once() -> bool:
            try:
                resolve(promise, work(store))
            except BaseException as error:  # nobody else on this thread would tell those who wait
                reject(promise, error)
            return False

        self._lane.wake(once)
        return promise

    def lose(self, error: ContextLostError) -> None:
        """The context is gone. What is being written is still finished."""
        with self._lock:
            self._lost, pending = error, list(self._pending)
        self._lane.close(wait=False)
        for promise in pending:
            reject(promise, error)

    def forked(self, error: ContextLostError) -> None:
        """The context is in the parent process, which finishes what is being written."""
        self._lost = error
        for promise in list(self._pending):
            abandon(promise, error)


def check_key(call: str, key: object) -> str:
    """`key` if it can be one: a string that is not empty."""
    if not isinstance(key, str) or not key:
        raise ValidationError(f"{call}: key must be a string that is not empty, got {key!r:.80}")
    return key
