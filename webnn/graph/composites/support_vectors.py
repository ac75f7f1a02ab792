"""Support vector machines, whose kernel functions compare rows of features with known vectors.

In WebNN's operators they are products and sums. Where probabilities are asked for, runtimes approach those that fit the
scores of all pairs of classes in a few steps; here the equations are solved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np

from webnn.errors import NotSupportedError
from webnn.graph.composites.classical_ml import labelled
from webnn.graph.composites.composite import Builder, compose, composite
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Attribute, Node
from webnn.graph.operand import MLOperand

__all__ = ["classified", "regressed"]

Array = np.ndarray[Any, Any]

_CLASSES: Final = 128
"""The most classes whose probabilities are solved for, row by row of the equations."""
_SURE: Final = 1e-7
"""How far a probability stays from 0 and 1, as in libsvm."""


def regressed(b: Builder, x: MLOperand, arrays: Mapping[str, Array], kernel: Mapping[str, Attribute]) -> MLOperand:
    """The weighted sum of the kernel functions of each row of `x`, in float32, and all vectors: `[rows, 1]`.

    Args:
        b: the builder.
        x: `[rows, features]`.
        arrays: `vectors`, `[vectors, features]`; `coefficients`, one for each; and `rho`, the number that is added.
        kernel: `kernel`, which is LINEAR, POLY, RBF or SIGMOID, and its numbers `gamma`, `coef0` and `degree`.
    """
    output = MLOperandDescriptor("float32", [x.shape[0], 1])
    return compose(b, "svm_regressor", {"input": x, **_constants(b, arrays)}, [output], **kernel)[0]


def classified(
    b: Builder,
    x: MLOperand,
    arrays: Mapping[str, Array],
    kernel: Mapping[str, Attribute],
    *,
    counts: Sequence[int],
    labels: Sequence[int],
) -> list[MLOperand]:
    """The label of the class of each row of `x`, `[rows]` in int64, and the scores.

    The scores are probabilities, `[rows, classes]`, if these can be computed; or those of all pairs of classes, above 0
    for the first one, `[rows, pairs]`; or with a single pair the negative score and the score, `[rows, 2]`.

    Args:
        b: the builder.
        x: `[rows, features]`.
        arrays: `vectors`, `[vectors, features]`; `coefficients`, `[classes - 1, vectors]`; and `rho`, one for each
            pair, as are `prob_a` and `prob_b` for probabilities.
        kernel: as for `regressed`.
        counts: the number of vectors of each class, of which there are at least two.
        labels: of the classes.
    """
    classes, pairs = len(counts), len(arrays["rho"])
    columns = classes if "prob_a" in arrays else max(pairs, 2)
    outputs = [MLOperandDescriptor("int64", [x.shape[0]]), MLOperandDescriptor("float32", [x.shape[0], columns])]
    operands = {"input": x, **_constants(b, arrays)}
    return compose(b, "svm_classifier", operands, outputs, **kernel, counts=tuple(counts), labels=tuple(labels))


def _constants(b: Builder, arrays: Mapping[str, Array]) -> dict[str, MLOperand]:
    return {name: b.constant(np.ascontiguousarray(array, np.float32)) for name, array in arrays.items()}


@composite
def svm_regressor(b: Builder, node: Node) -> Sequence[MLOperand]:
    """A product with the coefficients."""
    weights = b.constant(_known(node, "coefficients").reshape(-1, 1))
    return [b.gemm(_compared(b, node), weights, c=node["rho"])]


@composite
def svm_classifier(b: Builder, node: Node) -> Sequence[MLOperand]:
    """A product with the coefficients of each pair of classes, and the votes of all pairs."""
    counts = node.attributes["counts"]
    pairs = list(combinations(range(len(counts)), 2))
    ends = np.cumsum(counts)
    of = [slice(int(end - count), int(end)) for end, count in zip(ends, counts, strict=True)]
    coefficients = _known(node, "coefficients")
    weights = np.zeros((coefficients.shape[1], len(pairs)), np.float32)
    first, second = np.zeros((2, len(pairs), len(counts)), np.float32)
    for column, (i, j) in enumerate(pairs):
        weights[of[i], column] = coefficients[j - 1, of[i]]
        weights[of[j], column] = coefficients[i, of[j]]
        first[column, i] = second[column, j] = 1
    scores = b.gemm(_compared(b, node), b.constant(weights), c=node["rho"])
    wins = b.cast(b.greater(scores, b.constant("float32", 0)), "float32")
    # The pair votes for the second class unless the first one wins.
    votes = b.gemm(wins, b.constant(first - second), c=b.constant(second.sum(0)))
    label = labelled(b, b.arg_max(votes, 1, output_data_type="int64"), node.attributes["labels"])
    if "prob_a" in node.operands:
        return [label, _probabilities(b, node, scores, len(counts))]
    return [label, b.concat([b.neg(scores), scores], 1) if len(pairs) == 1 else scores]


def _compared(b: Builder, node: Node) -> MLOperand:
    """The kernel function of each row and each vector, `[rows, vectors]`."""
    x, vectors, kernel = node["input"], _known(node, "vectors"), node.attributes["kernel"]
    gamma, coef0, degree = (node.attributes[name] for name in ("gamma", "coef0", "degree"))
    if kernel == "RBF":
        # From the middle of the vectors, so that squares of numbers far from 0 lose no digits of the distances.
        middle = vectors.mean(0, dtype=np.float64).astype(np.float32)
        x, vectors = b.sub(x, b.constant(middle)), vectors - middle
        size = b.reduce_sum_square(x, axes=[1], keep_dimensions=True)
        sizes = b.constant(np.square(vectors.astype(np.float64)).sum(1).astype(np.float32))
        distances = b.gemm(x, b.constant(vectors), c=b.add(size, sizes), alpha=-2, b_transpose=True)
        return b.exp(b.linear(b.relu(distances), alpha=-gamma))
    products = b.gemm(x, b.constant(vectors), b_transpose=True)
    if kernel == "LINEAR":
        return products
    products = b.linear(products, alpha=gamma, beta=coef0)
    return b.tanh(products) if kernel == "SIGMOID" else b.pow(products, b.constant("float32", degree))


def _probabilities(b: Builder, node: Node, scores: MLOperand, classes: int) -> MLOperand:
    """The probabilities of the classes that fit those of the pairs best, `[rows, classes]`.

    They minimize the sum of `(r_ji p_i - r_ij p_j) ** 2` over all pairs, where `r_ij` is the probability of class i
    against class j, and their own sum is 1 (Wu, Lin and Weng, "Probability Estimates for Multi-class Classification by
    Pairwise Coupling", 2004).
    """
    if classes > _CLASSES:
        raise NotSupportedError(f"{node.where}: it has {classes} classes, the limit for probabilities is {_CLASSES}")
    rows = scores.shape[0]
    # Of the first class of each pair.
    chance = b.sigmoid(b.neg(b.add(b.mul(scores, node["prob_a"]), node["prob_b"])))
    chance = b.clamp(chance, min_value=_SURE, max_value=1 - _SURE)
    other = b.linear(chance, alpha=-1, beta=1)
    places = np.zeros((3, scores.shape[1], classes, classes), np.float32)
    for column, (i, j) in enumerate(combinations(range(classes), 2)):
        places[0, column, j, j] = places[1, column, i, i] = 1
        places[2, column, i, j] = places[2, column, j, i] = -1
    terms = b.concat([b.mul(chance, chance), b.mul(other, other), b.mul(chance, other)], 1)
    flat = b.constant(places.reshape(-1, classes * classes))
    # With 1 in all places the minimum stays where it is, and the equations have one solution.
    matrix = b.gemm(terms, flat, c=b.constant("float32", 1))
    matrix = b.reshape(matrix, [rows, classes, classes])
    equations = b.concat([matrix, b.constant(np.ones((rows, classes, 1), np.float32))], 2)
    for i in range(classes):
        row = b.slice(equations, [0, i, 0], [rows, 1, classes + 1])
        row = b.div(row, b.slice(row, [0, 0, i], [rows, 1, 1]))
        factors = b.slice(equations, [0, 0, i], [rows, classes, 1])
        here = b.constant((np.arange(classes) == i).astype(np.uint8).reshape(1, classes, 1))
        equations = b.where(here, row, b.sub(equations, b.mul(factors, row)))
    solution = b.reshape(b.slice(equations, [0, 0, classes], [rows, classes, 1]), [rows, classes])
    return b.div(solution, b.reduce_sum(solution, axes=[1], keep_dimensions=True))


def _known(node: Node, name: str) -> Array:
    array = node[name].constant
    assert array is not None
    return array
