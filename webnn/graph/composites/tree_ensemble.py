"""Trees of comparisons: the weights of the leaves that a row of features reaches, summed over all trees.

WebNN has no control flow in which each row could go its own way. So all rows go down all trees at once, one comparison
per step: the operators grow with the depth of the trees, and their results with the number of trees. Runtimes have
kernels that follow each row from node to node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = ["EQUAL", "LESS", "LESS_OR_EQUAL", "TABLES", "reached_leaves", "summed_leaves"]

Array = np.ndarray[Any, Any]

LESS_OR_EQUAL, LESS, EQUAL = 0, 1, 4
"""How a node compares a feature with its split, in `modes`; numbered as in ONNX's `TreeEnsemble`."""

TABLES: Final[Mapping[str, type]] = {
    "features": np.int32,
    "splits": np.float32,
    "modes": np.uint8,
    "missing": np.uint8,
    "if_true": np.int32,
    "if_false": np.int32,
    "roots": np.int32,
    "trees": np.int32,
    "weights": np.float32,
}
"""The tables of an ensemble and their data types. All but `roots` have an entry for each node:

- `features` and `splits`: what is compared. `modes`: how.
- `missing`: whether NaN takes the branch where the comparison holds.
- `if_true`, `if_false`: the node that follows. A leaf follows itself.
- `roots`: the first node of each tree. `trees`: the tree of each node, -1 for nodes of no tree.
- `weights`: of the leaves, `[nodes, targets]`.
"""


def summed_leaves(b: Builder, x: MLOperand, tables: Mapping[str, Array], *, depth: int) -> MLOperand:
    """The weights of the leaves that the rows of `x`, in float32, reach, summed over all trees: `[rows, targets]`.

    Args:
        b: the builder.
        x: `[rows, features]`.
        tables: the tables of the trees, which share no nodes; see `TABLES`.
        depth: the most comparisons from a root to a leaf.
    """
    operands = {"input": x}
    for name, dtype in TABLES.items():
        operands[name] = b.constant(np.ascontiguousarray(tables[name], dtype))
    output = MLOperandDescriptor("float32", [x.shape[0], tables["weights"].shape[1]])
    return compose(b, "tree_ensemble", operands, [output], depth=depth)[0]


def reached_leaves(b: Builder, x: MLOperand, tables: Mapping[str, MLOperand], *, depth: int) -> MLOperand:
    """The leaf that each row of `x` reaches in each tree, `[rows, trees]`. The tables are constants."""
    features, splits, if_true, if_false = (tables[name] for name in ("features", "splits", "if_true", "if_false"))
    modes, missing = (_known(tables[name]) for name in ("modes", "missing"))
    equal = modes == EQUAL
    is_equal = b.constant(equal.astype(np.uint8)) if equal.any() and not equal.all() else None
    less = b.lesser if (modes == LESS).any() else b.lesser_or_equal
    roots = tables["roots"]
    places: MLOperand = b.expand(roots, [x.shape[0], *roots.shape])
    for _ in range(depth):
        value = b.gather_elements(x, b.gather(features, places), axis=1)
        split = b.gather(splits, places)
        goes = b.equal(value, split) if equal.all() else less(value, split)
        if is_equal is not None:
            goes = b.where(b.gather(is_equal, places), b.equal(value, split), goes)
        if missing.any():
            goes = b.logical_or(goes, b.logical_and(b.is_nan(value), b.gather(tables["missing"], places)))
        places = b.where(goes, b.gather(if_true, places), b.gather(if_false, places))
    return places


@composite
def tree_ensemble(b: Builder, node: Node) -> Sequence[MLOperand]:
    """By the leaf of each row in each tree. Where each tree votes for one target, as in boosting, by a product."""
    tables = {name: node[name] for name in TABLES}
    leaves = reached_leaves(b, node["input"], tables, depth=node.attributes["depth"])
    weights, trees = _known(tables["weights"]), _known(tables["trees"])
    votes = np.zeros((len(_known(tables["roots"])), weights.shape[1]), np.bool_)
    reached = trees >= 0
    np.logical_or.at(votes, trees[reached], weights[reached] != 0)
    if (votes.sum(1) <= 1).all():
        return [b.matmul(b.gather(b.constant(weights.sum(1)), leaves), b.constant(votes.astype(np.float32)))]
    return [b.reduce_sum(b.gather(tables["weights"], leaves), axes=[1])]


def _known(table: MLOperand) -> Array:
    assert table.constant is not None
    return table.constant
