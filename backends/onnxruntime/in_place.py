"""The outputs that onnxruntime computes in the memory of an input if both are bound to it.

Its kernels of `ScatterElements` and `ScatterND` copy their first operand unless the output lies there already. Those of
arithmetic compute each element from the elements at the same place. No optimizer of onnxruntime touches a scatter, and
those that join arithmetic operators with each other make arithmetic of them again. Arithmetic that is connected with
other operators may become a part of their kernels, so `webnn.graph.donation` leaves it out.

What a graph allows is looked up in the model again, since the passes and the lowerings could have added readers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from webnn.backends.onnx.messages import ModelProto, NodeProto
from webnn.backends.onnx.model import Model
from webnn.forking import import_lock
from webnn.graph.in_place import ARITHMETIC, InPlace, may_run_in_place
from webnn.graph.ir import Graph

if TYPE_CHECKING:
    from webnn.graph.donation import Donation

__all__ = ["IN_PLACE", "model_donations"]

IN_PLACE: Final = InPlace(frozenset({"open_scatter_nd", "scatter_elements", "scatter_nd"}), ARITHMETIC - {"div"})
"""The operators of a graph that become nodes of `_MODEL`, for every data type."""
_MODEL: Final = InPlace(
    frozenset({"ScatterElements", "ScatterND"}),
    frozenset({"Abs", "Add", "Cast", "Clip", "Div", "Max", "Min", "Mul", "Neg", "Relu", "Sub"}),
)


def model_donations(graph: Graph, model: Model, proto: ModelProto) -> list[Donation]:
    """The donations that both `graph` and the ONNX model made of it allow, if any is worth its while in a run."""
    if not may_run_in_place(graph, IN_PLACE):
        return []
    with import_lock:  # here, since most graphs give no input back
        from webnn.graph.donation import Step, donations, graph_donations  # noqa: PLC0415

    possible = graph_donations(graph, IN_PLACE).pairs
    if not possible:
        return []
    inputs = {name: (model.input_names[name], operand.descriptor.key) for name, operand in graph.inputs.items()}
    outputs = {name: (model.output_names[name], operand.descriptor.key) for name, operand in graph.outputs.items()}
    steps = [Step(_op(node), node.name, tuple(_reads(node)), tuple(node.output)) for node in proto.graph.node]
    found = {(pair.input, pair.output, pair.is_scatter) for pair in donations(steps, inputs, outputs, _MODEL).pairs}
    return [pair for pair in possible if (pair.input, pair.output, pair.is_scatter) in found]


def _op(node: NodeProto) -> str:
    """The name of the operator, as in `_MODEL`."""
    op = f"{node.domain}:{node.op_type}" if node.domain else node.op_type
    if any(attribute.name == "reduction" and attribute.s != b"none" for attribute in node.attribute):
        op += " with a reduction"
    return op


def _reads(node: NodeProto) -> Iterator[str]:
    """The names that the node and its bodies read."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _reads(inner)
