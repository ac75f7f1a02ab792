"""Saved graphs: `context.save_graph` writes them, and `context.load_graph` finds them in this program or the next.

An entry holds the graph in its JSON form and its weights as SafeTensors. The graph is small and is checked at once. The
weights are mapped, and compared with their checksum in the background before the graph is compiled.

Explainer: https://github.com/webmachinelearning/webnn/blob/main/cache-explainer.md
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from webnn.backends.disk_store import BlockedError, DiskStore, StoredEntry
from webnn.errors import DataError, NotSupportedError, ValidationError
from webnn.formats.webnn_text import import_webnn
from webnn.graph.arguments import printable, shown
from webnn.graph.builder import GraphHost, MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.memory.mapped import map_file
from webnn.runtime.saved_graphs import Saved
from webnn.runtime.saving import SAVERS, registered

__all__ = ["STRUCTURE", "GraphFolder"]

GRAPH: Final = "graph.json"
STRUCTURE: Final = "structure"
"""The fact that every entry notes: the hash of the graph's structure."""
ATTEMPTS: Final = 10
"""How often to look up an entry that another process keeps replacing."""


class GraphFolder:
    """Graphs by key, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.entries = DiskStore(folder)

    def keys(self) -> list[str]:
        """Every key, sorted."""
        return [entry.key for entry in self.entries.entries()]

    def save(self, key: str, graph: Graph) -> None:
        """Keep `graph` under `key`; an earlier entry is replaced."""
        facts = {STRUCTURE: graph.structure_hash}
        self.entries.write(key, facts, lambda folder: registered(SAVERS[".json"])(graph, folder / GRAPH))

    def load(self, key: str, host: GraphHost[Graph]) -> Saved:
        """Make the graph again, for `host`; its weights stay in the file."""
        for _ in range(ATTEMPTS):
            entry = self._find(key)
            try:
                return self._make(entry, MLGraphBuilder(host))
            except (DataError, OSError) as error:
                if _is_intact(entry):  # the entry is sound, but this backend has narrower limits
                    raise NotSupportedError(f"this context cannot run the saved graph: {error}") from None
                if self.entries.discard(entry):
                    raise _damaged(key, error) from None
        raise DataError(
            f"the saved graph {shown(printable(key))} was replaced {ATTEMPTS} times while it was being read"
        )

    def _make(self, entry: StoredEntry, builder: MLGraphBuilder[Graph]) -> Saved:
        entry.verify(GRAPH)
        # Mapped now, since the entry may be replaced, and these files removed, before they are compared.
        weights = {name: map_file(entry.path(name)) for name in entry.files if name != GRAPH}
        graph = builder.build(import_webnn(entry.folder / GRAPH, builder))

        def check() -> None:
            try:
                for name, data in weights.items():
                    entry.verify(name, data)
            except DataError as error:
                self.entries.discard(entry)
                raise _damaged(entry.key, error) from None

        return Saved(graph, check)

    def delete(self, key: str) -> None:
        """Remove it, if it is there."""
        self.entries.remove(key)

    def _find(self, key: str) -> StoredEntry:
        try:
            entry = self.entries.find(key)
        except BlockedError as error:
            raise DataError(f"the saved graph {shown(printable(key))} cannot be read: {error}") from None
        except DataError as error:
            raise _damaged(key, error) from None
        if entry is None:
            known = ", ".join(shown(printable(other)) for other in self.keys()[:20]) or "none"
            raise ValidationError(f"no graph is saved as {shown(printable(key))}; the saved graphs are: {known}")
        return entry


def _is_intact(entry: StoredEntry) -> bool:
    try:
        for name in entry.files:
            entry.verify(name)
    except (DataError, OSError):
        return False
    return True


def _damaged(key: str, error: Exception) -> DataError:
    return DataError(f"the saved graph {shown(printable(key))} could not be trusted and was removed: {error}")
