"""Merging: several graphs, each of which reads results of the ones before it, as one graph.

Values are numbered. A *link* is one run of a graph: the numbers of the values that it reads and makes. Each value is
made by at most one link. This module is pure, and knows neither tensors nor how a graph is run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from webnn.graph.ir import Graph, Node, Operands
from webnn.graph.operand import MLOperand
from webnn.graph.quick_dataclass import dataclass

__all__ = ["MAX_BYTES", "MAX_NODES", "Link", "Merged", "groups", "merged", "needed"]

MAX_NODES: Final = 1000
"""The most nodes of one merged graph: compiling a node takes some 0.1 ms, on the thread that compiles all graphs."""
MAX_BYTES: Final = 64 * 1024 * 1024
"""The most bytes of constants in one merged graph: a backend may keep a second copy of them in a layout of its own."""


@dataclass(frozen=True, slots=True)
class Link:
    """One run of a graph.

    Args:
        graph: the graph.
        inputs: the number of the value of each input, in the graph's order.
        outputs: the number of the value of each output, in the graph's order.
    """

    graph: Graph
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Merged:
    """Several links as one graph, with the numbers of the values that it reads and makes, in the graph's order."""

    graph: Graph
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def needed(links: Sequence[Link], kept: Collection[int]) -> list[Link]:
    """The links that the values in `kept` depend on, in order."""
    wanted = set(kept)
    found = []
    for link in reversed(links):
        if not wanted.isdisjoint(link.outputs):
            wanted.update(link.inputs)
            found.append(link)
    return found[::-1]


def groups(
    links: Sequence[Link], fusable: Sequence[bool], *, max_nodes: int = MAX_NODES, max_bytes: int = MAX_BYTES
) -> list[list[int]]:
    """The positions of links that are worth merging, group by group; the others are alone in theirs.

    The groups are in an order in which they can be run. Only neighbours are merged, and only links that have a value in
    common, directly or through others: an error in one input must not reach what does not depend on it.

    Args:
        links: in the order in which they are run.
        fusable: whether each link may be merged with others.
        max_nodes: the most nodes of one group.
        max_bytes: the most bytes of constants of one group.
    """
    result: list[list[int]] = []
    start = 0
    while start < len(links):
        end = start + 1
        if fusable[start]:
            while end < len(links) and fusable[end]:
                end += 1
        for together in _connected(links, range(start, end)):
            result += _cut(links, together, max_nodes, max_bytes)
        start = end
    return result


def _connected(links: Sequence[Link], positions: Iterable[int]) -> list[list[int]]:
    """`positions`, parted into those whose links have values in common. Links can be too many for recursion."""
    parent: dict[int, int] = {}

    def root(value: int) -> int:
        while (above := parent.setdefault(value, value)) != value:
            parent[value] = value = parent[above]
        return value

    positions = list(positions)
    for position in positions:
        link = links[position]
        first = root(link.outputs[0])
        for value in (*link.inputs, *link.outputs):
            parent[root(value)] = first
    parts: dict[int, list[int]] = {}
    for position in positions:
        parts.setdefault(root(links[position].outputs[0]), []).append(position)
    return list(parts.values())


def _cut(links: Sequence[Link], positions: Sequence[int], max_nodes: int, max_bytes: int) -> list[list[int]]:
    parts: list[list[int]] = []
    nodes = size = 0
    constants: set[int] = set()
    for position in positions:
        graph = links[position].graph
        new = {id(operand): operand for operand in graph.constants if id(operand) not in constants}
        more = sum(operand.descriptor.byte_length for operand in new.values())
        if not parts or nodes + len(graph.nodes) > max_nodes or size + more > max_bytes:
            parts.append([])
            nodes, size, more = 0, 0, graph.constant_bytes
            constants = set()
        parts[-1].append(position)
        nodes += len(graph.nodes)
        size += more
        constants.update(map(id, graph.constants))
    return parts


def merged(links: Sequence[Link], kept: Collection[int]) -> Merged:
    """`links` as one graph that makes the values in `kept`.

    A constant that several links have in common, such as the weights of a graph that is run several times, is one
    constant of the result. Nodes keep their labels. The names of inputs and outputs follow from the order of the links,
    so that equal programs give equal graphs.
    """
    copy = _Copy()
    operands: dict[int, MLOperand] = {}
    inputs: dict[int, MLOperand] = {}
    for link in links:
        for operand, number in zip(link.graph.inputs.values(), link.inputs, strict=True):
            if number not in operands:
                operands[number] = inputs[number] = copy.input(f"input{len(inputs)}", operand)
        results = copy.nodes(link, operands)
        operands.update(zip(link.outputs, results, strict=True))
    outputs = [number for link in links for number in link.outputs if number in kept]
    graph = Graph(inputs.values(), {f"output{i}": operands[number] for i, number in enumerate(outputs)})
    read = [number for number, operand in inputs.items() if operand.name in graph.inputs]
    return Merged(graph, tuple(read), tuple(outputs))


class _Copy:
    """Copies nodes into one graph, whose operands all have one owner."""

    def __init__(self) -> None:
        self._owner = object()
        self._constants: dict[tuple[int, str, tuple[int, ...]], MLOperand] = {}

    def input(self, name: str, operand: MLOperand) -> MLOperand:
        return MLOperand(self._owner, operand.descriptor, name=name)

    def nodes(self, link: Link, operands: Mapping[int, MLOperand]) -> list[MLOperand]:
        """Copy the nodes of a link that reads `operands`. Returns the operands that stand for its outputs."""
        graph = link.graph
        stands_for = {
            id(operand): operands[number] for operand, number in zip(graph.inputs.values(), link.inputs, strict=True)
        }
        for operand in graph.constants:
            stands_for[id(operand)] = self._constant(operand)
        for node in graph.nodes:
            copy = self._node(node, stands_for)
            stands_for.update((id(old), new) for old, new in zip(node.outputs, copy.outputs, strict=True))
        return [stands_for[id(operand)] for operand in graph.outputs.values()]

    def _constant(self, operand: MLOperand) -> MLOperand:
        array = operand.constant
        assert array is not None
        key = (array.__array_interface__["data"][0], operand.descriptor.data_type, array.shape)  # one place, one value
        if key not in self._constants:
            self._constants[key] = MLOperand(self._owner, operand.descriptor, constant=array)
        return self._constants[key]

    def _node(self, node: Node, stands_for: Mapping[int, MLOperand]) -> Node:
        operands: dict[str, Operands] = {
            name: stands_for[id(o)] if isinstance(o, MLOperand) else tuple(stands_for[id(i)] for i in o)
            for name, o in node.operands.items()
        }
        outputs = [output.descriptor for output in node.outputs]
        return Node(node.op, operands, node.attributes, node.label, outputs=outputs, owner=self._owner)
