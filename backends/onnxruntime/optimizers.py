"""The optimizers of onnxruntime that must not see a model: they would fail on it, end the process, or slow it down.

Found in 1.32. Each has a test that builds such a model, and that fails if the optimizer runs on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from webnn.backends.onnx.messages import GraphProto, ModelProto, NodeProto, TensorProto
from webnn.graph.ir import Graph, Node

__all__ = ["harmful_optimizers", "slowing_optimizers"]

_MAY_VANISH: Final = frozenset(
    {"Add", "Cast", "Concat", "Div", "Expand", "Identity", "Mul", "Pad", "Reshape", "Slice", "Squeeze", "Sub"}
    | {"Transpose", "Unsqueeze"}
)
"""Operators that onnxruntime drops where they do nothing, such as adding 0; and `Cast`, which is looked for."""
_PROPAGATED_THROUGH: Final = frozenset({"MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators that onnxruntime moves a `DequantizeLinear` past, with a `QuantizeLinear` behind it."""
_NOT_PROPAGATED: Final = frozenset({TensorProto.INT8, TensorProto.INT32})
"""For int8 it writes a node that its own type inference refuses, and for int32 there is no `QuantizeLinear`."""


def harmful_optimizers(model: ModelProto) -> frozenset[str]:
    """The names of the optimizers that must not see `model`."""
    nodes = model.graph.node
    found = set()
    if _has_product_behind_cast(nodes):
        found.add("MatmulTransposeFusion")
    if _normalizes_twice(nodes):
        found.add("CommonSubexpressionElimination")
    if _moves_dequantized(model.graph):
        found.add("QDQPropagationTransformer")
    if _divides_a_one_with_axes(model.graph):
        found.add("DivMulFusion")
    return frozenset(found)


def slowing_optimizers(graph: Graph) -> frozenset[str]:
    """The names of the optimizers that must not see the model of `graph`, since its runs would take longer.

    A product of one row, as in the attention of a decoder, reads each element of the matrix once. Onnxruntime has a
    kernel for that. For a product that is scaled as well it has none: it reorders the matrix first, which takes as
    long again.

    A sum and the layer normalization behind it become one kernel, which takes up to eight times as long as both.
    """
    found = {"SkipLayerNormFusion"} if any(node.op == "layer_normalization" for node in graph.nodes) else set()
    products = [node for node in graph.nodes if node.op == "matmul" and node["b"].constant is None]
    if products and all(_is_vector_product(node) for node in products):
        found.add("MatMulScaleFusion")
    return frozenset(found)


def _is_vector_product(node: Node) -> bool:
    return node["a"].shape[-2] == 1 or node["b"].shape[-1] == 1


def _normalizes_twice(nodes: Sequence[NodeProto]) -> bool:
    """Whether the mean of a value is taken twice: onnxruntime does not fuse normalizations that share it."""
    means = [tuple(node.input) for node in nodes if node.op_type == "ReduceMean"]
    return len(set(means)) < len(means)


def _has_product_behind_cast(nodes: Sequence[NodeProto]) -> bool:
    """Whether there is a `Transpose`, a `Cast` and a `MatMul` in a row, but for nodes that onnxruntime drops.

    Where the permutation moves the batch, the fusion of the first with the last follows a pointer to freed memory.
    """
    made_by = {output: node for node in nodes for output in node.output}
    seen = set()
    ahead = [(name, False) for node in nodes if node.op_type == "MatMul" for name in node.input]
    while ahead:
        name, past_cast = ahead.pop()
        node = made_by.get(name)
        if node is None or (name, past_cast) in seen or node.op_type not in _MAY_VANISH:
            continue
        if node.op_type == "Transpose" and past_cast:
            return True
        seen.add((name, past_cast))
        ahead += [(before, past_cast or node.op_type == "Cast") for before in node.input]
    return False


def _divides_a_one_with_axes(graph: GraphProto) -> bool:
    """Whether a constant of one value in one axis or more is divided, or one that is computed from others.

    With a product behind it, onnxruntime drops a constant of 1, and its axes with it: the result may have a lower rank.
    """
    if not any(node.op_type == "Div" for node in graph.node):
        return False
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    with_axes = {name for name, shape in shapes.items() if shape and set(shape) == {1}}
    fixed = set(shapes)
    for node in graph.node:
        if node.op_type == "Div" and node.input[0] in with_axes:
            return True
        if fixed.issuperset(node.input):  # of any shape, since few constants are computed
            fixed.update(node.output)
            with_axes.update(node.output)
    return False


def _moves_dequantized(graph: GraphProto) -> bool:
    """Whether a value of a type in `_NOT_PROPAGATED` is dequantized, and then moved without being quantized again.

    That is so, too, where the moved value is a result of the model.

    Its type is that of the zero point, which only int32 may lack.
    """
    fixed = {tensor.name: tensor.data_type for tensor in graph.initializer}
    dequantized = {
        node.output[0]
        for node in graph.node
        if node.op_type == "DequantizeLinear"
        and node.input[0] not in fixed
        and (len(node.input) < 3 or fixed.get(node.input[2]) in _NOT_PROPAGATED)
    }
    if not dequantized:
        return False
    moved = {
        node.output[0] for node in graph.node if node.op_type in _PROPAGATED_THROUGH and node.input[0] in dequantized
    }
    if not moved.isdisjoint(output.name for output in graph.output):
        return True
    return any(node.op_type != "QuantizeLinear" and not moved.isdisjoint(node.input) for node in graph.node)
