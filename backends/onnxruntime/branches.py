"""Choices by one truth value, of which only the chosen side is computed.

WebNN has no conditional: the `If` of a file becomes `where`, which needs both sides. Where a side has products or
convolutions that nothing else needs, they become a branch of onnxruntime's `If`, which skips them if it can.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from webnn.backends.onnx import messages
from webnn.backends.onnx.messages import GraphProto, ModelProto, NodeProto
from webnn.backends.onnx.model import Model, onnx_type
from webnn.graph.ir import Graph, Node

__all__ = ["choose_branches"]

_COSTLY: Final = frozenset(
    {
        "Attention",
        "Conv",
        "ConvInteger",
        "ConvTranspose",
        "GRU",
        "Gemm",
        "LSTM",
        "MatMul",
        "MatMulInteger",
        "MatMulNBits",
    }
    | {"MultiHeadAttention", "RNN"}
)
"""Operators that take longer than an `If`."""
_TYPES: Final = frozenset({"float16", "float32", "int32", "int64"})
_TRUE, _FALSE = 1, 2
"""The inputs of `Where`."""


def choose_branches(graph: Graph, model: Model, proto: ModelProto) -> None:
    """Write an `If` for each `where` of `graph` that saves work.

    Args:
        graph: that `model` was lowered from.
        model: of `graph`.
        proto: the finished `model`, which is changed.
    """
    if not any(map(_is_choice, graph.nodes)):
        return
    choices = {f"#{part.number}": part for part in model.parts() if part.op_type == "Where" and _is_choice(part.node)}
    for suffix, part in choices.items():  # in order, so that a branch may have another choice in it
        nodes = list(proto.graph.node)
        place = next(i for i, node in enumerate(nodes) if node.name.endswith(suffix))
        sides = [_needed_by(nodes, place, side, proto.graph) for side in (_TRUE, _FALSE)]
        if not any(nodes[i].op_type in _COSTLY for side in sides for i in side):
            continue
        where, kind = nodes[place], onnx_type(part.node.output.data_type)
        branches = {
            name: _branch([nodes[i] for i in side], where.input[number], model, kind)
            for name, side, number in (("then_branch", sides[0], _TRUE), ("else_branch", sides[1], _FALSE))
        }
        where.CopyFrom(messages.node("If", where.input[:1], where.output, name=where.name, **branches))
        for i in sorted({*sides[0], *sides[1]}, reverse=True):
            del proto.graph.node[i]


def _is_choice(node: Node) -> bool:
    """Whether `node` takes one of two values as a whole."""
    if node.op != "where" or node.output.data_type not in _TYPES or node["condition"].constant is not None:
        return False
    shapes = (node["true_value"].shape, node["false_value"].shape)
    return node["condition"].descriptor.element_count == 1 and shapes == (node.output.shape, node.output.shape)


def _needed_by(nodes: Sequence[NodeProto], place: int, side: int, graph: GraphProto) -> list[int]:
    """The places of the nodes that only this input of the node at `place` needs, in order."""
    where = nodes[place]
    needed_elsewhere = {output.name for output in graph.output}
    needed_elsewhere.update(name for i, name in enumerate(where.input) if i != side)
    for node in nodes[place + 1 :]:
        needed_elsewhere.update(_reads(node))
    found: list[int] = []
    for i in reversed(range(place)):
        if needed_elsewhere.isdisjoint(nodes[i].output):
            found.append(i)  # since the model has no node that nothing reads
        else:
            needed_elsewhere.update(_reads(nodes[i]))
    return found[::-1]


def _branch(nodes: Collection[NodeProto], result: str, model: Model, kind: int) -> GraphProto:
    last = messages.node("Identity", [result], [model.fresh(f"{result}_chosen")])
    return messages.branch(*nodes, last, kind=kind)


def _reads(node: NodeProto) -> Iterator[str]:
    """The names that the node and its bodies read."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _reads(inner)
