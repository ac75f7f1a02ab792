"""What values and operators see of the importer, so that neither imports it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from onnx import GraphProto

from webnn.formats.onnx.file.reading import Model
from webnn.formats.onnx.importing.budget import Budget
from webnn.formats.onnx.importing.values import Value
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.operand import MLOperand

__all__ = ["Importing"]


class Importing(Protocol):
    """One import of one model into one builder."""

    @property
    def model(self) -> Model:
        """The model, which reads the tensors that stand in attributes."""

    @property
    def builder(self) -> MLGraphBuilder[Any]:
        """Where operators are added."""

    @property
    def budget(self) -> Budget:
        """How many constants and nodes this import may still write out."""

    def operand_of(self, value: Value) -> MLOperand:
        """`value` as an operand; a known one becomes a constant, once."""

    def run_graph(self, graph: GraphProto, inputs: Sequence[Value] = ()) -> list[Value]:
        """The outputs of a graph inside a node, such as a branch of `If`, for these inputs."""
