"""The session cache: compiled graphs in memory, found again by structure and by the content of their constants.

The key is the graph's outline with backend and options; entries under one key are told apart by the digest of their
structure and by their constants. Most programs compile no graph twice: what nothing can change has no digest before a
second graph has the same outline.
Large constants stay in the caller's memory, which the caller may change or give away once no graph uses them. What must
stay true:
- an executable may read its constants where they lay when it was compiled. So another graph uses it only if it was
  given the same memory, which still holds the same bytes, or the same place in the same file, or if nothing can change
  the constants: small ones are the builder's own copies, and `bytes` are immutable;
- an array that changed while its graph was compiled leaves no entry, since its executable may have either bytes;
- memory that its owner can take away although an array refers to it (a memory map, shared memory, a `bytearray`, a
  tensor of another library) is let go of with the last graph that uses it;
- a mapped file is not read again once it has changed.

Entries that a graph uses cost nothing to keep. An unused entry stays up to a limit of bytes and of entries; the least
recently used goes first.

A caller that compiles a graph of its own may be interrupted at any line, also between a compilation and the line that
keeps its result. So a use of an entry counts for as long as its object lives, and whatever is known of unused entries
is found in one place (`_idle`).
"""

from __future__ import annotations

import os
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from mmap import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import numpy as np

from webnn.backends.base import Backend, Cancellation, CompileOptions, Executable
from webnn.backends.digests import array_digest
from webnn.forking import keep_for_ever, on_fork, reentrant_lock
from webnn.graph.arrays import owner_of
from webnn.graph.builder import COPIED_BYTES
from webnn.graph.ir import Graph
from webnn.graph.quick_dataclass import dataclass
from webnn.memory.mapped import place_in_file

if TYPE_CHECKING:
    from webnn.backends.disk_cache import DiskCache

__all__ = ["CacheStatistics", "Entry", "SessionCache", "Use", "constants_digests", "is_same_memory", "session_cache"]

IDLE_BYTES: Final = 64 * 1024 * 1024
IDLE_ENTRIES: Final = 32
SESSION_BYTES: Final = 256 * 1024
"""Roughly the memory of a compiled graph besides its constants."""

Array: TypeAlias = np.ndarray[Any, Any]
Outline: TypeAlias = tuple[object, ...]
Key: TypeAlias = tuple[str, CompileOptions, Outline]


@dataclass(eq=False, slots=True)
class Entry:
    """One compiled graph, shared by all graphs that use it. `key` is None if it is not, or no longer, in the cache."""

    key: Key | None
    executable: Executable
    graph: Graph
    constants: Sequence[Array]
    digests: Sequence[bytes | None]
    """Of the constants, when they were compiled; None for one that nothing can change, as long as nobody asked."""
    addresses: Sequence[int | None]
    """Where the constants lay then; None for one that nothing can change."""
    uses: set[_Mark]
    """A mark of each use that counts."""

    @property
    def users(self) -> int:
        """How many graphs use it."""
        return len(self.uses)

    def holds(self, graph: Graph, constants: Sequence[Array]) -> bool:
        """Whether `graph`, of these constants, may use the executable."""
        if self.graph.structure_hash != graph.structure_hash or self.addresses != _addresses(
            _changeable(self.constants)
        ):
            return False
        if None in self.digests:
            given = zip(self.constants, self.digests, strict=True)
            self.digests = tuple(array_digest(array) if digest is None else digest for array, digest in given)
        return self.digests == constants_digests(constants) and all(map(is_same_memory, self.constants, constants))

    @property
    def byte_length(self) -> int:
        """Roughly how much memory it keeps."""
        return SESSION_BYTES + self.executable.byte_length + sum(c.nbytes for c in self.constants)


class Use:
    """One graph's use of an entry, until it is given back with `release`, or nothing refers to it any more."""

    __slots__ = ("__weakref__", "entry", "executable")

    def __init__(self, entry: Entry) -> None:
        self.entry: Final = entry
        self.executable: Final = entry.executable


class _Mark(weakref.ref[Use]):
    """What an entry keeps of a use. Goes to `forgotten` when the use has been forgotten."""

    __slots__ = ("entry",)
    entry: Entry

    def __new__(cls, use: Use, forgotten: Callable[[_Mark], object]) -> Self:
        mark = super().__new__(cls, use, forgotten)
        mark.entry = use.entry
        return mark


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """Counts since the process began, and the present contents of the cache."""

    hits: int
    misses: int
    evictions: int
    entries: int
    idle_bytes: int


class SessionCache:
    """Compiles graphs, or finds compiled ones. Thread-safe; its lock is not held while it compiles or compares."""

    def __init__(self, idle_bytes: int = IDLE_BYTES, idle_entries: int = IDLE_ENTRIES) -> None:
        self._limit = idle_bytes
        self._limit_entries = idle_entries
        self._lock = reentrant_lock()  # reentrant: `release` is called by finalizers
        self._entries: dict[Key, tuple[Entry, ...]] = {}
        self._idle: OrderedDict[Entry, int] = OrderedDict()
        """The entries that no graph uses, with their bytes, the least recently used first."""
        self._forgotten: deque[_Mark] = deque()
        self._hits = self._misses = self._evictions = 0

    def compile(
        self,
        backend: Backend,
        graph: Graph,
        options: CompileOptions,
        cancellation: Cancellation,
        disk: DiskCache | None = None,
    ) -> Use:
        """The use of an entry for `graph`, which the caller gives back with `release`.

        Args:
            backend: compiles the graph if no entry holds it.
            graph: the graph to run.
            options: as the backend takes them.
            cancellation: stops the compilation.
            disk: where compiled graphs are looked up and stored besides.

        Raises what the backend's `compile` raises.
        """
        constants = [operand.constant for operand in graph.constants if operand.constant is not None]
        if graph.constant_bytes > self._limit:
            with self._lock:
                self._misses += 1
            executable = _compiled(backend, graph, options, cancellation, disk)
            return self._used(Entry(None, executable, graph, constants, (), (), set()))
        key = (backend.name, options, _outline(graph))
        with self._lock:
            evicted = self._let_go_of_forgotten()
            candidates = self._entries.get(key, ())
        del evicted  # without the lock: ending a session can take a while
        for entry in candidates:
            if entry.holds(graph, constants):
                with self._lock:
                    if entry.key is None:  # evicted while we compared
                        continue
                    use = self._used(entry)
                    self._idle.pop(entry, None)
                    self._hits += 1
                    return use
        changeable = _changeable(constants)
        addresses, digests = _addresses(changeable), _digests(changeable)
        executable = _compiled(backend, graph, options, cancellation, disk)
        changed = digests != _digests(changeable)
        entry = Entry(None if changed else key, executable, graph, constants, digests, addresses, set())
        use = self._used(entry)
        with self._lock:
            self._misses += 1
            if not changed:
                self._entries[key] = (*self._entries.get(key, ()), entry)
        return use

    def release(self, use: Use) -> None:
        """A graph no longer uses an entry. May be called from a finalizer. Calling it again is fine."""
        with self._lock:
            evicted = self._let_go_of_forgotten()
            for mark in [mark for mark in use.entry.uses if mark() is use]:
                evicted += self._let_go(mark)
        del evicted

    def clear(self) -> None:
        """Drop all entries that no graph uses."""
        with self._lock:
            evicted = self._let_go_of_forgotten()
            while self._idle:
                evicted.append(self._evict(next(iter(self._idle))))
        del evicted

    def _used(self, entry: Entry) -> Use:
        use = Use(entry)
        entry.uses.add(_Mark(use, self._forgotten.append))
        return use

    def _let_go_of_forgotten(self) -> list[Entry]:
        """End the uses that nothing refers to, such as those of interrupted callers. Returns what that has evicted."""
        evicted: list[Entry] = []
        while self._forgotten:
            evicted += self._let_go(self._forgotten[0])
            self._forgotten.popleft()
        return evicted

    def _let_go(self, mark: _Mark) -> list[Entry]:
        """End a use. Returns the entries that had to go, for the caller to free without the lock."""
        entry, evicted = mark.entry, []
        if entry.uses <= {mark} and entry.key is not None and entry not in self._idle:
            self._idle[entry] = entry.byte_length
        entry.uses.discard(mark)
        if entry in self._idle and not all(map(_stays, entry.constants)):
            evicted.append(self._evict(entry))
        while self._idle and (sum(self._idle.values()) > self._limit or len(self._idle) > self._limit_entries):
            evicted.append(self._evict(next(iter(self._idle))))
        return evicted

    def abandon(self, backend: str) -> None:
        """The device of `backend` is gone, and with it what was compiled for it: no other graph will find that."""
        abandoned = []  # freed after the lock is released
        with self._lock:
            for key in [key for key in self._entries if key[0] == backend]:
                for entry in self._entries.pop(key):
                    entry.key = None
                    if self._idle.pop(entry, None) is not None:
                        abandoned.append(entry)

    def forget(self) -> None:
        """Begin as in a new process: graphs keep the entries that they use, and no other graph will find them."""
        with self._lock:
            for entries in self._entries.values():
                for entry in entries:
                    entry.key = None
            self._entries.clear()
            self._idle.clear()
            self._forgotten.clear()
            self._hits = self._misses = self._evictions = 0

    @property
    def statistics(self) -> CacheStatistics:
        """Hits, misses, evictions, and the present contents."""
        with self._lock:
            evicted = self._let_go_of_forgotten()
            count, idle = sum(map(len, self._entries.values())), sum(self._idle.values())
            found = CacheStatistics(self._hits, self._misses, self._evictions, count, idle)
        del evicted
        return found

    def _evict(self, entry: Entry) -> Entry:
        if entry.key is not None:
            others = tuple(other for other in self._entries.get(entry.key, ()) if other is not entry)
            if others:
                self._entries[entry.key] = others
            else:
                self._entries.pop(entry.key, None)
            entry.key = None
        self._idle.pop(entry, None)
        self._evictions += 1
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


def constants_digests(constants: Iterable[Array]) -> tuple[bytes, ...]:
    """A digest of each constant, or, of a large one in a mapped file that has not changed, its place.

    To read large ones would put the whole file into the memory of the process.
    """
    seen: dict[Path, object] = {}
    return tuple([_constant_digest(constant, seen) for constant in constants])


def _constant_digest(array: Array, seen: dict[Path, object]) -> bytes:
    place = place_in_file(array, seen) if array.nbytes > COPIED_BYTES else None
    return array_digest(array) if place is None else b"%b %d" % (os.fsencode(place[0]), place[1])


def _changeable(constants: Sequence[Array]) -> list[Array | None]:
    """The constants that something can change; None for each of the others."""
    return [None if _is_fixed(constant) else constant for constant in constants]


def _digests(changeable: Sequence[Array | None]) -> tuple[bytes | None, ...]:
    seen: dict[Path, object] = {}
    return tuple([None if constant is None else _constant_digest(constant, seen) for constant in changeable])


def _addresses(changeable: Sequence[Array | None]) -> tuple[int | None, ...]:
    return tuple([None if constant is None else constant.ctypes.data for constant in changeable])


def _outline(graph: Graph) -> Outline:
    """What graphs of equal structure have in common, found without a look at each node."""
    inputs = [(name, operand.descriptor.key) for name, operand in graph.inputs.items()]
    outputs = [(name, operand.descriptor.key) for name, operand in graph.outputs.items()]
    return len(graph.nodes), len(graph.constants), tuple(inputs), tuple(outputs)


def is_same_memory(kept: Array, given: Array) -> bool:
    """Whether a graph that was given `given` may read `kept`, whose digest was the same when it was compiled.

    Equal elements are not enough: the owner of `kept` may change them once no graph lives that was given that array.
    """
    if kept is given:
        return True
    owner = owner_of(kept)
    if owner is owner_of(given) and kept.ctypes.data == given.ctypes.data:
        return True
    if isinstance(owner, mmap):  # to read beyond the end of a file that became shorter would end the process
        place = place_in_file(kept)
        return place is not None and place == place_in_file(given)
    return _is_fixed(kept) and bytes(kept.reshape(-1).view(np.uint8).data) == given.tobytes()


def _is_fixed(array: Array) -> bool:
    """Whether nothing can change the elements: a copy of the builder's, or `bytes`."""
    owner = owner_of(array)
    if isinstance(owner, np.ndarray):
        return array.nbytes <= COPIED_BYTES and owner is array and owner.flags.owndata and not array.flags.writeable
    return isinstance(owner, bytes)


def _stays(array: Array) -> bool:
    """Whether the memory of `array` is there for as long as something refers to it."""
    owner = owner_of(array)
    if isinstance(owner, np.ndarray):
        return owner.flags.owndata
    return isinstance(owner, bytes) or place_in_file(array) is not None
