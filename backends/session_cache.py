"""The session cache: compiled graphs, found again by structure and content of their constants.

The key is the graph's structure hash with backend and options; entries under one key are told apart by comparing their
constants, which is exact and, unlike hashing, costs nothing until a structure is met a second time. Since the caller
keeps the memory of large constants, a checksum taken at compile time tells whether an array has been changed since: a
graph built from it then compiles anew.

Entries that a graph uses cost nothing to keep. What nobody uses stays up to a limit of bytes and of entries, the least
recently used goes first.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.backends.base import Backend, Cancellation, CompileOptions, Executable
from webnn.backends.disk_cache import DiskCache
from webnn.forking import keep_for_ever, on_fork, reentrant_lock
from webnn.graph.ir import Graph

__all__ = ["CacheStatistics", "Entry", "SessionCache", "session_cache"]

IDLE_BYTES: Final = 64 * 1024 * 1024
IDLE_ENTRIES: Final = 32
SESSION_BYTES: Final = 256 * 1024
"""About what a compiled graph holds besides its constants."""

Key: TypeAlias = tuple[str, CompileOptions, str]


@dataclass(eq=False, slots=True)
class Entry:
    """One compiled graph. `users` graphs have it; `key` is None when it is not in the cache (any more)."""

    key: Key | None
    executable: Executable
    constants: Sequence[np.ndarray[Any, Any]]
    checksums: Sequence[int]
    users: int = 1

    @property
    def byte_length(self) -> int:
        """About how much memory it keeps."""
        return SESSION_BYTES + self.executable.byte_length + sum(c.nbytes for c in self.constants)


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """Counts since the process began, and what the cache holds now."""

    hits: int
    misses: int
    evictions: int
    entries: int
    idle_bytes: int


class SessionCache:
    """Compiles graphs, or finds that it has. Thread-safe; nothing is compiled or compared under its lock."""

    def __init__(self, idle_bytes: int = IDLE_BYTES, idle_entries: int = IDLE_ENTRIES) -> None:
        self._limit = idle_bytes
        self._limit_entries = idle_entries
        self._lock = reentrant_lock()  # reentrant: `release` is called by finalizers
        self._entries: dict[Key, list[Entry]] = {}
        self._idle: OrderedDict[Entry, None] = OrderedDict()
        self._idle_bytes = 0
        self._hits = self._misses = self._evictions = 0

    def compile(
        self,
        backend: Backend,
        graph: Graph,
        options: CompileOptions,
        cancellation: Cancellation,
        disk: DiskCache | None = None,
    ) -> Entry:
        """An entry for `graph`, which the caller gives back with `release`; from `disk`, if there is one, or for it.

        Raises what the backend's `compile` raises.
        """
        constants = [operand.constant for operand in graph.constants if operand.constant is not None]
        if graph.constant_bytes > self._limit:
            with self._lock:
                self._misses += 1
            return Entry(None, _compiled(backend, graph, options, cancellation, disk), constants, ())
        key = (backend.name, options, graph.structure_hash)
        checksums = [_checksum(constant) for constant in constants]
        with self._lock:
            candidates = list(self._entries.get(key, ()))
        for entry in candidates:
            if entry.checksums == checksums and all(map(_same, entry.constants, constants)):
                with self._lock:
                    if entry.key is None:  # evicted while we compared
                        continue
                    self._hits += 1
                    entry.users += 1
                    if self._idle.pop(entry, entry) is None:
                        self._idle_bytes -= entry.byte_length
                    return entry
        executable = _compiled(backend, graph, options, cancellation, disk)
        entry = Entry(key, executable, constants, checksums)
        with self._lock:
            self._misses += 1
            self._entries.setdefault(key, []).append(entry)
        return entry

    def release(self, entry: Entry) -> None:
        """A graph no longer uses `entry`. May be called from a finalizer."""
        evicted = []  # these go when the lock is free again: ending a session can take a while
        with self._lock:
            entry.users -= 1
            if entry.users or entry.key is None:
                return
            self._idle[entry] = None
            self._idle_bytes += entry.byte_length
            while self._idle and (self._idle_bytes > self._limit or len(self._idle) > self._limit_entries):
                evicted.append(self._evict(next(iter(self._idle))))

    def clear(self) -> None:
        """Drop everything that no graph uses."""
        evicted = []
        with self._lock:
            while self._idle:
                evicted.append(self._evict(next(iter(self._idle))))

    def forget(self) -> None:
        """Begin anew, as in a new process: graphs keep the entries that they use, and no other graph will find them."""
        with self._lock:
            for entries in self._entries.values():
                for entry in entries:
                    entry.key = None
            self._entries.clear()
            self._idle.clear()
            self._idle_bytes = self._hits = self._misses = self._evictions = 0

    @property
    def statistics(self) -> CacheStatistics:
        """Hits, misses, evictions, and what is there."""
        with self._lock:
            count = sum(map(len, self._entries.values()))
            return CacheStatistics(self._hits, self._misses, self._evictions, count, self._idle_bytes)

    def _evict(self, entry: Entry) -> Entry:
        assert entry.key is not None
        del self._idle[entry]
        self._idle_bytes -= entry.byte_length
        self._evictions += 1
        entries = self._entries[entry.key]
        entries.remove(entry)
        if not entries:
            del self._entries[entry.key]
        entry.key = None
        return entry


session_cache: Final = SessionCache()
"""The cache that all contexts of the process share."""

_executables: Final[weakref.WeakValueDictionary[int, Executable]] = weakref.WeakValueDictionary()
"""Every one that there is, by identity; graphs that were let go of may still have queued work."""


@on_fork
def _give_up_compiled_graphs(_: int) -> None:
    """Those from before the fork run on threads of the parent, and destroying one would wait for these threads."""
    keep_for_ever(_executables.values())
    session_cache.forget()


def _compiled(
    backend: Backend, graph: Graph, options: CompileOptions, cancellation: Cancellation, disk: DiskCache | None
) -> Executable:
    if disk is None:
        executable = backend.compile(graph, options, cancellation)
    else:
        executable = disk.compile(backend, graph, options, cancellation)
    _executables[id(executable)] = executable
    return executable


def _checksum(array: np.ndarray[Any, Any]) -> int:
    """The sum of the array's bytes as 64-bit words: as fast as memory is read, and any ordinary change alters it."""
    data = array.reshape(-1).view(np.uint8)
    words = data[: data.size // 8 * 8].view(np.uint64)
    return int(words.sum(dtype=np.uint64)) ^ int.from_bytes(data[words.size * 8 :].tobytes(), "little")


def _same(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    if a is b:
        return True
    x, y, step = a.reshape(-1).view(np.uint8), b.reshape(-1).view(np.uint8), 1 << 20
    return all(np.array_equal(x[i : i + step], y[i : i + step]) for i in range(0, x.size, step))
