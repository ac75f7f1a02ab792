"""Random tree ensembles, compared with ONNX Runtime, also for rows equal to thresholds and for NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

from tests.direct import direct_builder
from tests.onnx_nodes import Array, by_onnxruntime, computed, node_model
from webnn.backends.base import Backend
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.errors import DataError, NotSupportedError
from webnn.formats.onnx import import_onnx
from webnn.graph.batching import why_not_separable

ML = "ai.onnx.ml"
REGRESSOR, CLASSIFIER = "TreeEnsembleRegressor", "TreeEnsembleClassifier"
MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
GRID = np.array([-1.1, -0.3, 0.0, 0.2, 0.9], np.float32)
FEATURES = 3


def trees(
    prefix: str, votes: list[list[int]], modes: list[str], *, missing: bool = False, sign: int = -1, seed: int = 0
) -> dict[str, Any]:
    """The attributes of random trees whose leaves vote for the targets in `votes`, one list for each tree."""
    generator = np.random.default_rng(seed)
    rows: list[tuple[Any, ...]] = []
    leaves: list[tuple[Any, ...]] = []

    def grow(tree: int, depth: int, targets: list[int]) -> int:
        number = len([row for row in rows if row[0] == tree])
        place = len(rows)
        rows.append((tree, number, 0, 0.0, "LEAF", 0, 0, 0))
        if depth and (generator.random() > 0.2 or not number):
            children = [grow(tree, depth - 1, targets) for _ in range(2)]
            feature, tracks = int(generator.integers(FEATURES)), int(generator.integers(2))
            rows[place] = (
                tree,
                number,
                feature,
                float(generator.choice(GRID)),
                generator.choice(modes),
                *children,
                tracks,
            )
        else:
            weights = generator.standard_normal(len(targets)) * 2
            leaves.extend(
                (tree, number, target, float(abs(weight) if sign > 0 else weight))
                for target, weight in zip(targets, weights, strict=True)
            )
        return number

    for tree, targets in enumerate(votes):
        grow(tree, 4, targets)
    names = ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=False))
    found = {f"nodes_{name}": values for name, values in columns.items()}
    if missing:
        found["nodes_missing_value_tracks_true"] = [row[-1] for row in rows]
    votes_of = zip(("treeids", "nodeids", "ids", "weights"), map(list, zip(*leaves, strict=True)), strict=True)
    return found | {f"{prefix}_{name}": values for name, values in votes_of}


def rows(missing: bool = False) -> Array:
    generator = np.random.default_rng(1)
    x = np.concatenate([generator.standard_normal((15, FEATURES)), generator.choice(GRID, (15, FEATURES))])
    x[generator.random(x.shape) < 0.2 * missing] = np.nan
    return x.astype(np.float32)


def check(backend: Backend, op_type: str, x: Array, **attributes: Any) -> None:
    outputs = (True, True) if op_type == CLASSIFIER else (True,)
    model, feeds = node_model(op_type, [x], outputs=outputs, domain=ML, **attributes)
    expected = by_onnxruntime(model, feeds)
    for composites in ((), backend.composites):
        for result, wanted in zip(computed(model, feeds, backend, composites), expected, strict=True):
            assert result.shape == wanted.shape
            np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC"])
@pytest.mark.parametrize("options", [{}, {"base_values": [0.5, 0.1, 3.0]}])
def test_a_class_without_votes_is_not_chosen(backend: Backend, options: dict[str, Any], transform: str) -> None:
    # The score of a class for which no reached leaf votes is 0, and those of the others are below.
    for votes in ([[0], [1]], [[0, 1]] * 2, [[0], [0, 1, 2]]):
        attributes = trees("class", votes, MODES[:1])
        attributes["class_weights"] = [-abs(weight) for weight in attributes["class_weights"]]
        labels = {"classlabels_int64s": [0, 1, 2], "post_transform": transform}
        check(backend, CLASSIFIER, rows(), **attributes, **labels, **options)


def test_leaves_that_vote_for_a_class_each(backend: Backend) -> None:
    attributes = trees("class", [[0]] * 3, MODES[:1])
    places = range(len(attributes["class_ids"]))
    attributes["class_ids"] = [place % 3 for place in places]
    attributes["class_weights"] = [-1.0 - place for place in places]
    check(backend, CLASSIFIER, rows(), **attributes, classlabels_int64s=[4, 1, 2])


def test_a_classifier_is_one_node_that_requests_share(backend: Backend) -> None:
    attributes = trees("class", [[0], [1], [2], [0]], MODES[:1])
    options = {"classlabels_int64s": [7, 1, 2], "base_values": [0.5, 0.1, -0.2], "post_transform": "SOFTMAX"}
    model, _ = node_model(CLASSIFIER, [rows()], outputs=(True, True), domain=ML, **attributes, **options)
    builder = direct_builder(backend, OnnxRuntimeBackend().composites)
    graph = builder.build(import_onnx(model, builder))
    assert [node.op for node in graph.nodes] == ["tree_classifier"]
    assert why_not_separable(graph) is None


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("modes", [[mode] for mode in MODES] + [MODES, ["BRANCH_LEQ", "BRANCH_EQ"]])
def test_rows_go_down_the_trees(backend: Backend, modes: list[str], missing: bool) -> None:
    attributes = trees("target", [[0, 1]] * 4, modes, missing=missing)
    check(backend, REGRESSOR, rows(missing), n_targets=2, **attributes)


@pytest.mark.parametrize("votes", [[[0]] * 4, [[0], [1], [2], [0]], [[0, 2]] * 3])
@pytest.mark.parametrize("function", ["SUM", "AVERAGE", "MIN", "MAX"])
def test_the_leaves_of_trees_are_aggregated(backend: Backend, function: str, votes: list[list[int]]) -> None:
    targets = max(map(max, votes)) + 1
    options = {"aggregate_function": function, "n_targets": targets}
    if [1] in votes:
        options["base_values"] = [0.5, -1.0, 2.0]
    check(backend, REGRESSOR, rows(), **options, **trees("target", votes, MODES[:1]))


@pytest.mark.parametrize("function", ["SUM", "AVERAGE", "MIN", "MAX"])
def test_a_target_without_votes_has_no_base(backend: Backend, function: str) -> None:
    options = {"aggregate_function": function, "n_targets": 3, "base_values": [0.5, -1.0, 2.0]}
    attributes = trees("target", [[0], [1]], MODES[:1])
    check(backend, REGRESSOR, rows(), **options, **attributes)
    attributes["target_ids"] = [place % 2 for place in range(len(attributes["target_ids"]))]  # of some rows
    check(backend, REGRESSOR, rows(), **options, **attributes)
    options |= {"n_targets": 1, "base_values": [0.5]}
    check(backend, REGRESSOR, rows(), **options, **trees("target", [[0]], MODES))


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX"])
@pytest.mark.parametrize(
    ("votes", "options"),
    [
        ([[0], [1], [2], [0]], {"classlabels_int64s": [0, 1, 2]}),
        ([[0, 1, 2]] * 3, {"classlabels_int64s": [7, 1, 2], "base_values": [0.5, 0.1, -0.2]}),
        ([[0]] * 4, {"classlabels_int64s": [0, 1]}),
        ([[0]] * 4, {"classlabels_int64s": [3, 7], "base_values": [0.3]}),
        ([[1]] * 4, {"classlabels_int64s": [3, 7]}),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_classes_are_voted_for(
    backend: Backend, votes: list[list[int]], options: dict[str, Any], transform: str, sign: int
) -> None:
    attributes = trees("class", votes, MODES[:1], sign=sign)
    check(backend, CLASSIFIER, rows(), post_transform=transform, **options, **attributes)


@pytest.mark.parametrize("labels", [[0, 1], [3, 7], [1, -1]])
@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX"])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_label_of_two_classes_is_that_of_the_highest_score(
    backend: Backend, labels: list[int], transform: str, sign: int
) -> None:
    """Compared with the scores: ONNX Runtime 1.32 takes that of the first class for that of the only one."""
    attributes = trees("class", [[0, 1]] * 4, MODES[:1], sign=sign)
    model, feeds = node_model(
        CLASSIFIER,
        [rows()],
        outputs=(True, True),
        domain=ML,
        classlabels_int64s=labels,
        post_transform=transform,
        **attributes,
    )
    chosen, scores = computed(model, feeds, backend)
    np.testing.assert_allclose(scores, by_onnxruntime(model, feeds)[1], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(chosen, np.array(labels)[scores.argmax(1)])


def test_labels_that_are_strings_are_left_outside(backend: Backend) -> None:
    attributes = trees("class", [[0], [1], [2]], MODES[:1])
    model, feeds = node_model(
        CLASSIFIER, [rows()], outputs=(True, True), domain=ML, classlabels_strings=["a", "b", "c"], **attributes
    )
    with pytest.raises(NotSupportedError, match=r"output 0 .*: the labels are strings; nearest: .*\n.*'output1'"):
        import_onnx(model, direct_builder(backend))
    del model.graph.output[0]
    np.testing.assert_allclose(computed(model, feeds, backend)[0], by_onnxruntime(model, feeds)[0], rtol=1e-5)


@pytest.mark.parametrize("mode", range(6))
def test_trees_whose_leaves_are_numbered_by_themselves(backend: Backend, mode: int) -> None:
    splits = np.array([0.1, 0.25, np.nextafter(0.7, 1)])
    attributes: dict[str, Any] = {
        "tree_roots": [0, 2],
        "nodes_featureids": [0, 1, 0],
        "nodes_splits": numpy_helper.from_array(splits),
        "nodes_modes": numpy_helper.from_array(np.array([mode, 0, mode], np.uint8)),
        "nodes_truenodeids": [1, 0, 2],
        "nodes_trueleafs": [0, 1, 1],
        "nodes_falsenodeids": [2, 1, 3],
        "nodes_falseleafs": [1, 1, 1],
        "leaf_targetids": [0, 0, 0, 0],
        "leaf_weights": numpy_helper.from_array(np.array([1.0, 10.0, 100.0, 1000.0])),
        "n_targets": 1,
        "aggregate_function": 1,
        "post_transform": 0,
    }
    near = [number for split in splits for number in (split - 1e-3, split, split + 1e-3)]
    x = np.array([[a, b] for a in near for b in near], np.float64)
    node = helper.make_node("TreeEnsemble", ["x"], ["y"], domain=ML, **attributes)
    info = helper.make_tensor_value_info("x", 11, x.shape)
    graph = helper.make_graph([node], "g", [info], [helper.make_tensor_value_info("y", 11, [len(x), 1])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(ML, 5)], ir_version=10)
    for composites in ((), backend.composites):
        result = computed(model, {"x": x.astype(np.float32)}, backend, composites)[0]
        np.testing.assert_array_equal(result, by_onnxruntime(model, {"x": x})[0])


def test_trees_are_one_node_where_the_backend_follows_them() -> None:
    attributes = trees("target", [[0]] * 4, MODES[:1])
    model, _ = node_model(REGRESSOR, [rows()], domain=ML, **attributes)
    for composites, ops in ((OnnxRuntimeBackend().composites, {"tree_ensemble"}), ((), {"gather_elements", "matmul"})):
        builder = direct_builder(composites=composites)
        graph = builder.build(import_onnx(model, builder))
        assert ops <= {node.op for node in graph.nodes}
        assert bool(composites) == (len(graph.nodes) == 1)
        assert why_not_separable(graph) is None


def test_trees_in_any_order_of_their_nodes_have_their_own_roots(backend: Backend) -> None:
    attributes = trees("target", [[0], [0, 1], [1]], MODES, seed=3)
    order = np.random.default_rng(0).permutation(len(attributes["nodes_treeids"]))
    first = {tree: attributes["nodes_treeids"].index(tree) for tree in range(3)}
    order = np.array([*first.values(), *(i for i in order if i not in first.values())])  # runtimes begin with a root
    mixed = {name: [values[i] for i in order] if "nodes" in name else values for name, values in attributes.items()}
    attributes["n_targets"] = mixed["n_targets"] = 2
    models = [node_model(REGRESSOR, [rows()], domain=ML, **each) for each in (mixed, attributes)]
    (given, feeds), (ordered, _) = models
    result = computed(given, feeds, backend, backend.composites)[0]
    np.testing.assert_allclose(result, by_onnxruntime(ordered, feeds)[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"nodes_modes": ["BRANCH"] * 3}, DataError, "nodes_modes has 'BRANCH', expected one of BRANCH_LEQ"),
        ({"nodes_truenodeids": [9, 0, 0]}, DataError, "tree 0 has no node 9"),
        ({"nodes_truenodeids": [0, 0, 0]}, NotSupportedError, "more than 512 comparisons deep, or have cycles"),
        ({"nodes_featureids": [5, 0, 0]}, DataError, "feature 5 is outside the 3 features"),
        ({"nodes_values": [0.0]}, DataError, "the list values has 1 elements, expected 3"),
        ({"nodes_nodeids": [0, 1, 1]}, DataError, "two nodes of a tree have the same number"),
        ({"target_ids": [0, 3]}, DataError, "the target of a leaf is outside the 1 targets"),
        ({"post_transform": "PROBIT"}, NotSupportedError, "post_transform is PROBIT"),
        ({"aggregate_function": "MEDIAN"}, DataError, "AVERAGE, MIN or MAX, got 'MEDIAN'"),
    ],
)
def test_invalid_trees_are_reported(
    backend: Backend, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    attributes: dict[str, Any] = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_values": [0.0, 0.0, 0.0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "target_treeids": [0, 0],
        "target_nodeids": [1, 2],
        "target_ids": [0, 0],
        "target_weights": [1.0, 2.0],
        "n_targets": 1,
    }
    model, _ = node_model(REGRESSOR, [rows()], domain=ML, **(attributes | changes))
    with pytest.raises(error, match=message):
        import_onnx(model, direct_builder(backend))
