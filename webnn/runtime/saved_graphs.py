"""Saved graphs: the methods of a context, the store behind them, and the thread that works on it.

The format of the store stands above the runtime and registers itself here.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from webnn.errors import ContextLostError, ValidationError
from webnn.forking import import_lock, reentrant_lock
from webnn.graph.arguments import shown
from webnn.graph.builder import GraphHost
from webnn.graph.ir import Graph
from webnn.graph.quick_dataclass import dataclass
from webnn.runtime import checks
from webnn.runtime.cache_options import cache_folder
from webnn.runtime.device import Device
from webnn.runtime.graph import MLGraph, compiling
from webnn.runtime.saving import registered
from webnn.scheduler.lane import ThreadLane
from webnn.scheduler.promise import Promise, abandon, reject, resolve

__all__ = ["GRAPHS", "STORES", "GraphStorage", "GraphStore", "Saved", "SavedGraphs"]

GRAPHS: Final = "graphs"
"""The folder of the saved graphs, and the name of their store in `STORES`."""

STORES: Final[dict[str, str]] = {}
"""Under `GRAPHS`, the function, as `module:name`, that makes the `GraphStore` in a folder."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Saved:
    """A graph from a store."""

    graph: Graph
    check: Callable[[], None]
    """Compares the weights, which have not been read yet, with their checksums; raises `DataError`."""


class GraphStore(Protocol):
    """Keeps graphs under keys. Called from several threads, and beside other processes."""

    def keys(self) -> list[str]:
        """Every key, sorted."""
        ...

    def save(self, key: str, graph: Graph) -> None:
        """Keep `graph` under `key`; an earlier one is replaced."""
        ...

    def load(self, key: str, host: GraphHost[Graph]) -> Saved:
        """Load the graph of `key` for `host`.

        Raises:
            ValidationError: no graph has this key.
            DataError: it is damaged; it has been removed.
            NotSupportedError: the host's limits are narrower than those it was saved with.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the graph of `key`, if there is one."""
        ...


class GraphStorage:
    """The store of one context, and the thread that works on it, in the order of the calls."""

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self._folder = folder
        self._lane = ThreadLane("webnn-files")
        self._pending: weakref.WeakSet[Promise[Any]] = weakref.WeakSet()
        self._lock = reentrant_lock()  # around `_pending` and `_lost`; reentrant for finalizers
        self._lost: ContextLostError | None = None
        weakref.finalize(self, self._lane.close, wait=False)

    @property
    def store(self) -> GraphStore:
        """The store, at the place that the option or the environment gives now."""
        store: GraphStore = registered(STORES[GRAPHS])(cache_folder(self._folder) / GRAPHS)
        return store

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
            except BaseException as error:  # the waiters get it from the promise
                reject(promise, error)
            return False

        self._lane.wake(once)
        return promise

    def lose(self, error: ContextLostError) -> None:
        """Reject the pending promises, since the context is gone. A write that has begun is finished."""
        with self._lock:
            self._lost, pending = error, list(self._pending)
        self._lane.close(wait=False)
        for promise in pending:
            reject(promise, error)

    def forked(self, error: ContextLostError) -> None:
        """Abandon the pending promises: the context is in the parent process, which finishes the write in progress."""
        self._lost = error
        for promise in list(self._pending):
            abandon(promise, error)


class SavedGraphs:
    """The methods of a context that save graphs, and load them in this program or another one."""

    _device: Device
    _storage: GraphStorage

    def save_graph(self, key: str, graph: MLGraph) -> Promise[None]:
        """Save `graph` under `key`, for `load_graph` in this program or another one, in place of an earlier graph.

        It is written in the background, to the folder given as `create_context(cache_dir=...)`. Other processes see it
        whole or not at all. The graph and its weights are saved, not the compiled form, so any backend can load it.

        Args:
            key: not empty.
            graph: a graph of this context.

        Raises:
            ValidationError: the key is empty; the graph is of another context.
            InvalidStateError: the graph is destroyed.
            OSError: it could not be written; raised where the promise is awaited.

        Explainer: https://github.com/webmachinelearning/webnn/blob/main/cache-explainer.md
        """
        _check_key("save_graph", key)
        checks.check_graph(self._device, "save_graph", graph)
        kept = graph._graph
        return self._storage.submit(lambda store: store.save(key, kept))

    def load_graph(self, key: str) -> MLGraph:
        """The graph that was saved under `key`, compiled in the background: usable at once, and awaitable.

        Its `inputs` and `outputs` are known when this returns. Its weights are read in the background, and verified by
        their checksum before they are used. If they are damaged, the saved graph is removed, and awaiting the graph or
        reading one of its results raises `DataError`.

        Raises:
            ValidationError: there is no such graph.
            DataError: it is damaged; it has been removed.
            NotSupportedError: this context's backend cannot run it; it is not removed.
            ContextLostError: the context is destroyed.
        """
        self._device.check_not_lost()
        _check_key("load_graph", key)
        with import_lock:  # here, since most programs keep no graphs
            from webnn.runtime.draft import Draft  # noqa: PLC0415

        try:
            saved = self._storage.store.load(key, Draft(self._device.limits))
        except ValidationError as error:
            raise ValidationError(f"load_graph: {error}") from None
        return compiling(self, self._device, saved.graph, saved.check)

    def list_graphs(self) -> Promise[list[str]]:
        """The keys of all saved graphs, sorted."""
        self._device.check_not_lost()
        return self._storage.submit(lambda store: store.keys())

    def delete_graph(self, key: str) -> Promise[None]:
        """Remove the graph saved under `key`, if there is one. Graphs that were loaded from it stay usable."""
        self._device.check_not_lost()
        _check_key("delete_graph", key)
        return self._storage.submit(lambda store: store.delete(key))


def _check_key(call: str, key: object) -> str:
    """`key`, if it is a valid key: a string that is not empty."""
    if not isinstance(key, str) or not key:
        raise ValidationError(f"{call}: key must be a string that is not empty, got {shown(key)}")
    return key
