"""Tree ensembles: a composite where trees share no nodes and the weights of their leaves are summed."""

from __future__ import annotations

import math

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.importing.values import Value
from webnn.formats.onnx.patterns.classifier_scores import NO_LABELS, feature_rows, post_transformed
from webnn.formats.onnx.patterns.tree_tables import TreeEnsemble, read_ensemble, read_regressor_or_classifier
from webnn.graph.composites.tree_ensemble import reached_leaves, summed_leaves
from webnn.graph.operand import MLOperand

__all__: list[str] = []

_ML = "ai.onnx.ml"


@imports("TreeEnsembleRegressor", domain=_ML)
def regressor(node: OnnxNode) -> Imported:
    """The sum or another aggregate of the reached leaves."""
    targets = node.get_int("n_targets", 1)
    ensemble = read_regressor_or_classifier(node, "target", targets)
    scores = _with_base(node, _aggregated(node, ensemble, node.get_string("aggregate_function", "SUM")), targets)
    return _post(node, scores)


@imports("TreeEnsemble", domain=_ML)
def tree_ensemble(node: OnnxNode) -> Imported:
    """The newer form of the regressor, whose attributes are numbers instead of names."""
    functions, transforms = ("AVERAGE", "SUM", "MIN", "MAX"), ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
    function, transform = node.get_int("aggregate_function", 1), node.get_int("post_transform", 0)
    if not 0 <= function < len(functions) or not 0 <= transform < len(transforms):
        raise DataError(f"aggregate_function {function} or post_transform {transform} is not defined")
    scores = _aggregated(node, read_ensemble(node), functions[function])
    return _post(node, scores, transforms[transform])


def _post(node: OnnxNode, scores: MLOperand, name: str | None = None) -> MLOperand:
    # ONNX Runtime, with which converters are tested, leaves a single target as it is.
    name = node.get_string("post_transform", "NONE") if name is None else name
    return scores if scores.shape[1] == 1 and name != "PROBIT" else post_transformed(node, scores, name)


@imports("TreeEnsembleClassifier", domain=_ML)
def classifier(node: OnnxNode) -> Imported:
    """The label of the class with the highest score, and all scores."""
    b = node.builder
    labels, strings = node.get_ints("classlabels_int64s", ()), node.get_strings("classlabels_strings", ())
    classes = len(labels) or len(strings)
    if classes < 1:
        raise DataError("it has no class labels")
    ensemble = read_regressor_or_classifier(node, "class", classes)
    votes = _aggregated(node, ensemble, "SUM")
    voted = np.flatnonzero(ensemble.has_weight.any(0))
    if classes == 2 and len(voted) == 1:
        positive = bool((ensemble.leaf_weights >= 0).all())
        chosen, scores = _binary(node, b.slice(votes, [0, int(voted[0])], [votes.shape[0], 1]), int(voted[0]), positive)
    else:
        scores = _with_base(node, votes, classes)
        chosen = b.arg_max(scores, 1, output_data_type="int64")
        scores = post_transformed(node, scores)
    if strings:
        return [Value(why=NO_LABELS), scores]
    if labels != [*range(classes)]:
        chosen = b.gather(node.constant(np.array(labels, np.int64)), chosen)
    return [chosen, scores]


def _binary(node: OnnxNode, votes: MLOperand, which: int, positive: bool) -> tuple[MLOperand, MLOperand]:
    """Label and scores where only one of two classes has votes: probabilities if no vote is negative, else margins.

    As in ONNX Runtime, votes for the first class count for the second, and the rest for the first.
    """
    b = node.builder
    base = node.get_floats("base_values", ())
    if len(base) > 1:
        raise UnsupportedNodeError("it has two base values, but votes for one class only", "one base value")
    score = b.add(votes, node.scalar(votes, base[0])) if base and not which else votes
    chosen = b.cast(b.greater(score, node.scalar(score, 0.5 if positive else 0)), "int64")
    chosen = b.reshape(chosen, [chosen.shape[0]])
    if which:
        return chosen, post_transformed(node, b.concat([b.sub(score, score), score], 1))
    if node.get_string("post_transform", "NONE") == "LOGISTIC":
        return chosen, b.sigmoid(b.concat([b.neg(score), score], 1))
    return chosen, b.concat([b.sub(node.scalar(score, 1), score) if positive else b.neg(score), score], 1)


def _with_base(node: OnnxNode, scores: MLOperand, targets: int) -> MLOperand:
    tensor = "base_values_as_tensor"
    base = node.get_tensor(tensor) if node.has_attribute(tensor) else np.array(node.get_floats("base_values", ()))
    if not base.size:
        return scores
    if base.size != targets:
        raise DataError(f"{base.size} base values for {targets} targets")
    return node.builder.add(scores, node.constant(base.reshape(-1).astype(np.float32)))


def _aggregated(node: OnnxNode, ensemble: TreeEnsemble, function: str) -> MLOperand:
    """The aggregated leaves of all trees, `[rows, targets]`."""
    b, x, tables, depth = node.builder, feature_rows(node), ensemble.tables, ensemble.depth
    if x.rank != 2:
        raise DataError(f"X is {list(x.shape)}, expected rows of features")
    if function in {"SUM", "AVERAGE"} and ensemble.trees is not None:
        result = summed_leaves(b, x, {**tables, "trees": ensemble.trees, "weights": ensemble.leaf_weights}, depth=depth)
    else:
        leaves = reached_leaves(b, x, {name: node.constant(table) for name, table in tables.items()}, depth=depth)
        if function in {"MIN", "MAX"}:
            none = math.inf if function == "MIN" else -math.inf
            votes = b.gather(
                node.constant(np.where(ensemble.has_weight, ensemble.leaf_weights, np.float32(none))), leaves
            )
            result = (b.reduce_min if function == "MIN" else b.reduce_max)(votes, axes=[1])
            return b.where(b.equal(result, node.scalar(result, none)), node.scalar(result, 0), result)
        if function not in {"SUM", "AVERAGE"}:
            raise DataError(f"aggregate_function must be SUM, AVERAGE, MIN or MAX, got {function!r}")
        result = b.reduce_sum(b.gather(node.constant(ensemble.leaf_weights), leaves), axes=[1])
    return result if function == "SUM" else b.div(result, node.scalar(result, len(ensemble.roots)))
