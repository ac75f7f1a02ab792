"""A host for builders that makes a graph without compiling it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from webnn.graph.ir import Graph
from webnn.graph.limits import LimitsTable

__all__ = ["Draft"]


@dataclass(frozen=True, slots=True)
class Draft:
    """Stands in for a context: `MLGraphBuilder(Draft(limits)).build(outputs)` gives the `Graph` itself."""

    limits: LimitsTable
    composites: ClassVar[Collection[str]] = ()
    """None: a draft is for programs that know the operators of the specification."""

    def check_not_lost(self) -> None:
        """Do nothing: a draft cannot be lost."""

    def compile(self, graph: Graph) -> Graph:
        """The graph itself."""
        return graph
