"""The table of composites, and the two ways to make one: as a node, or as its expansion.

WebNN has no operator that sorts or that adds up updates of equal indices. Compositions of others express these, but no
runtime recognizes a sorting network and computes it as fast as its own kernel. So a composite is one node of the graph,
with an expansion that says what it means. A backend that lists it in `composites` lowers it as it is. For every other
one, for a draft without a backend and in the text format it is its expansion.

::

    @composite
    def double(b: Builder, node: Node) -> Sequence[MLOperand]:
        return [b.add(node["input"], node["input"])]

    compose(builder, "double", {"input": x}, [x.descriptor])

Programs cannot make composites: the importer does, and a backend's passes may. The working group of the specification
discusses subgraphs with a name for the same purpose: https://github.com/webmachinelearning/webnn/issues/907.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeAlias

from webnn.graph.builder import MLGraphBuilder
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Attribute, Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, rewritten

__all__ = ["COMPOSITES", "Builder", "compose", "composite", "expanded", "is_kept", "spelled_out"]

Builder: TypeAlias = MLGraphBuilder[Any]
Expansion: TypeAlias = Callable[[Builder, Node], Sequence[MLOperand]]
"""Adds the operators that a composite node stands for to a builder, and returns the operands for its outputs.

It raises `NotSupportedError` where the operators would take too much memory.
"""

COMPOSITES: Final[dict[str, Expansion]] = {}
"""The expansion of each composite, by its name. The `composite` decorator fills it."""


def composite(expansion: Expansion) -> Expansion:
    """Define a composite by its expansion, a function of its name."""
    name = expansion.__name__
    assert name not in COMPOSITES, f"the composite {name} is defined twice"
    COMPOSITES[name] = expansion
    return expansion


def is_kept(builder: Builder, name: str) -> bool:
    """Whether the builder's backend takes a composite as it is."""
    return name in builder._host.composites


def compose(
    builder: Builder,
    name: str,
    operands: Mapping[str, MLOperand],
    outputs: Sequence[MLOperandDescriptor],
    /,
    **attributes: Attribute,
) -> list[MLOperand]:
    """The outputs of a composite: one node if the builder's backend takes it, or else its expansion."""
    if not is_kept(builder, name):
        return spelled_out(builder, name, operands, outputs, **attributes)
    node = Node(name, operands, attributes, builder._default_label, outputs=outputs, owner=builder._owner)
    return list(node.outputs)


def spelled_out(
    builder: Builder,
    name: str,
    operands: Mapping[str, MLOperand],
    outputs: Sequence[MLOperandDescriptor],
    /,
    **attributes: Attribute,
) -> list[MLOperand]:
    """The outputs of a composite's expansion, for cases in which the kernels of runtimes do not compute the same."""
    node = Node(name, operands, attributes, builder._default_label, outputs=outputs, owner=builder._owner)
    return list(COMPOSITES[name](builder, node))


def expanded(graph: Graph, keep: Collection[str] = ()) -> Graph:
    """`graph` with the expansions of all composites but those in `keep`.

    Raises:
        NotSupportedError: an expansion would take too much memory; the message names the composite and its label.
    """
    nodes = [node for node in graph.nodes if node.op in COMPOSITES and node.op not in keep]
    return rewritten(graph, nodes, lambda node: COMPOSITES[node.op](Replacement(node), node))
