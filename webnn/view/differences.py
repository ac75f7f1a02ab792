"""Which nodes of two graphs are the same, which were changed, and which only one of them has.

Nodes that compute the same from the graph's inputs are the same, and so are nodes whose results go the same way to its
outputs: what follows a change does not count as changed. From these pairs on, their neighbours are paired as far as
they agree. What is left is paired by its label, and has been changed.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from webnn.backends.digests import array_digest
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand

__all__ = ["Differences", "differences"]


@dataclass(frozen=True, slots=True)
class Differences:
    """Two graphs, node by node.

    Attributes:
        partner: for each node of the first graph the number of its counterpart in the second, or -1.
        changed: the nodes of the first graph whose counterpart has other attributes, operands, shapes or constants.
    """

    partner: tuple[int, ...]
    changed: frozenset[int]


class _Side:
    """One of the graphs: what each of its nodes is by itself, and what it is connected to."""

    def __init__(self, graph: Graph) -> None:
        self.nodes: Sequence[Node] = graph.nodes
        self.place = {id(output): (i, k) for i, node in enumerate(graph.nodes) for k, output in enumerate(node.outputs)}
        self.outputs: dict[int, list[tuple[str, int]]] = defaultdict(list)
        for name, operand in graph.outputs.items():
            if id(operand) in self.place:
                number, output = self.place[id(operand)]
                self.outputs[number].append((name, output))
        self._digests: dict[int, bytes] = {}
        self.own = [self._own(node) for node in graph.nodes]
        self.readers: list[list[tuple[str, int]]] = [[] for _ in graph.nodes]
        """For each node its readers, by what they call the operand."""
        for i, node in enumerate(graph.nodes):
            for name, operand in _operands(node):
                if id(operand) in self.place:
                    self.readers[self.place[id(operand)][0]].append((name, i))

    def _own(self, node: Node) -> Hashable:
        """What a node is, without its label and what it reads from other nodes."""
        constants = [(name, self._digest(o)) for name, o in _operands(node) if o.constant is not None]
        inputs = [(name, operand.descriptor.key) for name, operand in _operands(node)]
        outputs = [output.descriptor.key for output in node.outputs]
        return node.op, repr((inputs, outputs, constants, dict(node.attributes)))

    def _digest(self, operand: MLOperand) -> bytes:
        if id(operand) not in self._digests:
            assert operand.constant is not None
            self._digests[id(operand)] = array_digest(np.ascontiguousarray(operand.constant))
        return self._digests[id(operand)]

    def forwards(self, numbers: dict[Hashable, int]) -> list[int]:
        """For each node a number that says what it computes from the graph's inputs."""
        found: list[int] = []
        for i, node in enumerate(self.nodes):
            read: list[Hashable] = []
            for name, operand in _operands(node):
                at = self.place.get(id(operand))
                read.append((name, operand.name if at is None else (found[at[0]], at[1])))
            found.append(numbers.setdefault((self.own[i], *read), len(numbers)))
        return found

    def backwards(self, numbers: dict[Hashable, int]) -> list[int]:
        """For each node a number that says how its results go into the graph's outputs."""
        found = [0] * len(self.nodes)
        for i in reversed(range(len(self.nodes))):
            read = sorted((name, found[reader]) for name, reader in self.readers[i])
            found[i] = numbers.setdefault((self.own[i], *read, *sorted(self.outputs.get(i, []))), len(numbers))
        return found


def differences(first: Graph, second: Graph) -> Differences:
    """How the nodes of two graphs correspond."""
    sides = _Side(first), _Side(second)
    partner = [-1] * len(first.nodes)
    taken: set[int] = set()

    def pair(i: int, j: int) -> None:
        partner[i] = j
        taken.add(j)

    def pair_equal(keys: tuple[list[Any], list[Any]]) -> None:
        waiting: dict[Any, deque[int]] = defaultdict(deque)
        for j, key in enumerate(keys[1]):
            if j not in taken and key is not None:
                waiting[key].append(j)
        for i, key in enumerate(keys[0]):
            if partner[i] < 0 and waiting.get(key):
                pair(i, waiting[key].popleft())

    for direction in (_Side.forwards, _Side.backwards):
        numbers: dict[Hashable, int] = {}
        pair_equal((direction(sides[0], numbers), direction(sides[1], numbers)))
    _pair_neighbours(*sides, partner, taken, pair)
    labels = [[(node.op, node.label) if node.label else None for node in side.nodes] for side in sides]
    pair_equal((labels[0], labels[1]))
    own = sides[0].own, sides[1].own
    return Differences(tuple(partner), frozenset(i for i, j in enumerate(partner) if j >= 0 and own[0][i] != own[1][j]))


def _pair_neighbours(first: _Side, second: _Side, partner: list[int], taken: set[int], pair: Any) -> None:
    """Go from pair to pair, and pair what they read and what reads them where it is the same by itself."""
    stack = [(i, j) for i, j in enumerate(partner) if j >= 0]
    while stack:
        i, j = stack.pop()
        there = dict(_neighbours(second, j))
        for where, near in _neighbours(first, i):
            other = there.get(where, -1)
            if partner[near] < 0 and other >= 0 and other not in taken and first.own[near] == second.own[other]:
                pair(near, other)
                stack.append((near, other))


def _neighbours(side: _Side, number: int) -> Iterator[tuple[Hashable, int]]:
    """What a node reads, and what reads it, each by its place."""
    for name, operand in _operands(side.nodes[number]):
        if id(operand) in side.place:
            yield ("reads", name), side.place[id(operand)][0]
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for name, reader in side.readers[number]:
        key = name, side.nodes[reader].op
        counts[key] += 1
        yield ("read by", *key, counts[key]), reader


def _operands(node: Node) -> Iterator[tuple[str, MLOperand]]:
    for name, given in node.operands.items():
        if isinstance(given, MLOperand):
            yield name, given
        else:
            yield from ((f"{name}[{i}]", operand) for i, operand in enumerate(given))
