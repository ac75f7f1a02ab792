"""Trees of comparisons: the weights of the leaves that a row of features reaches, summed over all trees.

WebNN has no control flow in which each row could go its own way. So all rows go down all trees at once, one comparison
per step: the operators grow with the depth of the trees, and their results with the number of trees. Runtimes have
kernels that follow each row from node to node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from webnn.errors import NotSupportedError
from webnn.graph.composites.classical_ml import labelled, transformed
from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Attribute, Node
from webnn.graph.operand import MLOperand

__all__ = [
    "EQUAL",
    "LESS",
    "LESS_OR_EQUAL",
    "TABLES",
    "VOTES",
    "classes_of_trees",
    "classes_of_votes",
    "reached_leaves",
    "summed_leaves",
    "tables_of_votes",
]

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
}
"""The tables of an ensemble and their data types. All but `roots` have an entry for each node:

- `features` and `splits`: what is compared. `modes`: how.
- `missing`: whether NaN takes the branch where the comparison holds.
- `if_true`, `if_false`: the node that follows. A leaf follows itself.
- `roots`: the first node of each tree. `trees`: the tree of each node, -1 for nodes of no tree.
"""

VOTES: Final[Mapping[str, type]] = {"voters": np.int32, "targets": np.int32, "weights": np.float32}
"""The tables of votes, which have an entry for each: the leaf that votes, for what, and with which weight."""

_WEIGHTS: Final = 1 << 28
"""The most weights of a table that has one for each node and target."""


def summed_leaves(
    b: Builder,
    x: MLOperand,
    tables: Mapping[str, Array],
    *,
    depth: int,
    columns: int,
    base: Array | None = None,
    average: bool = False,
) -> MLOperand:
    """The weights of the leaves that the rows of `x`, in float32, reach, summed over all trees: `[rows, columns]`.

    Args:
        b: the builder.
        x: `[rows, features]`.
        tables: the tables of the trees, which share no nodes, and of their votes; see `TABLES` and `VOTES`.
        depth: the most comparisons from a root to a leaf.
        columns: the number of targets.
        base: a number for each target, which is added.
        average: divide the sum by the number of trees, before `base` is added.
    """
    output = MLOperandDescriptor("float32", [x.shape[0], columns])
    return compose(b, "tree_ensemble", _operands(b, x, tables, base), [output], depth=depth, average=average)[0]


def classes_of_trees(
    b: Builder,
    x: MLOperand,
    tables: Mapping[str, Array],
    *,
    depth: int,
    labels: Sequence[int],
    base: Array | None,
    transform: str,
) -> list[MLOperand]:
    """The label of the class with the highest score, `[rows]` in int64, and the scores, `[rows, classes]`.

    A class for which no leaf of a row votes has the score 0, and is not chosen if there is no `base`. Of two classes of
    which only one is ever voted for, the scores are probabilities if no vote is negative, else margins, as in ONNX
    Runtime: votes for the first one count for the second, and the rest for the first.

    Args:
        b: the builder.
        x: `[rows, features]`.
        tables: as for `summed_leaves`.
        depth: the most comparisons from a root to a leaf.
        labels: of the classes.
        base: a number for each class, which is added; or one for the class that is voted for.
        transform: what becomes of the scores; see `transformed`.
    """
    rows = x.shape[0]
    outputs = [MLOperandDescriptor("int64", [rows]), MLOperandDescriptor("float32", [rows, len(labels)])]
    options: dict[str, Attribute] = {"depth": depth, "labels": tuple(labels), "transform": transform}
    return compose(b, "tree_classifier", _operands(b, x, tables, base), outputs, **options)


def _operands(b: Builder, x: MLOperand, tables: Mapping[str, Array], base: Array | None) -> dict[str, MLOperand]:
    operands = {"input": x}
    for name, dtype in {**TABLES, **VOTES}.items():
        operands[name] = b.constant(np.ascontiguousarray(tables[name], dtype))
    if base is not None:
        operands["base"] = b.constant(np.ascontiguousarray(base, np.float32))
    return operands


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
    weights, voted = _tables_of_votes(node, node.output.shape[1])
    leaves = _reached(b, node)
    result = _summed(b, node, leaves, weights, voted)
    if node.attributes["average"]:
        result = b.div(result, b.constant("float32", node["roots"].shape[0]))
    if "base" in node.operands:
        result = with_base(b, result, node["base"], leaves, voted, all_voted_for=_all_voted_for(node, voted))
    return [result]


@composite
def tree_classifier(b: Builder, node: Node) -> Sequence[MLOperand]:
    """The sums of the votes, and the first of the largest ones among the classes that are voted for."""
    labels = node.attributes["labels"]
    weights, voted = _tables_of_votes(node, len(labels))
    leaves = _reached(b, node)
    return classes_of_votes(
        b,
        _summed(b, node, leaves, weights, voted),
        leaves,
        (weights, voted),
        labels=labels,
        base=node.get("base"),
        transform=node.attributes["transform"],
        all_voted_for=_all_voted_for(node, voted),
    )


def _all_voted_for(node: Node, voted: Array) -> bool:
    """Whether each row has a vote for each column, since all leaves of a tree vote for it."""
    trees = _known(node["trees"])
    is_leaf = (_known(node["if_true"]) == np.arange(len(trees))) & (trees >= 0)
    sizes = np.bincount(trees[is_leaf], minlength=node["roots"].shape[0])
    counts = np.zeros((len(sizes), voted.shape[1]), np.int64)
    np.add.at(counts, trees[is_leaf], voted[is_leaf])
    return bool((counts == sizes[:, None]).any(0).all())


def with_base(
    b: Builder, scores: MLOperand, base: MLOperand, leaves: MLOperand, voted: Array, *, all_voted_for: bool
) -> MLOperand:
    """`base` added to the scores of the targets of a regression for which a leaf of the row votes.

    Of several targets, the others are 0, as in ONNX Runtime.
    """
    sums = b.add(scores, base)
    if all_voted_for or scores.shape[1] == 1:
        return sums
    counts = b.reduce_sum(b.gather(b.constant(voted.astype(np.float32)), leaves), axes=[1])
    return b.where(b.greater(counts, b.constant("float32", 0)), sums, b.constant("float32", 0))


def classes_of_votes(
    b: Builder,
    votes: MLOperand,
    leaves: MLOperand,
    tables: tuple[Array, Array],
    *,
    labels: Sequence[int],
    base: MLOperand | None,
    transform: str,
    all_voted_for: bool,
) -> list[MLOperand]:
    """What `classes_of_trees` gives, of the sums of votes, `[rows, classes]`.

    Args:
        b: the builder.
        votes: the sums.
        leaves: the leaf of each row in each tree.
        tables: the weights of all nodes, `[nodes, classes]`, and whether they vote.
        labels: as for `classes_of_trees`.
        base: as for `classes_of_trees`.
        transform: as for `classes_of_trees`.
        all_voted_for: whether each row has a vote for each class.
    """
    weights, voted = tables
    found = np.flatnonzero(voted.any(0))
    if len(labels) == 2 and len(found) == 1:
        votes = b.slice(votes, [0, int(found[0])], [votes.shape[0], 1])
        chosen, scores = _binary(b, votes, base, int(found[0]), transform, positive=bool((weights >= 0).all()))
        return [labelled(b, chosen, labels), scores]
    scores = among = votes if base is None else b.add(votes, base)
    if base is None and not all_voted_for:
        counts = b.reduce_sum(b.gather(b.constant(voted.astype(np.float32)), leaves), axes=[1])
        among = b.where(b.greater(counts, b.constant("float32", 0)), scores, b.constant("float32", -np.inf))
    chosen = b.arg_max(among, 1, output_data_type="int64")
    return [labelled(b, chosen, labels), transformed(b, scores, transform)]


def _binary(
    b: Builder, votes: MLOperand, base: MLOperand | None, which: int, transform: str, *, positive: bool
) -> tuple[MLOperand, MLOperand]:
    """Class and scores where only one of two classes has votes."""
    score = votes if base is None or which else b.add(votes, base)
    chosen = b.cast(b.greater(score, b.constant("float32", 0.5 if positive else 0)), "int64")
    chosen = b.reshape(chosen, [chosen.shape[0]])
    if which:
        return chosen, transformed(b, b.concat([b.sub(score, score), score], 1), transform)
    if transform == "LOGISTIC":
        return chosen, b.sigmoid(b.concat([b.neg(score), score], 1))
    return chosen, b.concat([b.sub(b.constant("float32", 1), score) if positive else b.neg(score), score], 1)


def _reached(b: Builder, node: Node) -> MLOperand:
    return reached_leaves(b, node["input"], {name: node[name] for name in TABLES}, depth=node.attributes["depth"])


def _tables_of_votes(node: Node, columns: int) -> tuple[Array, Array]:
    """The weights of the nodes, `[nodes, columns]`, and whether they vote."""
    voters, targets, weights = (_known(node[name]) for name in VOTES)
    count = node["features"].shape[0]
    if count * columns > _WEIGHTS:
        raise NotSupportedError(
            f"{node.where}: the weights of {count} nodes for {columns} targets take too much memory"
        )
    return tables_of_votes(voters, targets, weights, shape=(count, columns))


def tables_of_votes(voters: Array, targets: Array, weights: Array, *, shape: tuple[int, int]) -> tuple[Array, Array]:
    """The weight of each node for each target, and whether it votes, of the tables `VOTES`. Both have this shape."""
    table, voted = np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
    np.add.at(table, (voters, targets), weights)
    voted[voters, targets] = True
    return table, voted


def _summed(b: Builder, node: Node, leaves: MLOperand, weights: Array, voted: Array) -> MLOperand:
    """The weights of the reached leaves, summed over all trees."""
    trees = _known(node["trees"])
    votes = np.zeros((node["roots"].shape[0], weights.shape[1]), np.bool_)
    np.logical_or.at(votes, trees[trees >= 0], voted[trees >= 0])
    if (votes.sum(1) <= 1).all():
        return b.matmul(b.gather(b.constant(weights.sum(1)), leaves), b.constant(votes.astype(np.float32)))
    return b.reduce_sum(b.gather(b.constant(weights), leaves), axes=[1])


def _known(table: MLOperand) -> Array:
    assert table.constant is not None
    return table.constant
