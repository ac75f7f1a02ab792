"""The blocks of a graph that its page folds: those that labels name, operators that repeat, and parts of what is left.

A block is inside another one or in the graph itself, and has at least `FEWEST` operators. In whatever a block or the
graph consists of, what is read stands before what reads it: no two blocks read each other, not even through others.
Layouts thus never have an edge that goes up.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal, TypeAlias

import numpy as np

__all__ = ["Block", "blocks_of"]

Path: TypeAlias = tuple[str, ...]
Kind: TypeAlias = Literal["name", "repeat", "part"]

FEWEST: Final = 3
CONNECTED: Final = 0.6
"""A block has at least as many edges inside of it, relative to what a chain of its operators would have.

"Add" is not a block of "p2o.Add.14" and "p2o.Add.52".
"""
SEPARATED: Final = 0.25
"""The share of labels that must have a slash; else the dot separates."""
SHORT: Final = 12
"""Up to so many operators, or blocks, beside each other are not searched for repetitions."""
LONGEST: Final = 256
"""Of one repetition."""
RARE: Final = 6
"""What comes only twice has at least so many operators."""
MANY: Final = 200
"""More than so many beside each other are cut into parts."""
PART: Final = 100

_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Block:
    """One block.

    Attributes:
        name: its part of the labels; or which repetition it is, or which part.
        parent: the number of the block that it lies in; -1 if there is none.
        kind: where it comes from.
        alike: equal for blocks with the same operators in the same order.
    """

    name: str
    parent: int
    kind: Kind
    alike: int


class _Scope:
    """A block in the making, or the graph: nodes, by their number, and scopes inside of it."""

    def __init__(self, name: str = "", kind: Kind = "name", children: Iterable[int | _Scope] = ()) -> None:
        self.name = name
        self.kind: Kind = kind
        self.children: list[int | _Scope] = list(children)

    def nodes(self) -> Iterator[int]:
        stack: list[int | _Scope] = [self]
        while stack:
            child = stack.pop()
            if isinstance(child, _Scope):
                stack.extend(reversed(child.children))
            else:
                yield child


def blocks_of(
    operators: Sequence[str], labels: Sequence[str], sources: Sequence[Sequence[int]]
) -> tuple[list[Block], list[int]]:
    """The blocks, each after the one around it; and for each node the number of its innermost block, or -1.

    Args:
        operators: the operators of the nodes, each after those that it reads.
        labels: the labels of the nodes; may be empty.
        sources: for each node, those that it reads.
    """
    root = _named(labels, sources)
    stack = [root]
    while stack:
        scope = stack.pop()
        _straighten(scope, sources)
        _fold_repetitions(scope, operators, sources)
        _cut(scope)
        stack.extend(child for child in scope.children if isinstance(child, _Scope))
    return _numbered(root, operators)


def _numbered(root: _Scope, operators: Sequence[str]) -> tuple[list[Block], list[int]]:
    blocks: list[Block] = []
    block_of = [-1] * len(operators)
    alike: dict[tuple[str, ...], int] = {}
    stack = [(root, -1)]
    while stack:
        scope, number = stack.pop()
        for child in scope.children:
            if isinstance(child, _Scope):
                signature = tuple(operators[node] for node in child.nodes())
                blocks.append(Block(child.name, number, child.kind, alike.setdefault(signature, len(alike))))
                stack.append((child, len(blocks) - 1))
            else:
                block_of[child] = number
    return blocks, block_of


# Names.


def _named(labels: Sequence[str], sources: Sequence[Sequence[int]]) -> _Scope:
    """The graph with the blocks that the labels name."""
    paths = _paths(labels, sources)
    root = _Scope()
    scopes: dict[Path, _Scope] = {(): root}
    for node, path in enumerate(paths):
        for depth in range(1, len(path) + 1):
            if path[:depth] not in scopes:
                scopes[path[:depth]] = _Scope(path[depth - 1])
                scopes[path[: depth - 1]].children.append(scopes[path[:depth]])
        scopes[path].children.append(node)
    edges: Counter[Path] = Counter()
    for node, read in enumerate(sources):
        for source in read:
            shared = _common(paths[node], paths[source])
            edges.update(shared[:depth] for depth in range(len(shared) + 1))
    sizes: Counter[Path] = Counter()
    for path in paths:
        sizes.update(path[:depth] for depth in range(len(path) + 1))
    for path in sorted(scopes, key=len, reverse=True)[:-1]:
        scope, parent = scopes[path], scopes[path[:-1]]
        weak = sizes[path] < FEWEST or edges[path] < CONNECTED * (sizes[path] - 1) or sizes[path] == len(labels)
        if weak:
            _dissolve(scope, parent)
        elif len(scope.children) == 1 and isinstance(only := scope.children[0], _Scope):
            scope.name, scope.children = f"{scope.name}/{only.name}", only.children
    return root


def _paths(labels: Sequence[str], sources: Sequence[Sequence[int]]) -> list[Path]:
    """The path of blocks that each node's label names."""
    given = [label for label in labels if label]
    slashes = sum("/" in label.strip("/") for label in given)
    separator = "/" if slashes >= SEPARATED * len(given) else "."
    counts = Counter(given)
    paths: list[Path | None] = []
    for label in labels:
        words = tuple(word for word in label.split(separator) if word)
        # Nodes of one label are what one operator of the file became.
        paths.append((words if counts[label] > 1 else words[:-1]) if label else None)
    return _filled(paths, sources)


def _filled(paths: Sequence[Path | None], sources: Sequence[Sequence[int]]) -> list[Path]:
    """Nodes without a label lie where both what they read and what reads them lies."""
    if None not in paths:
        return [path for path in paths if path is not None]
    readers: list[list[int]] = [[] for _ in paths]
    for node, read in enumerate(sources):
        for source in read:
            readers[source].append(node)

    def reached(order: Iterable[int], neighbours: Sequence[Sequence[int]]) -> list[Path | None]:
        found = list(paths)
        for node in order:
            if found[node] is None:
                found[node] = _all_common(found[near] for near in neighbours[node])
        return found

    forwards = reached(range(len(paths)), sources)
    backwards = reached(reversed(range(len(paths))), readers)
    # What nothing reads is a result, and stands outside of all blocks.
    pairs = zip(forwards, backwards, strict=True)
    return [() if after is None else _all_common((before, after)) or () for before, after in pairs]


def _common(a: Path, b: Path) -> Path:
    depth = 0
    while depth < min(len(a), len(b)) and a[depth] == b[depth]:
        depth += 1
    return a[:depth]


def _all_common(paths: Iterable[Path | None]) -> Path | None:
    """What the known ones of `paths` begin with; None if none is known."""
    found: Path | None = None
    for path in paths:
        if path is not None:
            found = path if found is None else _common(found, path)
    return found


def _dissolve(scope: _Scope, parent: _Scope) -> None:
    at = parent.children.index(scope)
    parent.children[at : at + 1] = scope.children


# Order.


def _straighten(scope: _Scope, sources: Sequence[Sequence[int]]) -> None:
    """Order the children so that each stands after those that it reads; blocks that read each other are dissolved."""
    while True:
        order = _ordered(scope, sources)
        if len(order) == len(scope.children):
            scope.children = order
            return
        left = set(map(id, scope.children)) - set(map(id, order))
        tangled = [child for child in scope.children if isinstance(child, _Scope) and id(child) in left]
        _dissolve(min(tangled, key=lambda child: sum(1 for _ in child.nodes())), scope)


def _ordered(scope: _Scope, sources: Sequence[Sequence[int]]) -> list[int | _Scope]:
    """The children in order, as far as there is one; of those that may be next, the one with the first node."""
    place: dict[int, int] = {}
    first: list[int] = []
    for number, child in enumerate(scope.children):
        nodes = list(child.nodes()) if isinstance(child, _Scope) else [child]
        place |= dict.fromkeys(nodes, number)
        first.append(min(nodes))
    readers: list[set[int]] = [set() for _ in scope.children]
    for node, number in place.items():
        for source in sources[node]:
            if place.get(source, number) != number:
                readers[place[source]].add(number)
    waiting = Counter(reader for each in readers for reader in each)
    ready = [(first[number], number) for number in range(len(first)) if not waiting[number]]
    heapq.heapify(ready)
    order: list[int | _Scope] = []
    while ready:
        _, number = heapq.heappop(ready)
        order.append(scope.children[number])
        for reader in readers[number]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(ready, (first[reader], reader))
    return order


# Repetitions, and parts.


def _fold_repetitions(scope: _Scope, operators: Sequence[str], sources: Sequence[Sequence[int]]) -> None:
    """Make a block of each repetition among the children, the longest runs first."""
    if len(scope.children) <= SHORT:
        return
    rounds: list[list[_Scope]] = []
    while len(rounds) < 26:
        numbers: dict[Any, int] = {}
        tokens = np.zeros(len(scope.children), np.uint64)
        for i, child in enumerate(scope.children):
            key = id(child) if isinstance(child, _Scope) else operators[child]
            tokens[i] = numbers.setdefault(key, len(numbers) + 1)
        found = _longest_repetition(scope, tokens, sources)
        if found is None:
            break
        length, starts = found
        if length == len(scope.children):
            break
        blocks = [_Scope("", "repeat", scope.children[start : start + length]) for start in starts]
        for start, block in reversed(list(zip(starts, blocks, strict=True))):
            scope.children[start : start + length] = [block]
        rounds.append(blocks)
    for letter, blocks in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", rounds, strict=False):
        for i, block in enumerate(blocks):
            which = f"block {letter}" if len(rounds) > 1 else "block"
            block.name = f"{which} {i + 1} of {len(blocks)}"


def _longest_repetition(
    scope: _Scope, tokens: np.ndarray[Any, Any], sources: Sequence[Sequence[int]]
) -> tuple[int, list[int]] | None:
    """The length and the places of the runs that fold the most; None if there are none."""
    best: tuple[int, list[int]] | None = None
    saved = 0
    hashes = np.zeros(len(tokens), np.uint64)
    for length in range(1, min(LONGEST, len(tokens) // 2) + 1):
        # Of the runs of `length` tokens, one number each: that of the run without its last token, and the last token.
        hashes = hashes[: len(tokens) - length + 1] * _MULTIPLIER + tokens[length - 1 :]
        if length < FEWEST:
            continue
        _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
        for number in np.argsort(-counts, kind="stable")[:3]:
            most = int(counts[number])
            if most < 2 or (most - 1) * (length - 1) <= saved:
                break
            starts = _apart(np.flatnonzero(inverse == number).tolist(), length)
            gain = (len(starts) - 1) * (length - 1)
            often = len(starts) > 2 or (len(starts) == 2 and length >= RARE)
            if often and gain > saved and _is_connected(scope.children[starts[0] : starts[0] + length], sources):
                best, saved = (length, starts), gain
    return best


def _apart(starts: Sequence[int], length: int) -> list[int]:
    """Those of `starts` whose runs do not overlap, from the first on."""
    kept = [starts[0]]
    for start in starts[1:]:
        if start >= kept[-1] + length:
            kept.append(start)
    return kept


def _is_connected(children: Sequence[int | _Scope], sources: Sequence[Sequence[int]]) -> bool:
    """Whether they are nodes that read each other, as those of a block do."""
    nodes = {child for child in children if isinstance(child, int)}
    if len(nodes) < len(children):  # blocks stay beside what is not in one
        return False
    inner = sum(1 for node in nodes for source in set(sources[node]) if source in nodes)
    return inner >= CONNECTED * (len(nodes) - 1)


def _cut(scope: _Scope) -> None:
    """Cut very many children into parts, so that no layout has to place more of them at once."""
    count = len(scope.children)
    if count <= MANY:
        return
    ends = [round(count * i / -(-count // PART)) for i in range(-(-count // PART) + 1)]
    scope.children = [
        _Scope(f"part {i + 1} of {len(ends) - 1}", "part", scope.children[start:end])
        for i, (start, end) in enumerate(pairwise(ends))
    ]
