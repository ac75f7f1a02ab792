#!/usr/bin/env bash
# One would guess: the label of `TreeEnsembleClassifier` is the class of the highest score, taken from the labels of the
# model, as the specification says.
#
# What happens: if there are two classes and the leaves have weights for both, onnxruntime takes the first class' score
# for that of the only one. The label is 1 where it is positive, for probabilities everywhere, or the number 0 or 1 in
# place of the model's label. The scores are right, and so is the label of three classes.
#
# Seen with onnxruntime 1.32.0: for [0.8, 0.2] and [0.3, 0.7] of the classes 2 and 7 the label is 1 twice; the reference
# evaluator of onnx 1.23.2 says 2 and 7. With CatBoost 1.2.10, a model of the classes 2 and 7, or -1 and 1, that its
# `save_model` exports has the labels 0 and 1.
#
# Why it matters: programs read the label and ignore the scores. Class -1 becomes 0, which is none of the classes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 catboost==1.2.10 numpy==2.4.6

FOLDER="$folder" "$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import os

import catboost
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper
from onnx.reference import ReferenceEvaluator

x = np.float32([[3], [15]])


def classified(labels, scores):
    """What both make of a tree with one split, at 9.5, and these scores of all classes in its two leaves."""
    node = helper.make_node(
        "TreeEnsembleClassifier",
        ["x"],
        ["label", "scores"],
        domain="ai.onnx.ml",
        classlabels_int64s=labels,
        class_ids=list(range(len(labels))) * 2,
        class_nodeids=np.repeat([1, 2], len(labels)).tolist(),
        class_treeids=[0] * 2 * len(labels),
        class_weights=np.float32(scores).ravel().tolist(),
        nodes_nodeids=[0, 1, 2],
        nodes_treeids=[0, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_featureids=[0, 0, 0],
        nodes_values=[9.5, 0.0, 0.0],
        nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
    )
    label = helper.make_tensor_value_info("label", TensorProto.INT64, [2])
    floats = [helper.make_tensor_value_info(*value) for value in (("x", 1, [2, 1]), ("scores", 1, [2, len(labels)]))]
    graph = helper.make_graph([node], "tree", floats[:1], [label, floats[1]])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    seen, wanted = session.run(None, {"x": x}), ReferenceEvaluator(model).run(None, {"x": x})
    print(labels, scores, wanted[0].tolist(), seen[0].tolist())
    np.testing.assert_allclose(seen[1], scores, rtol=1e-6)
    return wanted[0].tolist(), seen[0].tolist()


assert classified([2, 7, 9], [[0.7, 0.2, 0.1], [0.1, 0.9, 0]]) == ([2, 7], [2, 7])
probabilities, scores = classified([2, 7], [[0.8, 0.2], [0.3, 0.7]]), classified([2, 7], [[0.5, -0.5], [-0.5, 0.5]])
assert probabilities[0] == scores[0] == [2, 7]
assert probabilities[1] == [1, 1], "the label is that of the highest score now"
assert scores[1] == [0, 1], "the label is one of the model's now"

numbers = np.arange(20, dtype=np.float32)[:, None]
for labels in ([2, 7], [-1, 1]):
    model = catboost.CatBoostClassifier(iterations=20, verbose=0, allow_writing_files=False)
    model.fit(numbers, np.repeat(labels, 10)).save_model(path := os.environ["FOLDER"] + "/model.onnx", format="onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    seen, maps = session.run(None, {"features": x})
    print(model.predict(x).tolist(), seen.tolist(), maps)
    assert model.predict(x).tolist() == [max(row, key=row.get) for row in maps] == labels
    assert seen.tolist() == [0, 1], "CatBoost's labels come through now"
PROGRAM
