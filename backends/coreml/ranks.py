"""Movements in more dimensions than Core ML has, in fewer: windows of pictures, shuffled pixels.

Programs part axes by a reshape, change their order, and join them by another reshape. Axes that stay together all the
way need not be parted, and axes of size 1 need not be there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from webnn.backends.coreml.program import MAX_RANK
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, rewritten

__all__ = ["with_joined_axes"]


def with_joined_axes(graph: Graph) -> Graph:
    """`graph` with as few dimensions as possible between two reshapes with transposes, where Core ML has too few."""
    ends = [node for node in graph.nodes if node.op == "reshape" and node["input"].rank > MAX_RANK]
    return rewritten(graph, ends, _joined)


def _joined(node: Node) -> Sequence[MLOperand] | None:
    x = node["input"]
    order = tuple(range(x.rank))
    while x.node is not None and x.node.op == "transpose":
        permutation = x.node.attributes["permutation"]
        order = tuple(permutation[axis] for axis in order)
        x = x.node["input"]
    if x.node is None or x.node.op != "reshape":
        return None
    groups = _groups(order, x.shape)
    if len(groups) > MAX_RANK:
        return None
    before = sorted(groups)
    b = Replacement(node)
    y = b.reshape(x.node["input"], [math.prod(x.shape[axis] for axis in group) for group in before])
    y = b.transpose(y, permutation=[before.index(group) for group in groups])
    return [b.reshape(y, node.output.shape)]


def _groups(order: Sequence[int], shape: Sequence[int]) -> list[list[int]]:
    """The axes of more than one element in their new `order`, with those together that follow each other in both."""
    kept = [axis for axis, size in enumerate(shape) if size > 1]
    groups: list[list[int]] = []
    for axis in order:
        if shape[axis] == 1:
            continue
        if groups and kept.index(axis) == kept.index(groups[-1][-1]) + 1:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    return groups
