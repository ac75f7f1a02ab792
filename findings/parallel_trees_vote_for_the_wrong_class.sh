#!/usr/bin/env bash
# One would guess: a classifier of XGBoost with several parallel trees, which is a boosted random forest, is exported as
# well as one with one tree a round.
#
# What happens: onnxmltools gives the trees to the classes in turn. XGBoost writes all parallel trees of a class, and
# then those of the next. With three classes and three parallel trees, each class gets a tree of every class.
#
# Seen with onnxmltools 1.16.0, XGBoost 3.2.0 and onnxruntime 1.32.0: the probabilities [0.92, 0.05, 0.03] and [0.03,
# 0.05, 0.91] are both [0.35, 0.35, 0.3] in the exported model. With one tree a round, they are right.
#
# Why it matters: the model gives the same class for every row here. The parameter is one of a training, and none of the
# file format.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxmltools==1.16.0 xgboost-cpu==3.2.0 skl2onnx==1.20.0 scikit-learn==1.9.1 \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import onnxruntime
import xgboost
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType


def both(model, method, numbers, output=0):
    """What the model gives for the numbers in XGBoost, and as an exported model."""
    exported = convert_xgboost(model, initial_types=[("x", FloatTensorType([None, numbers.shape[1]]))])
    session = onnxruntime.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])
    return getattr(model, method)(numbers), session.run(None, {"x": numbers})[output]


numbers = np.arange(20, dtype=np.float32)[:, None]
asked = numbers[[3, 15]]
classes = np.arange(20) // 7
seen = {}
for trees in (1, 3):
    model = xgboost.XGBClassifier(n_estimators=20, num_parallel_tree=trees, n_jobs=1).fit(numbers, classes)
    seen[trees] = both(model, "predict_proba", asked, 1)
    print(trees, *(result.round(2).tolist() for result in seen[trees]))
np.testing.assert_allclose(*seen[1], rtol=1e-3)
np.testing.assert_array_equal(seen[3][0].argmax(1), [0, 2])
np.testing.assert_allclose(seen[3][1][0], seen[3][1][1], rtol=1e-3, err_msg="parallel trees have their class now")
PROGRAM
