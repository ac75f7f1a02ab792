"""The coordinates of the elements that `scatter_elements` replaces, as `scatter_nd` takes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["coordinates_along"]


def coordinates_along(b: Builder, indices: MLOperand, *, axis: int, by_slices: bool = False) -> MLOperand:
    """The coordinates of each element, in a new last dimension.

    Args:
        b: takes the node.
        indices: along `axis`, of int64 and in range.
        axis: of the `scatter_elements`.
        by_slices: whether a backend may look, in each run, if the indices are the same within the slices behind
            `axis`, and give the coordinates of these. So only a `scatter_nd`, which takes the same updates then, may
            read the result.
    """
    descriptor = MLOperandDescriptor("int64", [*indices.shape, indices.rank])
    return compose(b, "scatter_coordinates", {"indices": indices}, [descriptor], axis=axis, by_slices=by_slices)[0]


@composite
def scatter_coordinates(b: Builder, node: Node) -> Sequence[MLOperand]:
    """Each index between the places of its element in the other dimensions."""
    indices, axis = node["indices"], node.attributes["axis"]
    parts = [
        b.reshape(indices, (*indices.shape, 1)) if i == axis else b.constant(np.ascontiguousarray(places[..., None]))
        for i, places in enumerate(np.indices(indices.shape, np.int64))
    ]
    return [b.concat(parts, axis=indices.rank)]
