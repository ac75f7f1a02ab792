"""The ONNX backend's table of lowerings, and the walk over a graph that applies them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from webnn.backends.lowering import Lowerings
from webnn.backends.onnx.model import Kernels, Model
from webnn.backends.onnx.rows import Rows
from webnn.graph.ir import Graph, Node

__all__ = ["OnnxLowering", "lower", "lowerings", "one_to_one"]

OnnxLowering: TypeAlias = Callable[[Node, Model], None]
"""Emits the ONNX nodes of one operator, and gives each of its outputs a name in the model."""

lowerings: Lowerings[OnnxLowering] = Lowerings("ONNX")


def one_to_one(table: Mapping[str, str]) -> None:
    """Lower operators that are one ONNX node each, with the same operands in the same order and no attributes."""
    for op, op_type in table.items():

        @lowerings.lowers(op)
        def lower_directly(node: Node, model: Model, op_type: str = op_type) -> None:
            model.emit(op_type, [model[operand] for operand in node.inputs()], to=node.output)


def lower(graph: Graph, kernels: Kernels | None = None, checkpoint: Callable[[], object] | None = None) -> Model:
    """Lower every node of `graph`; `model.finish()` then gives the `ModelProto`.

    Args:
        graph: what to lower.
        kernels: see `Model`.
        checkpoint: called before each node, e.g. `Cancellation.checkpoint`.
    """
    # The families register themselves when they are imported.
    from webnn.backends.onnx import families as _families  # noqa: F401, PLC0415

    model = Model(graph, kernels)
    rows = Rows(model)
    for node in graph.nodes:
        if checkpoint is not None:
            checkpoint()
        model.begin(node)
        if not rows.is_image(node):
            met = rows.meet(node)
            lowerings[met](met, model)
            rows.finish(node)
    return model
