#!/usr/bin/env bash
# One would guess: an `XGBRegressor` that was trained with several targets, or several quantiles, is exported with a
# column for each, or is refused.
#
# What happens: the exported model has the right number of columns. The first holds the sum of the trees of all targets,
# and the others hold 0.
#
# Seen with onnxmltools 1.16.0, XGBoost 3.2.0 and onnxruntime 1.32.0: trained with x, 10 x + 1 and -x, the model gives
# [15, 151, -15] for 15 in XGBoost, and [64, 0, 0] in the exported model. The quantiles 0.1, 0.5 and 0.9 are [6.9, 15,
# 15], and [9.5, 0, 0].
#
# Why it matters: intervals of predictions are made in this way since XGBoost 2. The shape is the expected one, and the
# first column looks like a number of the right size.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxmltools==1.16.0 xgboost-cpu==3.2.0 skl2onnx==1.20.0 scikit-learn==1.9.1 \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - 2> "$folder/log" <<'PROGRAM' || { cat "$folder/log"; exit 1; }
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
options = dict(n_estimators=20, n_jobs=1)
several = xgboost.XGBRegressor(**options).fit(numbers, np.concatenate([numbers, 10 * numbers + 1, -numbers], 1))
quantiles = xgboost.XGBRegressor(objective="reg:quantileerror", quantile_alpha=np.array([0.1, 0.5, 0.9]), **options)
one = both(xgboost.XGBRegressor(**options).fit(numbers, numbers[:, 0]), "predict", asked)
np.testing.assert_allclose(one[0], one[1][:, 0], rtol=1e-4)
for model in (several, quantiles.fit(numbers, numbers[:, 0])):
    expected, exported = both(model, "predict", asked)
    print(expected, exported, sep="\n")
    assert expected.shape == exported.shape == (2, 3)
    assert (exported[:, 0] != 0).all() and (exported[:, 1:] == 0).all(), "each target has its column now"
np.testing.assert_allclose(several.predict(asked)[1], [15, 151, -15], rtol=0.01)
PROGRAM
