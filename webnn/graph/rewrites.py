"""What the passes of a backend have done with a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from webnn.graph.ir import Graph
from webnn.graph.quick_dataclass import dataclass

__all__ = ["Rewrite", "rewrite_between"]

_SHOWN_LABELS: Final = 3


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One pass over a graph that has replaced operators. `graph.explain().rewrites` lists them.

    Attributes:
        name: the name of the pass, in words.
        removed: how many of each operator are gone.
        added: how many of each operator stand for them.
        labels: the labels of the operators that were added.
    """

    name: str
    removed: Mapping[str, int]
    added: Mapping[str, int]
    labels: tuple[str, ...]

    def __str__(self) -> str:
        labels = ", ".join(self.labels[:_SHOWN_LABELS]) + (", ..." if len(self.labels) > _SHOWN_LABELS else "")
        where = f" at {labels}" if labels else ""
        return f"{self.name}{where}: {_counted(self.added)} for {_counted(self.removed)}"


def rewrite_between(name: str, before: Graph, after: Graph) -> Rewrite | None:
    """The difference of two graphs in their operators; None if there is none."""
    if before is after:
        return None
    old, new = (Counter((node.label, node.op) for node in graph.nodes) for graph in (before, after))
    removed, added = old - new, new - old
    if not removed and not added:
        return None
    labels = tuple(dict.fromkeys(label for label, _ in added if label))
    return Rewrite(name, _by_operator(removed), _by_operator(added), labels)


def _by_operator(nodes: Counter[tuple[str, str]]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for (_, op), count in nodes.items():
        counts[op] += count
    return dict(counts)


def _counted(operators: Mapping[str, int]) -> str:
    words = [op if count == 1 else f"{count} {op}" for op, count in operators.items()]
    return ", ".join(words) or "nothing"
