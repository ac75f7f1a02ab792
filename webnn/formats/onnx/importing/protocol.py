"""The part of the importer that nodes and operators see, so that they need not import the importer itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from webnn.backends.onnx.messages import GraphProto
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
        """The model, which reads tensors in attributes."""

    @property
    def builder(self) -> MLGraphBuilder[Any]:
        """Where operators are added."""

    @property
    def budget(self) -> Budget:
        """The memory and nodes that this import may still use."""

    def operand_of(self, value: Value) -> MLOperand:
        """`value` as an operand; a known one becomes a constant, once."""

    def run_graph(self, graph: GraphProto, inputs: Sequence[Value] = ()) -> list[Value]:
        """The outputs of a graph inside a node, such as a branch of `If`, for these inputs."""

    def tried_graph(self, graph: GraphProto, inputs: Sequence[Value]) -> list[Value] | None:
        """`run_graph` for the shapes and types of its outputs only: None, and no problem, if that is impossible."""
