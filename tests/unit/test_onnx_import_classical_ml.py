"""Operators of the domain ai.onnx.ml, compared with ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder
from tests.onnx_nodes import Fixed, check_node, computed, node_model, random
from webnn.backends.base import Backend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.errors import DataError, NotSupportedError
from webnn.formats.onnx import import_onnx
from webnn.graph.batching import why_not_separable

ML = "ai.onnx.ml"
X = random(0, 4, 3)
FOUR = [float(number) for number in random(1, 4)]
TWELVE = [float(number) for number in random(2, 12)]


@pytest.mark.parametrize(
    ("op_type", "options"),
    [
        ("Scaler", {"offset": [0.5, -1.0, 2.0], "scale": [2.0, 0.5, -3.0]}),
        ("Scaler", {"offset": [0.5], "scale": [2.0]}),
        ("Normalizer", {"norm": "L1"}),
        ("Normalizer", {"norm": "L2"}),
        ("Binarizer", {"threshold": 0.25}),
        ("Imputer", {"imputed_value_floats": [1.0, 2.0, 3.0], "replaced_value_float": float(X[1, 1])}),
        ("LinearRegressor", {"coefficients": TWELVE[:3], "intercepts": FOUR[:1]}),
        ("LinearRegressor", {"coefficients": TWELVE, "targets": 4, "post_transform": "SOFTMAX"}),
    ],
)
def test_operators_on_rows_of_features(backend: Backend, op_type: str, options: dict[str, Any]) -> None:
    check_node(backend, op_type, [X], domain=ML, **options)


@pytest.mark.parametrize("post_transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_a_single_target_is_left_as_it_is(backend: Backend, post_transform: str) -> None:
    options = {"coefficients": TWELVE[:3], "intercepts": FOUR[:1], "post_transform": post_transform}
    check_node(backend, "LinearRegressor", [X], domain=ML, **options)


@pytest.mark.parametrize("post_transform", ["NONE", "LOGISTIC", "SOFTMAX"])
@pytest.mark.parametrize("labels", [[0, 1], [5, -2]])
@pytest.mark.parametrize("coefficients", [3, 6])
def test_two_classes_may_have_one_intercept(
    backend: Backend, coefficients: int, labels: list[int], post_transform: str
) -> None:
    options = {"coefficients": TWELVE[:coefficients], "intercepts": FOUR[:1], "classlabels_ints": labels}
    check_node(
        backend, "LinearClassifier", [X], domain=ML, outputs=[True, True], post_transform=post_transform, **options
    )


@pytest.mark.parametrize("norm", ["MAX", "L1", "L2"])
def test_rows_of_zeros_and_a_single_row_are_normalized(backend: Backend, norm: str) -> None:
    x = np.concatenate([X, -np.abs(X[:1]), np.zeros((1, 3), np.float32)])
    for rows in (x, X[0], (X * 10).astype(np.int64)):
        check_node(backend, "Normalizer", [rows], domain=ML, norm=norm)


def test_squares_of_large_integers_are_those_of_floats(backend: Backend) -> None:
    """onnxruntime squares int32 in int32: [1, NaN] and [3.03, NaN]."""
    rows = np.array([[60000, 1], [50000, 40000]], np.int32)
    model, feeds = node_model("Normalizer", [rows], domain=ML, norm="L2")
    (result,) = computed(model, feeds, backend)
    np.testing.assert_allclose(result, rows / np.linalg.norm(rows, axis=1, keepdims=True), rtol=1e-5)


def test_integers_and_further_axes_are_scaled_and_imputed(backend: Backend) -> None:
    integers = np.array([[1, -5, 2], [7, 0, 7]])
    check_node(backend, "Scaler", [integers], domain=ML, offset=[0.5, -1.0, 2.0], scale=[2.0, 0.5, -3.0])
    check_node(backend, "Imputer", [integers], domain=ML, imputed_value_int64s=[1, 2, 3], replaced_value_int64=7)
    check_node(backend, "Imputer", [integers], domain=ML, imputed_value_int64s=[9])
    check_node(backend, "Scaler", [X[0]], domain=ML, offset=[0.5, -1.0, 2.0], scale=[2.0, 0.5, -3.0])


@pytest.mark.parametrize(
    ("op_type", "op", "options"),
    [
        ("Scaler", "scaler", {"offset": [0.5], "scale": [2.0]}),
        ("Normalizer", "normalizer", {"norm": "L2"}),
        ("Binarizer", "binarizer", {"threshold": 0.25}),
        ("Imputer", "imputer", {"imputed_value_floats": [1.0]}),
        (
            "LinearClassifier",
            "linear_classifier",
            {"coefficients": TWELVE, "intercepts": FOUR, "post_transform": "SOFTMAX"},
        ),
    ],
)
def test_a_step_is_one_node_that_requests_share(op_type: str, op: str, options: dict[str, Any]) -> None:
    classifies = op == "linear_classifier"
    more = {"classlabels_ints": [7, -3, 100, 5]} if classifies else {}
    model, _ = node_model(op_type, [X], domain=ML, outputs=(True,) * (1 + classifies), **options, **more)
    builder = direct_builder(OnnxRuntimeBackend(), OnnxRuntimeBackend().composites)
    graph = builder.build(import_onnx(model, builder))
    assert [node.op for node in graph.nodes] == [op]
    assert why_not_separable(graph) is None


def test_missing_values_may_be_nan(backend: Backend) -> None:
    x = X.copy()
    x[2, 1] = np.nan
    check_node(backend, "Imputer", [x], domain=ML, imputed_value_floats=[4.0], replaced_value_float=float("nan"))


@pytest.mark.parametrize("post_transform", ["NONE", "LOGISTIC", "SOFTMAX"])
@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [7, -3, 100, 5]])
def test_a_classifier_gives_labels_and_scores(backend: Backend, labels: list[int], post_transform: str) -> None:
    options = {"coefficients": TWELVE, "intercepts": FOUR, "classlabels_ints": labels, "post_transform": post_transform}
    check_node(backend, "LinearClassifier", [X], domain=ML, outputs=[True, True], multi_class=1, **options)


def test_features_are_chosen_and_joined(backend: Backend) -> None:
    chosen = Fixed(np.array([[2, 0]], np.int64))
    check_node(backend, "ArrayFeatureExtractor", [X, chosen], domain=ML)
    check_node(backend, "ArrayFeatureExtractor", [X[0], chosen], domain=ML)
    labels = Fixed(np.array([5, 6, 7], np.int64))
    check_node(backend, "ArrayFeatureExtractor", [labels, np.array([2, 1], np.int64)], domain=ML)
    check_node(backend, "FeatureVectorizer", [X, X[:, :2]], domain=ML, inputdimensions=[3, 2])


@pytest.mark.parametrize(
    ("op_type", "options", "error", "message"),
    [
        (
            "ZipMap",
            {"classlabels_int64s": [0, 1, 2]},
            NotSupportedError,
            "does not know ZipMap of the domain .*'zipmap': False",
        ),
        (
            "LinearClassifier",
            {"coefficients": TWELVE[:3], "classlabels_strings": ["a"]},
            NotSupportedError,
            "are strings",
        ),
        ("LinearRegressor", {"coefficients": FOUR}, NotSupportedError, "4 coefficients for 1 outputs and 3 features"),
        ("Scaler", {"offset": FOUR, "scale": [1.0]}, DataError, "offset has 4 numbers, expected 3"),
        ("Normalizer", {"norm": "L7"}, DataError, "norm must be MAX, L1 or L2, got 'L7'"),
    ],
)
def test_unsupported_nodes_are_reported(
    backend: Backend, op_type: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    model, feeds = node_model(op_type, [X], domain=ML, **options)
    with pytest.raises(error, match=message):
        computed(model, feeds, backend)
