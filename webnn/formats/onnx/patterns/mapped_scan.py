"""A `Scan` whose iterations do not depend on each other: many of them at once, along a further axis.

skl2onnx writes the distances of rows to those of a training set in this way, for nearest neighbours and Gaussian
processes. Unrolled, each row of that set would be some operators of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

import numpy as np

from webnn.backends.onnx import messages
from webnn.backends.onnx.messages import GraphProto, NodeProto, TensorProto
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.values import Value
from webnn.formats.onnx.patterns.split_and_stack import concatenated

__all__ = ["mapped"]

_BY_ELEMENT: Final = frozenset(
    {"Abs", "Add", "And", "Cast", "Ceil", "Cos", "Div", "Equal", "Erf", "Exp", "Floor", "Greater", "GreaterOrEqual"}
    | {"Identity", "Less", "LessOrEqual", "Log", "Max", "Min", "Mul", "Neg", "Not", "Or", "Pow", "Reciprocal", "Relu"}
    | {"Sigmoid", "Sign", "Sin", "Sqrt", "Sub", "Tanh", "Where", "Xor"}
)
_REDUCTIONS: Final = frozenset(
    {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd"}
    | {"ReduceSum", "ReduceSumSquare"}
)
_ELEMENTS: Final = 1 << 18
"""The elements that a group of iterations computes in one operator: as many as stay in the cache."""


def mapped(node: OnnxNode, state: Sequence[Value], scanned: Sequence[Value]) -> list[Value] | None:
    """The results of the body for all slices of `scanned` along their first axes, stacked; None for other bodies.

    The body must return each state as it was, and have only operators of single elements and reductions.
    """
    body, length = node.get_graph("body"), scanned[0].shape[0]
    values = {info.name: value for info, value in zip(body.input, [*state, *scanned], strict=True)}
    ranks = {name: len(value.shape) for name, value in values.items()}
    ranks |= {tensor.name: len(tensor.dims) for tensor in body.initializer}
    sliced = {info.name for info in body.input[len(state) :]}
    ranks |= {name: ranks[name] - 1 for name in sliced}
    if length < 2 or any(value.shape[0] != length for value in scanned) or not _keeps_state(body, len(state)):
        return None
    of_all = _Mapping(node, body, ranks, sliced).body(len(state))
    if of_all is None:
        return None
    graph, rank = of_all
    once = _elements([value.shape for value in state] + [value.shape[1:] for value in scanned])
    group = max(1, min(length, _ELEMENTS // max(once, 1)))
    if not node.importer.budget.take_unrolled_nodes(math.ceil(length / group) * len(body.node)):
        return None
    found: list[list[Value]] = []
    for first in range(0, length, group):
        count = min(group, length - first)
        parts = [_rows(node, value, first, count, rank) for value in scanned]
        results = node.importer.run_graph(graph, [*state, *parts])
        if any(value.missing for value in results):
            return [Value(missing=True)] * len(results)
        pairs = zip(graph.output, results, strict=True)
        found.append(
            [_reshaped(node, each, (count, *each.shape[1 + rank - ranks[info.name] :])) for info, each in pairs]
        )
    return [concatenated(node, pieces, 0) if len(pieces) > 1 else pieces[0] for pieces in zip(*found, strict=True)]


def _keeps_state(body: GraphProto, states: int) -> bool:
    copied = {node.output[0]: node.input[0] for node in body.node if node.op_type == "Identity"}
    for given, returned in zip(body.input[:states], body.output, strict=False):
        name = returned.name
        while name in copied:
            name = copied[name]
        if name != given.name:
            return False
    return True


def _elements(shapes: Sequence[Sequence[int]]) -> int:
    """The elements of these shapes broadcast together."""
    return math.prod(max(sizes) for sizes in zip_longest(*(shape[::-1] for shape in shapes), fillvalue=1))


def _rows(node: OnnxNode, value: Value, first: int, count: int, rank: int) -> Value:
    """Some slices of `value`, with axes of size 1 behind the first one, so that each has `rank` axes."""
    shape = (count, *[1] * (rank + 1 - len(value.shape)), *value.shape[1:])
    if value.array is not None:
        return Value(value.array[first : first + count].reshape(shape))
    x = node.importer.operand_of(value)
    if count < value.shape[0]:
        x = node.builder.slice(x, [first, *[0] * (x.rank - 1)], [count, *x.shape[1:]])
    return Value(operand=node.builder.reshape(x, shape), narrow=value.narrow)


def _reshaped(node: OnnxNode, value: Value, shape: tuple[int, ...]) -> Value:
    if value.shape == shape:
        return value
    if value.array is not None:
        return Value(value.array.reshape(shape))
    return Value(operand=node.builder.reshape(node.importer.operand_of(value), shape), narrow=value.narrow)


class _Mapping:
    """A body for many slices: each value that depends on one gets an axis in front, and those of 1 up to one rank."""

    def __init__(self, node: OnnxNode, body: GraphProto, ranks: dict[str, int], sliced: set[str]) -> None:
        self._node = node
        self._body = body
        self._ranks = ranks
        self._sliced = sliced
        """The values that depend on a slice."""
        self._tensors = {tensor.name: tensor for tensor in body.initializer}
        self._added: list[TensorProto] = []

    def body(self, states: int) -> tuple[GraphProto, int] | None:
        """The new body, which returns no states, and the rank of a slice in it; None if it has other operators."""
        nodes: list[NodeProto] = []
        for node in self._body.node:
            if node.op_type == "Constant" and [each.name for each in node.attribute] == ["value"]:
                self._tensors[node.output[0]] = tensor = node.attribute[0].t
                self._ranks[node.output[0]] = len(tensor.dims)
                nodes.append(node)
                continue
            if node.domain or len(node.output) != 1 or not all(name in self._ranks for name in node.input if name):
                return None
            if node.op_type in _BY_ELEMENT:
                self._ranks[node.output[0]] = max(self._ranks[name] for name in node.input)
                following = [node]
            elif node.op_type in _REDUCTIONS and (axes := self._axes(node)):
                following = self._reduced(node, axes)
            else:
                return None
            nodes += following
            if not self._sliced.isdisjoint(node.input):
                self._sliced.add(node.output[0])
        outputs = self._body.output[states:]
        if any(info.name not in self._sliced for info in outputs):
            return None
        graph = messages.graph(nodes, self._body.name, self._body.input, outputs)
        graph.initializer.extend([*self._body.initializer, *self._added])
        return graph, max(self._ranks[name] for name in self._sliced)

    def _axes(self, node: NodeProto) -> list[int]:
        """The axes of a reduction, from the last one backwards; none if they are not known."""
        rank = self._ranks[node.input[0]]
        given = [list(attribute.ints) for attribute in node.attribute if attribute.name == "axes"]
        if len(node.input) > 1 and node.input[1]:
            tensor = self._tensors.get(node.input[1])
            given = [] if tensor is None else [self._node.importer.model.array(tensor).reshape(-1).tolist()]
        elif not given and not any(each.name == "noop_with_empty_axes" and each.i for each in node.attribute):
            given = [list(range(rank))]
        axes = [axis for each in given for axis in each]
        return [axis - rank if axis >= 0 else axis for axis in axes] if all(-rank <= a < rank for a in axes) else []

    def _reduced(self, node: NodeProto, axes: list[int]) -> list[NodeProto]:
        """A reduction of axes counted from the last one; axes that it drops come back in front, with the size 1."""
        keeps = all(attribute.i for attribute in node.attribute if attribute.name == "keepdims")
        result = node.output[0]
        self._ranks[result] = self._ranks[node.input[0]] - (0 if keeps else len(axes))
        pads = [] if keeps or node.input[0] not in self._sliced else list(range(1, 1 + len(axes)))
        name = f"{result} reduced" if pads else result
        since = 13 if node.op_type == "ReduceSum" else 18
        made = [self._with_axes(messages.node(node.op_type, [node.input[0]], [name], keepdims=int(keeps)), axes, since)]
        return [*made, self._with_axes(messages.node("Unsqueeze", [name], [result]), pads, 13)] if pads else made

    def _with_axes(self, node: NodeProto, axes: list[int], since: int) -> NodeProto:
        """`node` with its axes, which are an input from the opset `since` on."""
        if self._node.version < since:
            node.attribute.append(messages.attribute("axes", axes))
        else:
            node.input.append(f"{node.output[0]} axes")
            self._added.append(messages.tensor(node.input[1], np.array(axes, np.int64), TensorProto.INT64))
        return node
