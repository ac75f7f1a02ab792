"""Tree ensembles: a composite where trees share no nodes and the weights of their leaves are summed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.importing.values import Value
from webnn.formats.onnx.patterns.classifier_scores import NO_LABELS, feature_rows, post_transform_of, post_transformed
from webnn.formats.onnx.patterns.tree_tables import TreeEnsemble, read_ensemble, read_regressor_or_classifier
from webnn.graph.composites.tree_ensemble import (
    classes_of_trees,
    classes_of_votes,
    reached_leaves,
    summed_leaves,
    with_base,
)
from webnn.graph.operand import MLOperand

__all__: list[str] = []

Array = np.ndarray[Any, Any]

_ML = "ai.onnx.ml"


@imports("TreeEnsembleRegressor", domain=_ML)
def regressor(node: OnnxNode) -> Imported:
    """The sum or another aggregate of the reached leaves."""
    targets = node.get_int("n_targets", 1)
    ensemble = read_regressor_or_classifier(node, "target", targets)
    function, base = node.get_string("aggregate_function", "SUM"), _base(node, targets, targets)
    return _post(node, _aggregated(node, ensemble, function, targets, base))


@imports("TreeEnsemble", domain=_ML)
def tree_ensemble(node: OnnxNode) -> Imported:
    """The newer form of the regressor, whose attributes are numbers instead of names."""
    functions, transforms = ("AVERAGE", "SUM", "MIN", "MAX"), ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
    function, transform = node.get_int("aggregate_function", 1), node.get_int("post_transform", 0)
    if not 0 <= function < len(functions) or not 0 <= transform < len(transforms):
        raise DataError(f"aggregate_function {function} or post_transform {transform} is not defined")
    scores = _aggregated(node, read_ensemble(node), functions[function], node.get_int("n_targets", 1), None)
    return _post(node, scores, transforms[transform])


def _post(node: OnnxNode, scores: MLOperand, name: str | None = None) -> MLOperand:
    # ONNX Runtime, with which converters are tested, leaves a single target as it is.
    name = node.get_string("post_transform", "NONE") if name is None else name
    return scores if scores.shape[1] == 1 and name != "PROBIT" else post_transformed(node, scores, name)


@imports("TreeEnsembleClassifier", domain=_ML)
def classifier(node: OnnxNode) -> Imported:
    """The label of the class with the highest score, and all scores."""
    labels, strings = node.get_ints("classlabels_int64s", ()), node.get_strings("classlabels_strings", ())
    classes = len(labels) or len(strings)
    if classes < 1:
        raise DataError("it has no class labels")
    ensemble = read_regressor_or_classifier(node, "class", classes)
    voted_for = int(np.count_nonzero(np.bincount(ensemble.targets, minlength=classes)))
    base = _base(node, classes, 1 if classes == 2 and voted_for == 1 else classes)
    chosen, scores = _classes(node, ensemble, labels or range(classes), base, post_transform_of(node))
    return [Value(why=NO_LABELS), scores] if strings else [chosen, scores]


def _classes(
    node: OnnxNode, ensemble: TreeEnsemble, labels: Sequence[int], base: Array | None, transform: str
) -> list[MLOperand]:
    """The labels and the scores."""
    b, x, depth = node.builder, _rows(node), ensemble.depth
    if ensemble.trees is not None:
        tables = {**ensemble.tables, **ensemble.votes, "trees": ensemble.trees}
        return classes_of_trees(b, x, tables, depth=depth, labels=labels, base=base, transform=transform)
    leaves, weights, voted = _leaves(node, x, ensemble, len(labels))
    return classes_of_votes(
        b,
        b.reduce_sum(b.gather(node.constant(weights), leaves), axes=[1]),
        leaves,
        (weights, voted),
        labels=labels,
        base=None if base is None else node.constant(base),
        transform=transform,
        all_voted_for=bool(voted[ensemble.voters].all()),
    )


def _base(node: OnnxNode, targets: int, expected: int) -> Array | None:
    """The base values, as many as `expected`."""
    tensor = "base_values_as_tensor"
    base = node.get_tensor(tensor) if node.has_attribute(tensor) else np.array(node.get_floats("base_values", ()))
    if not base.size:
        return None
    if base.size == 2 and targets == 2 and expected == 1:
        raise UnsupportedNodeError("it has two base values, but votes for one class only", "one base value")
    if base.size != expected:
        raise DataError(f"{base.size} base values for {targets} targets")
    return base.reshape(-1).astype(np.float32)


def _rows(node: OnnxNode) -> MLOperand:
    x = feature_rows(node)
    if x.rank != 2:
        raise DataError(f"X is {list(x.shape)}, expected rows of features")
    return x


def _leaves(node: OnnxNode, x: MLOperand, ensemble: TreeEnsemble, columns: int) -> tuple[MLOperand, Array, Array]:
    """The leaf of each row in each tree; and of all nodes the weights and whether they vote."""
    tables = {name: node.constant(table) for name, table in ensemble.tables.items()}
    leaves = reached_leaves(node.builder, x, tables, depth=ensemble.depth)
    return leaves, *ensemble.weights_of_leaves(node, columns)


def _aggregated(node: OnnxNode, ensemble: TreeEnsemble, function: str, columns: int, base: Array | None) -> MLOperand:
    """The aggregated leaves of all trees, and `base`: `[rows, columns]`."""
    b, x = node.builder, _rows(node)
    if function not in {"SUM", "AVERAGE", "MIN", "MAX"}:
        raise DataError(f"aggregate_function must be SUM, AVERAGE, MIN or MAX, got {function!r}")
    average = function == "AVERAGE"
    if function in {"SUM", "AVERAGE"} and ensemble.trees is not None:
        tables = {**ensemble.tables, **ensemble.votes, "trees": ensemble.trees}
        return summed_leaves(b, x, tables, depth=ensemble.depth, columns=columns, base=base, average=average)
    leaves, weights, voted = _leaves(node, x, ensemble, columns)
    if function in {"MIN", "MAX"}:
        none = math.inf if function == "MIN" else -math.inf
        votes = b.gather(node.constant(np.where(voted, weights, np.float32(none))), leaves)
        result = (b.reduce_min if function == "MIN" else b.reduce_max)(votes, axes=[1])
        result = b.where(b.equal(result, node.scalar(result, none)), node.scalar(result, 0), result)
    else:
        result = b.reduce_sum(b.gather(node.constant(weights), leaves), axes=[1])
        result = b.div(result, node.scalar(result, len(ensemble.roots))) if average else result
    if base is None:
        return result
    all_voted_for = bool(voted[ensemble.voters].all())
    return with_base(b, result, node.constant(base), leaves, voted, all_voted_for=all_voted_for)
