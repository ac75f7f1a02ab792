"""Support vector machines: composites where there are vectors, and linear models otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from webnn.errors import DataError, NotSupportedError
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.importing.values import Value
from webnn.formats.onnx.patterns.classifier_scores import NO_LABELS, feature_rows, post_transformed
from webnn.graph.composites.classical_ml import labelled
from webnn.graph.composites.support_vectors import classified, regressed
from webnn.graph.ir import Attribute
from webnn.graph.operand import MLOperand

__all__: list[str] = []

Array = np.ndarray[Any, Any]

_ML: Final = "ai.onnx.ml"
_KERNELS: Final = ("LINEAR", "POLY", "RBF", "SIGMOID")


@imports("SVMRegressor", domain=_ML)
def regressor(node: OnnxNode) -> Imported:
    """The weighted sum of the kernel functions; with `one_class` its sign, where 0 is negative."""
    b, x, vectors = node.builder, _rows(node), node.get_int("n_supports", 0)
    if vectors:
        arrays = {
            "vectors": _floats(node, "support_vectors", vectors, x.shape[1]),
            "coefficients": _floats(node, "coefficients", vectors),
            "rho": _rho(node, 1),
        }
        result = regressed(b, x, arrays, _kernel(node))
    else:
        weights = b.constant(_floats(node, "coefficients", x.shape[1], 1))
        result = b.gemm(x, weights, c=b.constant(_rho(node, 1)))
    if not node.get_int("one_class", 0):
        return result  # onnxruntime reads no post_transform here
    return b.where(b.greater(result, node.scalar(result, 0)), node.scalar(result, 1), node.scalar(result, -1))


@imports("SVMClassifier", domain=_ML)
def classifier(node: OnnxNode) -> Imported:
    """The label that most pairs of classes vote for, and probabilities or the scores of all pairs."""
    x = _rows(node)
    labels, strings = node.get_ints("classlabels_ints", ()), node.get_strings("classlabels_strings", ())
    classes = len(strings) or len(labels)
    if classes < 2:
        raise DataError(f"it has {classes} class labels, expected at least 2")
    counts = node.get_ints("vectors_per_class", ())
    names = labels or range(classes)
    chosen, scores = _by_vectors(node, x, counts, names) if sum(counts) else _linear(node, x, names)
    return [Value(why=NO_LABELS), scores] if strings else [chosen, scores]


def _by_vectors(node: OnnxNode, x: MLOperand, counts: list[int], labels: Sequence[int]) -> tuple[MLOperand, MLOperand]:
    b, vectors, classes = node.builder, sum(counts), len(labels)
    pairs = classes * (classes - 1) // 2
    if len(counts) != classes or min(counts) < 0:
        raise DataError(f"vectors_per_class {counts} does not fit {classes} classes")
    arrays = {
        "vectors": _floats(node, "support_vectors", vectors, x.shape[1]),
        "coefficients": _floats(node, "coefficients", classes - 1, vectors),
        "rho": _rho(node, pairs),
    }
    if node.get_floats("prob_a", ()):
        arrays |= {name: _floats(node, name, pairs) for name in ("prob_a", "prob_b")}
    try:
        chosen, scores = classified(b, x, arrays, _kernel(node), counts=counts, labels=labels)
    except NotSupportedError as error:
        raise UnsupportedNodeError(str(error).partition(": ")[2], "the model exported without probabilities") from None
    if pairs == 1 and "prob_a" not in arrays and node.get_string("post_transform", "NONE") == "SOFTMAX":
        # Here onnxruntime gives the single score as it is, and what it leaves of 1.
        score = b.slice(scores, [0, 1], [x.shape[0], 1])
        return chosen, b.concat([b.linear(score, alpha=-1, beta=1), score], 1)
    return chosen, post_transformed(node, scores)


def _linear(node: OnnxNode, x: MLOperand, labels: Sequence[int]) -> tuple[MLOperand, MLOperand]:
    """One product. Of two classes the second one is chosen if a score is above a bound, as onnxruntime does."""
    b, classes = node.builder, len(labels)
    coefficients = _floats(node, "coefficients", classes, x.shape[1])
    scores = b.gemm(x, b.constant(coefficients), c=b.constant(_rho(node, 1)), b_transpose=True)
    chosen = b.arg_max(scores, 1, output_data_type="int64")
    if classes == 2 and not node.get_floats("prob_a", ()):
        largest = b.reduce_max(scores, axes=[1])
        if (coefficients >= 0).all():
            above = b.greater_or_equal(largest, node.scalar(largest, 0.5))
        else:
            above = b.greater(largest, node.scalar(largest, 0))
        chosen = b.where(above, node.scalar(chosen, 1), chosen)
    return labelled(b, chosen, labels), post_transformed(node, scores)


def _rows(node: OnnxNode) -> MLOperand:
    x = feature_rows(node)
    if x.rank != 2:
        raise DataError(f"X is {list(x.shape)}, expected rows of features")
    return x


def _floats(node: OnnxNode, name: str, *shape: int) -> Array:
    array = node.get_float_array(name)
    if array.size != int(np.prod(shape)):
        raise DataError(f"{name} has {array.size} numbers, expected {' x '.join(map(str, shape))}")
    return array.reshape(shape)


def _rho(node: OnnxNode, count: int) -> Array:
    """The first `count` numbers, as onnxruntime reads them."""
    array = node.get_float_array("rho")
    if array.size < count:
        raise DataError(f"rho has {array.size} numbers, expected {count}")
    return array[:count]


def _kernel(node: OnnxNode) -> dict[str, Attribute]:
    kernel, parameters = node.get_string("kernel_type", "LINEAR"), node.get_floats("kernel_params", ())
    if kernel not in _KERNELS:
        raise DataError(f"kernel_type must be one of {', '.join(_KERNELS)}, got {kernel!r}")
    if len(parameters) not in {0, 3}:
        raise DataError(f"kernel_params {parameters} must be gamma, coef0 and degree")
    gamma, coef0, degree = parameters or (0.0, 0.0, 0.0)
    return {"kernel": kernel, "gamma": gamma, "coef0": coef0, "degree": degree}
