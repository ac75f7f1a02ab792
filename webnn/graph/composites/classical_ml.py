"""Steps of classical machine learning, as converters of scikit-learn write them: scaling, categories, classifiers.

Each is a kernel of its own in runtimes. In WebNN's operators they take two to six, which for one row is two to three
times as long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from webnn.graph.composites.composite import Builder, compose, composite, spelled_out
from webnn.graph.composites.open_cases import cast_in_range
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.dtypes import data_type_of
from webnn.graph.ir import Node
from webnn.graph.operand import MLOperand

__all__ = [
    "NORMS",
    "above_threshold",
    "classes_of_rows",
    "columns_of_categories",
    "encoded",
    "imputed",
    "labelled",
    "normalized_rows",
    "scaled",
    "transformed",
]

Array = np.ndarray[Any, Any]

NORMS: Final[Mapping[str, str]] = {"MAX": "reduce_max", "L1": "reduce_l1", "L2": "reduce_l2"}
"""The names of norms, and the operators that compute them."""
_SPARSE: Final = 16
"""A table has an entry for each integer between the keys if these are at most so many times as many as the keys."""


def scaled(b: Builder, x: MLOperand, offset: Array, scale: Array) -> MLOperand:
    """Each feature along the last axis of `x`, in float32, minus its offset, times its scale."""
    operands = {"input": x, "offset": b.constant(offset), "scale": b.constant(scale)}
    return (compose if x.rank == 2 else spelled_out)(b, "scaler", operands, [x.descriptor])[0]


@composite
def scaler(b: Builder, node: Node) -> Sequence[MLOperand]:
    """A difference and a product."""
    return [b.mul(b.sub(node["input"], node["offset"]), node["scale"])]


def normalized_rows(b: Builder, x: MLOperand, norm: str) -> MLOperand:
    """The rows along the last axis of `x`, in float32, divided by their norms, one of `NORMS`. Rows of zeros stay."""
    return (compose if x.rank == 2 else spelled_out)(b, "normalizer", {"input": x}, [x.descriptor], norm=norm)[0]


@composite
def normalizer(b: Builder, node: Node) -> Sequence[MLOperand]:
    """A quotient."""
    x = node["input"]
    size = getattr(b, NORMS[node.attributes["norm"]])(x, axes=[x.rank - 1], keep_dimensions=True)
    zero, one = b.constant("float32", 0), b.constant("float32", 1)
    return [b.div(x, b.where(b.equal(size, zero), one, size))]


def imputed(b: Builder, x: MLOperand, missing: Array, values: Array) -> MLOperand:
    """`x` with `values`, one for each feature, where an element equals the number `missing`, which may be NaN.

    All three are of one type: float32 or int64.
    """
    operands = {"input": x, "missing": b.constant(missing), "values": b.constant(values)}
    return (compose if x.rank == 2 else spelled_out)(b, "imputer", operands, [x.descriptor])[0]


@composite
def imputer(b: Builder, node: Node) -> Sequence[MLOperand]:
    """A choice."""
    x, missing = node["input"], node["missing"]
    assert missing.constant is not None
    where = b.is_nan(x) if x.data_type == "float32" and np.isnan(missing.constant) else b.equal(x, missing)
    return [b.where(where, node["values"], x)]


def above_threshold(b: Builder, x: MLOperand, threshold: float) -> MLOperand:
    """1 where an element of the float32 `x` is above `threshold`, else 0. NaN may end the run with an error."""
    return compose(b, "binarizer", {"input": x}, [x.descriptor], threshold=threshold)[0]


@composite
def binarizer(b: Builder, node: Node) -> Sequence[MLOperand]:
    """A comparison."""
    x = node["input"]
    return [b.cast(b.greater(x, b.constant("float32", node.attributes["threshold"])), "float32")]


def classes_of_rows(
    b: Builder, x: MLOperand, coefficients: Array, intercepts: Array, *, labels: Sequence[int], transform: str
) -> list[MLOperand]:
    """The label of the largest score of each float32 row of `x`, `[rows]` in int64, and the scores, `[rows, classes]`.

    Args:
        b: the builder.
        x: `[rows, features]`.
        coefficients: `[classes, features]`; or of two classes those of the second one alone, which is chosen if its
            score is above 0.
        intercepts: one for each row of `coefficients`.
        labels: of the classes.
        transform: what becomes of the scores; see `transformed`.
    """
    operands = {"input": x, "coefficients": b.constant(coefficients), "intercepts": b.constant(intercepts)}
    rows = x.shape[0]
    outputs = [MLOperandDescriptor("int64", [rows]), MLOperandDescriptor("float32", [rows, len(labels)])]
    return compose(b, "linear_classifier", operands, outputs, labels=tuple(labels), transform=transform)


@composite
def linear_classifier(b: Builder, node: Node) -> Sequence[MLOperand]:
    """A product. The scores of two classes are those of the second one, and what it leaves of 1, as in ONNX Runtime."""
    labels, transform = node.attributes["labels"], node.attributes["transform"]
    scores = b.gemm(node["input"], node["coefficients"], c=node["intercepts"], b_transpose=True)
    if scores.shape[1] == len(labels):
        chosen = b.arg_max(scores, 1, output_data_type="int64")
        return [labelled(b, chosen, labels), transformed(b, scores, transform)]
    chosen = b.reshape(b.cast(b.greater(scores, b.constant("float32", 0)), "int64"), [scores.shape[0]])
    if transform == "LOGISTIC":
        both = b.sigmoid(b.concat([b.neg(scores), scores], 1))
    else:
        both = b.concat([b.linear(scores, alpha=-1, beta=1), scores], 1)
    return [labelled(b, chosen, labels), both]


def labelled(b: Builder, chosen: MLOperand, labels: Sequence[int]) -> MLOperand:
    """The labels of the classes `chosen`, which are numbered from 0."""
    if list(labels) == [*range(len(labels))]:
        return chosen
    return b.gather(b.constant(np.array(labels, np.int64)), chosen)


def transformed(b: Builder, scores: MLOperand, transform: str) -> MLOperand:
    """The scores, `[rows, classes]`, as they are (NONE), or after a sigmoid (LOGISTIC) or a softmax (SOFTMAX)."""
    if transform == "NONE":
        return scores
    return b.sigmoid(scores) if transform == "LOGISTIC" else b.softmax(scores, 1)


def encoded(b: Builder, x: MLOperand, keys: Array, values: Array, default: Array) -> MLOperand:
    """The value of each element of `x` that is a key, and `default` for the others.

    Args:
        b: takes the node.
        x: float32 or int64, of any shape.
        keys: different numbers of x's type in ascending order; NaN, which equals NaN here, comes last.
        values: one for each key.
        default: one number of the type of `values`.
    """
    operands = {"input": x, "keys": b.constant(keys), "values": b.constant(values), "default": b.constant(default)}
    output = MLOperandDescriptor(data_type_of(values.dtype), x.shape)
    make = compose if values.dtype in (np.float32, np.int64) else spelled_out
    return make(b, "label_encoder", operands, [output])[0]


@composite
def label_encoder(b: Builder, node: Node) -> Sequence[MLOperand]:
    """A table of all integers between the keys, or a binary search."""
    x, default = node["input"], node["default"]
    keys, values, other = (_known(node[name]) for name in ("keys", "values", "default"))
    if keys.dtype.kind == "f":
        if not np.isnan(keys[-1]):
            return [_searched(b, x, keys, values, default)]
        rest = _searched(b, x, keys[:-1], values[:-1], default)
        return [b.where(b.is_nan(x), b.constant(np.array(values[-1])), rest)]
    low, high = int(keys[0]), int(keys[-1])
    if high - low > _SPARSE * len(keys) or max(-low, high) > 1 << 60:
        return [_searched(b, x, keys, values, default)]
    table = np.full(high - low + 3, other)
    table[keys - low + 1] = values
    places = b.sub(b.clamp(x, min_value=low - 1, max_value=high + 1), b.constant("int64", low - 1))
    return [b.gather(b.constant(table), places)]


def _known(operand: MLOperand) -> Array:
    assert operand.constant is not None
    return operand.constant


def _searched(b: Builder, x: MLOperand, keys: Array, values: Array, default: MLOperand) -> MLOperand:
    """The values, by a binary search for all elements of `x` at once."""
    if not len(keys):
        return b.expand(default, x.shape)
    known, last = b.constant(keys), b.constant("int64", len(keys) - 1)
    place: MLOperand = b.expand(b.constant("int64", 0), x.shape)
    for bit in reversed(range((len(keys) - 1).bit_length())):
        ahead = b.min(b.add(place, b.constant("int64", 1 << bit)), last)
        place = b.where(b.lesser_or_equal(b.gather(known, ahead), x), ahead, place)
    return b.where(b.equal(b.gather(known, place), x), b.gather(b.constant(values), place), default)


def columns_of_categories(b: Builder, x: MLOperand, categories: Sequence[int], *, complete: bool) -> MLOperand:
    """A new last axis with 1 for the category that an element of `x` is, and 0 for the others, in float32.

    Args:
        b: takes the node.
        x: float32, which is rounded toward zero, or int64.
        categories: integers.
        complete: whether a runtime may end the run for an element that is no category.
    """
    output = MLOperandDescriptor("float32", [*x.shape, len(categories)])
    make = compose if x.rank < 3 else spelled_out
    options: dict[str, Any] = {"categories": tuple(categories), "zeros": int(not complete)}
    return make(b, "one_hot_encoder", {"input": x}, [output], **options)[0]


@composite
def one_hot_encoder(b: Builder, node: Node) -> Sequence[MLOperand]:
    """A comparison with each category."""
    x = node["input"]
    x = cast_in_range(b, x, "int64") if x.data_type == "float32" else x
    categories = b.constant(np.array(node.attributes["categories"], np.int64))
    return [b.cast(b.equal(b.reshape(x, [*x.shape, 1]), categories), "float32")]
