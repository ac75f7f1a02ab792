"""Operators of the domain `ai.onnx.ml`, as converters of scikit-learn write them: scaling, categories, linear models.

Trees are in `tree_ensemble`, support vector machines in `support_vectors`. Categories are numbers, since WebNN has no
strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from webnn.errors import DataError
from webnn.formats.onnx.importing.data_types import held
from webnn.formats.onnx.importing.node import OnnxNode
from webnn.formats.onnx.importing.operator_table import Imported, imports
from webnn.formats.onnx.importing.problems import UnsupportedNodeError
from webnn.formats.onnx.importing.values import Value
from webnn.formats.onnx.patterns.classifier_scores import NO_LABELS, feature_rows, post_transform_of
from webnn.graph.composites.classical_ml import (
    NORMS,
    above_threshold,
    classes_of_rows,
    columns_of_categories,
    encoded,
    imputed,
    normalized_rows,
    scaled,
    transformed,
)
from webnn.graph.dtypes import FLOATS
from webnn.graph.operand import MLOperand

__all__: list[str] = []

Array: TypeAlias = np.ndarray[Any, Any]

_ML: Final = "ai.onnx.ml"
_STRINGS: Final = UnsupportedNodeError("its values are strings", "the numbers that it reads, as outputs=[...]")
_KINDS: Final = ("float32", "int64")
"""Types with kernels for all that is done with keys."""


def _numbers(node: OnnxNode, name: str, *shape: int) -> Array:
    """A list of floats as an array of this shape; a single number is repeated."""
    return _repeated(node.get_float_array(name), name, *shape)


def _repeated(array: Array, name: str, *shape: int) -> Array:
    if array.size not in {1, int(np.prod(shape))}:
        raise DataError(f"{name} has {array.size} numbers, expected {int(np.prod(shape))}")
    return np.broadcast_to(array, shape) if array.size == 1 else array.reshape(shape)


@imports("ArrayFeatureExtractor", domain=_ML)
def array_feature_extractor(node: OnnxNode) -> Imported:
    """The chosen features of each row; a vector is one row."""
    b, x, chosen = node.builder, node.operand(0), node.operand(1)
    result = b.gather(x, b.reshape(chosen, [chosen.descriptor.element_count]), axis=max(x.rank - 1, 0))
    return b.reshape(result, [1, *result.shape]) if x.rank == 1 else result


@imports("Scaler", domain=_ML)
def scaler(node: OnnxNode) -> Imported:
    """Each feature minus its offset, times its scale."""
    x = _floats(node)
    offset, scale = (np.array(_numbers(node, name, x.shape[-1])) for name in ("offset", "scale"))
    return scaled(node.builder, x, offset, scale)


def _floats(node: OnnxNode) -> MLOperand:
    x = node.operand(0)
    return x if x.data_type == "float32" else node.builder.cast(x, "float32")


@imports("Normalizer", domain=_ML)
def normalizer(node: OnnxNode) -> Imported:
    """Each row divided by its norm; rows of zeros stay."""
    norm = node.get_string("norm", "MAX")
    if norm not in NORMS:
        raise DataError(f"norm must be MAX, L1 or L2, got {norm!r}")
    return normalized_rows(node.builder, _floats(node), norm)


@imports("Binarizer", domain=_ML)
def binarizer(node: OnnxNode) -> Imported:
    """1 where a feature is above the threshold, 0 elsewhere."""
    b, x, threshold = node.builder, node.operand(0), node.get_float("threshold", 0.0)
    if x.data_type == "float32":
        return above_threshold(b, x, threshold)
    return b.cast(b.greater(x, node.scalar(x, threshold)), x.data_type)


@imports("Imputer", domain=_ML)
def imputer(node: OnnxNode) -> Imported:
    """Missing values replaced by numbers."""
    x = node.operand(0)
    if x.data_type not in _KINDS:
        raise UnsupportedNodeError(f"it replaces missing values of {x.data_type}", "a float32 or int64 input")
    if x.data_type == "float32":
        missing = np.array(node.get_float("replaced_value_float", 0.0), np.float32)
        values = np.array(_numbers(node, "imputed_value_floats", x.shape[-1]))
    else:
        missing = np.array(node.get_int("replaced_value_int64", 0))
        values = np.array(_repeated(node.get_int_array("imputed_value_int64s"), "imputed_value_int64s", x.shape[-1]))
    return imputed(node.builder, x, missing, values)


@imports("FeatureVectorizer", domain=_ML)
def feature_vectorizer(node: OnnxNode) -> Imported:
    """The features of all inputs, concatenated."""
    return node.builder.concat([feature_rows(node, i) for i in range(len(node.inputs))], 1)


@imports("LinearRegressor", domain=_ML)
def linear_regressor(node: OnnxNode) -> Imported:
    """One product, and the post-transform, which onnxruntime does not apply to a single target."""
    b, x, targets = node.builder, _rows(node), node.get_int("targets", 1)
    weights = b.constant(_coefficients(node, targets, x.shape[1]))
    bias = b.constant(np.array(_numbers(node, "intercepts", targets))) if node.has_attribute("intercepts") else None
    scores = b.gemm(x, weights, c=bias, b_transpose=True)
    transform = post_transform_of(node)
    return scores if targets == 1 else transformed(b, scores, transform)


@imports("LinearClassifier", domain=_ML)
def linear_classifier(node: OnnxNode) -> Imported:
    """The label of the largest score, and all scores after the post-transform.

    There may be one intercept for two classes: then the coefficients that come first are those of the second class.
    """
    x, labels = _rows(node), node.get_ints("classlabels_ints", ())
    strings = node.get_strings("classlabels_strings", ())
    classes, features = len(labels) or len(strings), x.shape[1]
    if not node.get_floats("intercepts", ()):
        intercepts = np.zeros(classes, np.float32)
    elif classes == 2 and len(node.get_floats("intercepts")) == 1:
        intercepts = node.get_float_array("intercepts")
    else:
        intercepts = np.array(_numbers(node, "intercepts", classes))
    if len(intercepts) == classes:
        coefficients = _coefficients(node, classes, features)
    else:
        coefficients = node.get_float_array("coefficients")[:features]
        if len(coefficients) < features:
            raise DataError(f"it has {len(coefficients)} coefficients for {features} features")
    chosen, scores = classes_of_rows(
        node.builder,
        x,
        coefficients.reshape(-1, features),
        intercepts,
        labels=labels or range(classes),
        transform=post_transform_of(node),
    )
    return [chosen, scores] if labels else [Value(why=NO_LABELS), scores]


def _rows(node: OnnxNode) -> MLOperand:
    x = feature_rows(node)
    if x.rank != 2:
        raise DataError(f"X is {list(x.shape)}, expected rows of features")
    return x


def _coefficients(node: OnnxNode, columns: int, features: int) -> Array:
    """Those of a linear model, `[columns, features]`."""
    given = node.get_float_array("coefficients")
    if given.size != columns * features:
        raise UnsupportedNodeError(
            f"it has {given.size} coefficients for {columns} outputs and {features} features",
            "a coefficient for each of them",
        )
    return given.reshape(columns, features)


@imports("LabelEncoder", domain=_ML)
def label_encoder(node: OnnxNode) -> Imported:
    """The value of each key, and a default for other numbers."""
    b, x = node.builder, node.operand(0)
    keys, values = _listed(node, "keys"), _listed(node, "values")
    if keys is None:
        raise DataError("its keys are strings, but its input is not")
    if values is None:
        return [Value(why=_STRINGS)]
    if len(keys) != len(values) or not len(keys):
        raise DataError(f"it has {len(keys)} keys and {len(values)} values")
    default = _default(node, values)
    keys, values, default = held(keys), held(values), held(default)
    x = x if x.data_type in _KINDS else b.cast(x, "float32" if keys.dtype.kind == "f" else "int64")
    keys, first = np.unique(keys, return_index=True)  # NaN is one key, and comes last
    return encoded(b, x, keys, values[first], default)


def _listed(node: OnnxNode, what: str) -> np.ndarray[Any, Any] | None:
    """The keys or values: a list of one of three types, or a tensor. None for strings."""
    if node.has_attribute(f"{what}_tensor"):
        array = node.get_tensor(f"{what}_tensor").reshape(-1)
        return None if array.dtype.kind not in "fiu" else array
    if node.has_attribute(f"{what}_floats"):
        return node.get_float_array(f"{what}_floats")
    if node.has_attribute(f"{what}_int64s"):
        return node.get_int_array(f"{what}_int64s")
    if node.has_attribute(f"{what}_strings") or node.has_attribute("classes_strings"):
        return None
    raise DataError(f"it has no {what}")


def _default(node: OnnxNode, values: Array) -> Array:
    if node.has_attribute("default_tensor"):
        array = node.get_tensor("default_tensor")
        if array.size != 1:
            raise DataError(f"default_tensor must be one number, got shape {list(array.shape)}")
        number = array.reshape(())
    elif values.dtype.kind == "f":
        number = np.array(node.get_float("default_float", -0.0))
    else:
        number = np.array(node.get_int("default_int64", -1))
    return np.asarray(number, values.dtype)


@imports("OneHotEncoder", domain=_ML)
def one_hot_encoder(node: OnnxNode) -> Imported:
    """A column for each category, 1 where an element is that category. Floats are rounded toward zero first.

    Other numbers have 0 in all columns, or without `zeros` end the run with an error.
    """
    b, x = node.builder, node.operand(0)
    categories: Sequence[int] = node.get_ints("cats_int64s", ())
    if not categories:
        raise DataError("its categories are strings, but its input is not")
    x = x if x.data_type in _KINDS else b.cast(x, "float32" if x.data_type in FLOATS else "int64")
    return columns_of_categories(b, x, categories, complete=not node.get_int("zeros", 1))
