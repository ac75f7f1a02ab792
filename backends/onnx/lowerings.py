"""The table of ONNX lowerings, which the modules of the families fill; `lower` applies it to a whole graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from webnn.backends.lowering import Lowerings
from webnn.backends.onnx.model import Model
from webnn.graph.ir import Node

__all__ = ["OnnxLowering", "lowerings", "one_to_one"]

OnnxLowering: TypeAlias = Callable[[Node, Model], None]
"""Emits the ONNX nodes of one operator, and gives each of its outputs a name in the model."""

lowerings: Lowerings[OnnxLowering] = Lowerings("ONNX")


def one_to_one(table: Mapping[str, str]) -> None:
    """Lower operators that are one ONNX node each, with the same operands in the same order and no attributes."""
    for op, op_type in table.items():

        @lowerings.lowers(op)
        def lower_directly(node: Node, model: Model, op_type: str = op_type) -> None:
            model.emit(op_type, [model[operand] for operand in node.inputs()], to=node.output)
