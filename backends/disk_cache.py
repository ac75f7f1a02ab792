"""Compiled graphs on disk, found again by the next program: off unless it is asked for.

It is off because finding an entry has a price: the key needs a digest of all constants, and the entry one of all its
files. On a CPU most graphs are compiled in less time than that; `benchmarks/disk_cache.py` shows for which it pays.

The key covers everything that a compiled graph depends on: the graph with its labels and constants, the options, the
backend and the versions of everything that made it. A damaged entry is removed, and the graph compiled again. If the
disk is full or read-only, graphs are compiled as if there were no cache. Of several processes that want the same graph
at the same time, one compiles it and the others wait for the entry.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

from webnn.backends.base import Backend, Cancellation, CompileOptions, Executable
from webnn.backends.digests import arrays_digest
from webnn.backends.disk_store import DiskStore
from webnn.backends.turns import turn
from webnn.errors import DataError, OperationError
from webnn.graph.ir import Graph

__all__ = ["LIMIT", "DiskCache", "sources_digest"]

LIMIT: Final = 1024**3
"""The most bytes that all entries may take by default."""

_log = logging.getLogger("webnn")


class DiskCache:
    """Compiles graphs, or finds those that were compiled before.

    Args:
        folder: a folder for this cache alone; processes share it.
        limit: the most bytes that it may take.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self._store = DiskStore(folder, limit)
        self._limit = limit

    def compile(
        self, backend: Backend, graph: Graph, options: CompileOptions, cancellation: Cancellation
    ) -> Executable:
        """An executable for `graph`, from the disk if possible; raises the errors of the backend's `compile`."""
        version = backend.stored_version()
        if version is None or graph.constant_bytes > self._limit:
            return backend.compile(graph, options, cancellation)
        digests = arrays_digest(_constants(graph))  # first, so that a change while the key is made is seen as well
        key = _key(backend, version, graph, options)

        def load(folder: Path) -> Executable:
            return backend.load(folder, graph, options, cancellation)

        found = self._find(key, load)
        if found is not None:
            return found
        with turn(self._store.turn_of(key), cancellation.checkpoint):
            found = self._find(key, load)  # again: another process may have had the turn since, waited for or not
            if found is None:
                found = self._compiled(key, digests, backend, graph, options=options, cancellation=cancellation)
            return found

    def _compiled(
        self,
        key: str,
        digests: Sequence[bytes],
        backend: Backend,
        graph: Graph,
        *,
        options: CompileOptions,
        cancellation: Cancellation,
    ) -> Executable:
        """Compile, and store it unless a constant has changed since the digests were taken."""
        made: list[Executable] = []

        def fill(folder: Path) -> None:
            made.append(backend.compile_to(folder, graph, options, cancellation))
            if arrays_digest(_constants(graph)) != digests:
                raise OperationError("a constant was changed while the graph was compiled")

        try:
            self._store.write(key, {}, fill)
        except (DataError, OSError, OperationError) as error:  # the last also when onnxruntime cannot write its file
            _log.warning("a compiled graph could not be stored: %s", error)
        return made[0] if made else backend.compile(graph, options, cancellation)

    def _find(self, key: str, load: Callable[[Path], Executable]) -> Executable | None:
        with suppress(DataError, OSError):  # a damaged manifest, which is removed; or the folder is a file
            entry = self._store.find(key)
            if entry is None:
                return None
            try:
                for name in entry.files:
                    entry.verify(name)
                return load(entry.folder)
            except (DataError, OperationError, OSError) as error:
                _log.warning("a stored graph is compiled again: %s", error)
                self._store.discard(entry)
        return None


def _key(backend: Backend, version: str, graph: Graph, options: CompileOptions) -> str:
    digest = hashlib.sha256(f"{version} {options} {graph.structure_hash}".encode())
    digest.update(repr([node.label for node in graph.nodes]).encode("utf-8", "backslashreplace"))
    for constant in _constants(graph):
        digest.update(constant.reshape(-1).view(np.uint8).data)
    return f"{backend.name} {digest.hexdigest()}"


def _constants(graph: Graph) -> list[np.ndarray[Any, Any]]:
    return [operand.constant for operand in graph.constants if operand.constant is not None]


def sources_digest(*folders: str | os.PathLike[str]) -> str:
    """A digest of the modules in and below `folders`: what they make changes with them."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(Path(folder).rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
