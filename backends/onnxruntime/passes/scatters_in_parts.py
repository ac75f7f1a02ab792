"""Scatters that combine very many updates, as a chain of scatters that onnxruntime computes on one thread each.

Its `ScatterND` shares out the updates among threads if they have many elements, even where it combines them by a
reduction. Two threads that add to the same place then lose an update: sums of 20,000 rows of 64 over 500 places are
wrong in nearly every run.

Each part copies the whole tensor and its own updates. That only pays if all cores save more time elsewhere in the
graph. Other graphs with such scatters get one thread (see `combines_in_any_order`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Final

from webnn.backends.onnxruntime.threads import IN_ORDER, combines_in_any_order, work
from webnn.graph.composites.scatter_reduce import scattered_slices
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, rewritten

__all__ = ["scatters_in_parts"]

_WORTH: Final = 8
"""Multiply-adds of the graph for each byte that the parts copy: below, one thread for the whole graph is faster on two
cores. A byte takes 0.04 ns, and a second core saves 0.005 ns of each multiply-add."""


def scatters_in_parts(graph: Graph) -> Graph:
    """`graph` with its scatters of very many updates in parts, where this is faster than one thread for all of it."""
    scatters = [node for node in graph.nodes if combines_in_any_order(node)]
    if not scatters or work(graph) < _WORTH * sum(map(_copied, scatters)):
        return graph
    return rewritten(graph, scatters, _in_parts)


def _part(node: Node) -> int:
    """The updates of one part."""
    return max(1, IN_ORDER // prod(node["input"].shape[node["indices"].shape[-1] :]))


def _copied(node: Node) -> int:
    """Bytes that the parts copy, with what is read again."""
    parts = -(-prod(node["indices"].shape[:-1]) // _part(node))
    return parts * node["input"].descriptor.byte_length + 2 * node["updates"].descriptor.byte_length


def _in_parts(node: Node) -> Sequence[MLOperand]:
    b = Replacement(node, composites=("scatter_reduce_nd",))
    result, depth, part = node["input"], node["indices"].shape[-1], _part(node)
    rest, count = result.shape[depth:], prod(node["indices"].shape[:-1])
    indices, updates = b.reshape(node["indices"], [count, depth]), b.reshape(node["updates"], [count, *rest])
    for start in range(0, count, part):
        size = min(part, count - start)
        result = scattered_slices(
            b,
            result,
            b.slice(indices, [start, 0], [size, depth]),
            b.slice(updates, [start, *[0] * len(rest)], [size, *rest]),
            reduction=node.attributes["reduction"],
            ignoring=node.attributes["ignoring"],
        )
    return [result]
