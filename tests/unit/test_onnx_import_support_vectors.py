"""Support vector machines, compared with ONNX Runtime: its kernel, and WebNN's operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder
from tests.onnx_nodes import Array, by_onnxruntime, check_node, computed, node_model, random
from webnn.backends.base import Backend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.errors import DataError, NotSupportedError
from webnn.formats.onnx import import_onnx
from webnn.graph.batching import why_not_separable

ML = "ai.onnx.ml"
FEATURES = 4
X = random(0, 7, FEATURES)
KERNELS = [
    ("LINEAR", [0.0, 0.0, 0.0]),
    ("POLY", [0.3, 1.0, 2.0]),
    ("POLY", [0.2, 0.5, 3.0]),
    ("RBF", [0.1, 0.0, 0.0]),
    ("SIGMOID", [0.2, -0.3, 0.0]),
]


def numbers(seed: int, *shape: int) -> list[float]:
    return [float(number) for number in random(seed, *shape).reshape(-1)]


def machine(counts: list[int], kernel: str, parameters: list[float], *, chances: bool) -> dict[str, Any]:
    """The attributes of a classifier with random vectors for each class."""
    pairs = len(counts) * (len(counts) - 1) // 2
    options: dict[str, Any] = {
        "classlabels_ints": list(range(len(counts))),
        "coefficients": numbers(1, len(counts) - 1, sum(counts)),
        "kernel_params": parameters,
        "kernel_type": kernel,
        "rho": numbers(2, pairs),
        "support_vectors": numbers(3, sum(counts), FEATURES),
        "vectors_per_class": counts,
    }
    if chances:
        options |= {"prob_a": [-abs(number) for number in numbers(4, pairs)], "prob_b": numbers(5, pairs)}
    return options


@pytest.mark.parametrize(("kernel", "parameters"), KERNELS)
@pytest.mark.parametrize("one_class", [0, 1])
def test_a_regressor_adds_up_kernel_functions(
    backend: Backend, kernel: str, parameters: list[float], one_class: int
) -> None:
    options = {"coefficients": numbers(1, 5), "support_vectors": numbers(2, 5, FEATURES), "n_supports": 5}
    kernels = {"kernel_type": kernel, "kernel_params": parameters, "rho": [-0.25], "one_class": one_class}
    check_node(backend, "SVMRegressor", [X], domain=ML, **options, **kernels)


def test_a_regressor_without_vectors_is_linear(backend: Backend) -> None:
    options = {"coefficients": numbers(1, FEATURES), "rho": [0.5], "kernel_type": "LINEAR", "kernel_params": [0.0] * 3}
    check_node(backend, "SVMRegressor", [X], domain=ML, **options)
    check_node(backend, "SVMRegressor", [X], domain=ML, one_class=1, **options)
    check_node(backend, "SVMRegressor", [X[0]], domain=ML, **options)


@pytest.mark.parametrize(("kernel", "parameters"), KERNELS)
@pytest.mark.parametrize("counts", [[3, 2], [2, 4, 1], [1, 2, 3, 2]])
def test_pairs_of_classes_vote(backend: Backend, kernel: str, parameters: list[float], counts: list[int]) -> None:
    options = machine(counts, kernel, parameters, chances=False)
    check_node(backend, "SVMClassifier", [X], domain=ML, outputs=[True, True], **options)


@pytest.mark.parametrize("counts", [[3, 2], [2, 4, 1], [1, 2, 3, 2]])
def test_the_probabilities_fit_those_of_all_pairs(counts: list[int]) -> None:
    options = machine(counts, "RBF", [0.1, 0.0, 0.0], chances=True)
    model, feeds = node_model("SVMClassifier", [X], domain=ML, outputs=[True, True], **options)
    labels, chances = by_onnxruntime(model, feeds)
    backend = OnnxRuntimeBackend()
    by_kernel = computed(model, feeds, backend, backend.composites)
    np.testing.assert_array_equal(by_kernel[0], labels)
    np.testing.assert_array_equal(by_kernel[1], chances)
    solved = computed(model, feeds, backend)
    np.testing.assert_array_equal(solved[0], labels)
    # onnxruntime approaches them, and stops when no equation is off by more than 0.005 divided by the classes.
    np.testing.assert_allclose(solved[1], chances, rtol=0, atol=0.02)
    np.testing.assert_allclose(solved[1].sum(1), 1, rtol=1e-6)
    for row, found in zip(_chances_of_pairs(feeds["input0"], options), solved[1], strict=True):
        np.testing.assert_allclose(found, _fitting(row), rtol=0, atol=2e-6)


def _chances_of_pairs(x: Array, options: dict[str, Any]) -> Array:
    """The probability of the first class against the second, `[rows, classes, classes]`, in float64."""
    counts = options["vectors_per_class"]
    vectors = np.reshape(options["support_vectors"], (-1, FEATURES))
    of = np.repeat(np.arange(len(counts)), counts)
    compared = np.exp(-0.1 * np.square(x[:, None].astype(np.float64) - vectors).sum(2))
    coefficients = np.reshape(options["coefficients"], (len(counts) - 1, -1))
    result = np.zeros((len(x), len(counts), len(counts)))
    pair = 0
    for i in range(len(counts)):
        for j in range(i + 1, len(counts)):
            weights = coefficients[j - 1] * (of == i) + coefficients[i] * (of == j)
            score = compared @ weights + options["rho"][pair]
            chance = 1 / (1 + np.exp(score * options["prob_a"][pair] + options["prob_b"][pair]))
            result[:, i, j], result[:, j, i] = chance, 1 - chance
            pair += 1
    return result


def _fitting(pairs: Array) -> Array:
    """The probabilities of classes that minimize the squares of `r_ji p_i - r_ij p_j`, by least squares."""
    classes = len(pairs)
    equations = [
        [pairs[j, i] if k == i else -pairs[i, j] if k == j else 0 for k in range(classes)]
        for i in range(classes)
        for j in range(i)
    ]
    free = np.array(equations)[:, :-1] - np.array(equations)[:, -1:]  # the last one is 1 minus the others
    found = np.linalg.lstsq(free, -np.array(equations)[:, -1], rcond=None)[0]
    return np.append(found, 1 - found.sum())


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_classifier_without_vectors_is_linear(backend: Backend, classes: int, positive: bool) -> None:
    coefficients = numbers(1, classes, FEATURES)
    if positive:
        coefficients = [abs(number) / 4 for number in coefficients]
    for options in ({}, {"post_transform": "SOFTMAX"}, {"prob_a": [1.0] * 3, "prob_b": [0.5] * 3}):
        given = {"coefficients": coefficients, "rho": [0.1], "classlabels_ints": list(range(classes)), **options}
        given["kernel_params"] = [0.0] * 3
        check_node(backend, "SVMClassifier", [X], domain=ML, outputs=[True, True], **given)


@pytest.mark.parametrize("transform", ["LOGISTIC", "SOFTMAX"])
@pytest.mark.parametrize("counts", [[3, 2], [2, 4, 1]])
def test_scores_of_pairs_may_be_transformed(backend: Backend, counts: list[int], transform: str) -> None:
    options = machine(counts, "RBF", [0.1, 0.0, 0.0], chances=False)
    check_node(backend, "SVMClassifier", [X], domain=ML, outputs=[True, True], post_transform=transform, **options)


def test_labels_may_be_other_numbers_than_those_of_the_classes(backend: Backend) -> None:
    options = machine([2, 4, 1], "RBF", [0.1, 0.0, 0.0], chances=False) | {"classlabels_ints": [7, -3, 100]}
    check_node(backend, "SVMClassifier", [X], domain=ML, outputs=[True, True], **options)
    integers = np.array([[1, -2, 0, 3], [5, 0, 0, 1]], np.int64)
    check_node(backend, "SVMClassifier", [integers], domain=ML, outputs=[True, True], **options)


def test_features_far_from_0_lose_no_digits_of_their_distances(backend: Backend) -> None:
    vectors = (random(2, 5, FEATURES) + 4000).reshape(-1)
    options = {"coefficients": numbers(1, 5), "support_vectors": [float(number) for number in vectors]}
    kernel = {"kernel_type": "RBF", "kernel_params": [0.5, 0.0, 0.0], "rho": [0.0], "n_supports": 5}
    check_node(backend, "SVMRegressor", [X + np.float32(4000)], domain=ML, **options, **kernel)


def test_requests_may_share_a_run() -> None:
    options = machine([2, 4, 1], "RBF", [0.1, 0.0, 0.0], chances=True)
    model, _ = node_model("SVMClassifier", [X], domain=ML, outputs=[True, True], **options)
    for composites in ((), OnnxRuntimeBackend().composites):
        builder = direct_builder(composites=composites)
        assert why_not_separable(builder.build(import_onnx(model, builder))) is None or not composites


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"classlabels_strings": ["a", "b"]}, NotSupportedError, "the labels are strings"),
        (
            {"rho": [0.5], "vectors_per_class": [1, 2, 2], "classlabels_ints": [0, 1, 2], "coefficients": [1.0] * 10},
            DataError,
            "rho has 1 numbers, expected 3",
        ),
        ({"vectors_per_class": [5]}, DataError, r"vectors_per_class \[5\] does not fit 2 classes"),
        ({"support_vectors": [1.0]}, DataError, "support_vectors has 1 numbers, expected 5 x 4"),
        ({"kernel_params": [1.0]}, DataError, r"kernel_params \[1.0\] must be gamma, coef0 and degree"),
        ({"kernel_type": "COSINE"}, DataError, "kernel_type must be one of .*, got 'COSINE'"),
        ({"classlabels_ints": [1]}, DataError, "it has 1 class labels"),
        ({"post_transform": "PROBIT"}, NotSupportedError, "its post_transform is PROBIT"),
    ],
)
def test_what_does_not_fit_is_reported(
    backend: Backend, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    given = machine([3, 2], "RBF", [0.1, 0.0, 0.0], chances=False) | options
    if "classlabels_strings" in options:
        del given["classlabels_ints"]
    model, feeds = node_model("SVMClassifier", [X], domain=ML, outputs=[True, True], **given)
    with pytest.raises(error, match=message):
        computed(model, feeds, backend)
