"""Scatters of few elements at the same indices by their coordinates, such as those of a decoder into its caches.

Serves onnxruntime's `ScatterND`. Its `ScatterElements` looks up the place of each element dimension by dimension, one
element at a time: 256 elements of four dimensions take 4.0 us, and 1.8 us as a `ScatterND`. The coordinates take 2 us,
once for all scatters that have the same indices. The elements are written in the same order, and results are the same
to the bit.

A decoder writes whole rows: the indices within each are the same, which only a run can tell. So the coordinates are
those of rows, or of other slices, if the indices allow it, and a scatter of 256 elements takes 0.4 us. To find that out
takes 2 us in each run, again once for all scatters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from math import prod
from typing import Final

from webnn.graph.composites.scatter_reduce import coordinates_along
from webnn.graph.descriptor import MAX_RANK
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement, rewritten

__all__ = ["scatters_of_few_elements"]

_MANY: Final = 4096
"""Elements. The coordinates of more take memory, and onnxruntime shares out very many among threads, in any order."""
_LEAST: Final = 512
"""Elements of all scatters with the same indices from which on it pays to look for slices."""
_SLICE: Final = 8
"""The elements of a slice."""


def scatters_of_few_elements(graph: Graph) -> Graph:
    """`graph` with `scatter_nd` for `scatter_elements` that share their indices, or that may write slices."""
    candidates = [
        node
        for node in graph.nodes
        if node.op == "scatter_elements"
        and 1 < node["input"].rank < MAX_RANK
        and node["updates"].descriptor.element_count <= _MANY
    ]
    counts = Counter(map(_key, candidates))
    coordinates: dict[object, MLOperand] = {}

    def by_coordinates(node: Node) -> Sequence[MLOperand]:
        b, key = Replacement(node, composites=("scatter_coordinates",)), _key(node)
        if key not in coordinates:
            coordinates[key] = _coordinates(b, node, by_slices=_may_write_slices(node, counts[key]))
        return [b.scatter_nd(node["input"], coordinates[key], node["updates"])]

    nodes = [node for node in candidates if counts[_key(node)] > 1 or _may_write_slices(node, 1)]
    return rewritten(graph, nodes, by_coordinates)


def _key(node: Node) -> Hashable:
    """Equal for scatters that write to the same places."""
    return node["indices"], node["input"].shape, node.attributes["axis"]


def _may_write_slices(node: Node, count: int) -> bool:
    """Whether it pays to look for slices in each run, for so many scatters with the indices of `node`."""
    indices = node["indices"]
    size = prod(indices.shape[node.attributes["axis"] + 1 :])
    return size >= _SLICE and count * indices.descriptor.element_count >= _LEAST and indices.constant is None


def _coordinates(b: Replacement, node: Node, *, by_slices: bool) -> MLOperand:
    """The coordinates of each element, in a new last dimension."""
    indices, axis = node["indices"], node.attributes["axis"]
    size = node["input"].shape[axis]
    low = 0 if indices.data_type == "uint32" else -size
    inside = b.clamp(indices, min_value=low, max_value=size - 1)
    if inside.data_type != "int64":
        inside = b.cast(inside, "int64")
    return coordinates_along(b, inside, axis=axis, by_slices=by_slices)
