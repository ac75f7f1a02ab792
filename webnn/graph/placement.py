"""Where the operators of a compiled graph run, in which data types, and whether the backend has them as its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias

from webnn.graph.ir import Graph
from webnn.graph.quick_dataclass import dataclass

__all__ = ["OperatorPlacement", "Realization", "native_placements", "shown_placements"]

Realization: TypeAlias = Literal["native", "composed", "emulated", "removed"]

_SHOWN_LABELS: Final = 3


@dataclass(frozen=True, slots=True)
class OperatorPlacement:
    """Where the nodes of a graph run that have this label and operator. `graph.explain().operators` lists them.

    Attributes:
        label: the label of the nodes; may be empty.
        op: their operator. A backend may have put other nodes in the place of those of the program.
        nodes: how many there are.
        providers: what runs them: the execution providers of onnxruntime, or the backend. Several where they are parted
            between them. Empty where that is not known, since the runtime has fused them with others, or replaced
            them.
        data_types: those in which they compute.
        realization: "native", one operator of the runtime for each of them; "composed", several operators; "emulated",
            also in another data type than their own; "removed", none, since nothing is left to compute.
        parts: the runtime's operators that they consist of.
    """

    label: str
    op: str
    nodes: int
    providers: tuple[str, ...]
    data_types: tuple[str, ...]
    realization: Realization
    parts: tuple[str, ...] = ()

    def __str__(self) -> str:
        name = f"[{self.label}] {self.op}" if self.label else self.op
        return f"{name}{f' x {self.nodes}' if self.nodes > 1 else ''}: {self._where()}"

    def _where(self) -> str:
        if self.realization == "removed":
            return "nothing to compute"
        where = " and ".join(self.providers) or "fused or replaced by the runtime"
        types = " and ".join(self.data_types)
        if self.realization == "native":
            return f"{where}, {types}, native"
        return f"{where}, {types}, {self.realization} by {', '.join(self.parts)}"


def native_placements(graph: Graph, provider: str) -> list[OperatorPlacement]:
    """Every node of `graph` on `provider`, as one operator in its own data types."""
    groups: dict[tuple[str, str], tuple[int, dict[str, None]]] = {}
    for node in graph.nodes:
        count, types = groups.get((node.label, node.op), (0, {}))
        types |= dict.fromkeys(output.data_type for output in node.outputs)
        groups[node.label, node.op] = count + 1, types
    return [
        OperatorPlacement(label, op, count, (provider,), tuple(types), "native", (op,))
        for (label, op), (count, types) in groups.items()
    ]


def shown_placements(placements: Iterable[OperatorPlacement]) -> list[str]:
    """A line for all that run in the same way, with their first labels."""
    alike: dict[tuple[str, str], list[OperatorPlacement]] = {}
    for placement in placements:
        alike.setdefault((placement.op, placement._where()), []).append(placement)
    return [f"{_named(op, group)}: {where}" for (op, where), group in alike.items()]


def _named(op: str, group: Sequence[OperatorPlacement]) -> str:
    count = sum(placement.nodes for placement in group)
    labels = [placement.label for placement in group if placement.label]
    shown = ", ".join(labels[:_SHOWN_LABELS]) + (", ..." if len(labels) > _SHOWN_LABELS else "")
    return f"{f'[{shown}] ' if labels else ''}{op}{f' x {count}' if count > 1 else ''}"
