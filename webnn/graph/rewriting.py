"""Rebuilding a graph with some of its nodes replaced.

::

    def halved_relu(graph: Graph) -> Graph:
        return rewritten(graph, [node for node in graph.nodes if node.op == "relu"], _halved)

    def _halved(node: Node) -> Sequence[MLOperand]:
        builder = Replacement(node)
        return [builder.mul(builder.relu(node["input"]), builder.constant(node.output.data_type, 0.5))]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np

from webnn.errors import ValidationError
from webnn.graph.arguments import shown
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import DataType, Number
from webnn.graph.ir import Graph, Node
from webnn.graph.limits import SPEC_LIMITS, LimitsTable
from webnn.graph.operand import MLOperand

__all__ = ["MADE_BYTES", "Replacement", "Rule", "number_in", "readers", "renamed", "rewritten"]

MADE_BYTES: Final = 1024 * 1024
"""Constants that rewriting and lowering make are at most this large, where they can be computed in the graph."""

Rule: TypeAlias = Callable[[Node], Sequence[MLOperand] | None]
"""The operands that stand for a node's outputs from now on, one for each; None to keep the node."""


def rewritten(
    graph: Graph, nodes: Collection[Node], rule: Rule, stands_for: dict[MLOperand, MLOperand] | None = None
) -> Graph:
    """`graph` with `rule` applied to each of `nodes`; `graph` itself if `rule` keeps them all.

    The rule is called once for each node, in the order of the graph. Its node is the graph's own, or, where a node
    before it was replaced, a copy that reads the replacements. An empty `stands_for` is filled with the replacement of
    each operand, where a rule can look up those before its node.
    """
    chosen = set(nodes)
    if not chosen:
        return graph
    stands_for = {} if stands_for is None else stands_for
    for original in graph.nodes:
        node = original
        if not stands_for.keys().isdisjoint(original.inputs()):
            node = original.replace(operands=_replaced(original.operands, stands_for))
        outputs = (rule(node) if original in chosen else None) or node.outputs
        for before, after in zip(original.outputs, outputs, strict=True):
            if after is not before:
                assert after.descriptor == before.descriptor, f"{original.where}: {before!r} became {after!r}"
                stands_for[before] = after
    if not stands_for:
        return graph
    result = Graph(list(graph.inputs.values()), {name: stands_for.get(o, o) for name, o in graph.outputs.items()})
    assert list(result.inputs) == list(graph.inputs), "a pass must not lose an input"
    return result


def renamed(graph: Graph, names: Mapping[str, str]) -> Graph:
    """`graph` with other names for some of its inputs and outputs.

    Args:
        graph: the graph.
        names: the new names by the old ones. A name that an input and an output share is changed for both.

    Raises:
        ValidationError: the graph has neither an input nor an output of a name, or a new one is empty or not unique.
    """
    if not names:
        return graph
    declared = {*graph.inputs, *graph.unread_inputs}
    for name, new_name in names.items():
        if not isinstance(new_name, str) or not new_name:
            raise ValidationError(f"names[{name!r}] must be a non-empty string, got {shown(new_name)}")
        if name not in declared and name not in graph.outputs:
            has = f"its inputs are {', '.join(graph.inputs) or 'none'}, its outputs {', '.join(graph.outputs)}"
            raise ValidationError(f"names has {name!r}, which is neither an input nor an output of the graph; {has}")

    def new(name: str) -> str:
        return names.get(name, name)

    for kind, old in (("inputs", sorted(declared)), ("outputs", list(graph.outputs))):
        counts = Counter(map(new, old))
        for name in old:
            if counts[new(name)] > 1:
                raise ValidationError(f"names gives several {kind} the name {new(name)!r}; each needs its own")
    inputs = {
        operand: operand if name not in names else MLOperand(operand.owner, operand.descriptor, name=names[name])
        for name, operand in graph.inputs.items()
    }
    stands_for = {before: after for before, after in inputs.items() if after is not before}
    for original in graph.nodes:
        if not stands_for.keys().isdisjoint(original.inputs()):
            node = original.replace(operands=_replaced(original.operands, stands_for))
            stands_for.update(zip(original.outputs, node.outputs, strict=True))
    return Graph(
        inputs.values(),
        {new(name): stands_for.get(operand, operand) for name, operand in graph.outputs.items()},
        {new(name): sizes for name, sizes in graph.open_dimensions.items()},
        map(new, declared),
    )


def readers(graph: Graph) -> dict[MLOperand, list[Node]]:
    """The nodes that read each operand; an operand that is an output of the graph, which callers read, is left out."""
    found: dict[MLOperand, list[Node]] = {}
    for node in graph.nodes:
        for operand in node.inputs():
            found.setdefault(operand, []).append(node)
    for operand in graph.outputs.values():
        found.pop(operand, None)
    return found


def number_in(operand: MLOperand) -> float | None:
    """The number of a constant that has one element; None for other operands."""
    constant = operand.constant
    return float(constant.item()) if constant is not None and constant.size == 1 else None


class Replacement(MLGraphBuilder[Graph]):
    """Builds a replacement for `node`: the methods of `MLGraphBuilder`, on the operands of the node's graph.

    The nodes carry the label of `node`, or else the name of its operator, so that messages lead to the user's call.
    Data types and ranks are held to the specification's limits. Composites in `composites` stay nodes.
    """

    def __init__(self, node: Node, composites: Collection[str] = ()) -> None:
        super().__init__(_Host(composites))
        self._owner = node.output.owner
        self._default_label = node.label or node.op

    def full(self, number: Number, shape: Sequence[int], data_type: DataType) -> MLOperand:
        """A constant of one number; where it would be large, an `expand` of the number."""
        descriptor = MLOperandDescriptor(data_type, shape)
        if descriptor.byte_length <= MADE_BYTES:
            return self.constant(np.full(shape, number, descriptor.dtype))
        return self.expand(self.constant(data_type, number), shape)


class _Host:
    """A builder's host without a context."""

    def __init__(self, composites: Collection[str]) -> None:
        self.composites = composites

    @property
    def limits(self) -> LimitsTable:
        return SPEC_LIMITS

    def check_not_lost(self) -> None:
        pass

    def compile(self, graph: Graph) -> Graph:
        return graph


def _replaced(
    operands: Mapping[str, MLOperand | tuple[MLOperand, ...]], stands_for: Mapping[MLOperand, MLOperand]
) -> dict[str, MLOperand | tuple[MLOperand, ...]]:
    return {
        name: stands_for.get(o, o) if isinstance(o, MLOperand) else tuple(stands_for.get(i, i) for i in o)
        for name, o in operands.items()
    }
