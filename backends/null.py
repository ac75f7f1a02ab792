"""A backend that accepts every graph and computes nothing.

With a hand-stepped lane it makes the scheduler's tests deterministic, and in benchmarks it shows the runtime's own
cost. Outputs have whatever bytes their buffers had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from webnn.backends.base import Backend, Cancellation, CompileOptions, Executable
from webnn.graph.ir import Graph
from webnn.memory.buffer import View

__all__ = ["NullBackend", "NullExecutable"]


@dataclass(slots=True)
class NullExecutable(Executable):
    """Takes its inputs and leaves its outputs as they are."""

    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        """Do nothing."""


class NullBackend(Backend):
    """Accepts every graph, computes nothing."""

    name: ClassVar[str] = "null"

    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        """An executable of the graph's inputs and outputs."""
        return NullExecutable(list(graph.input_descriptors.items()), list(graph.output_descriptors.items()))
