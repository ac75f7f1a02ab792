#!/usr/bin/env bash
# One would guess: `XGBRegressor` with an objective that makes probabilities or rates is exported with the function that
# makes them, or is refused.
#
# What happens: onnxmltools writes the exponential of `count:poisson` and `reg:gamma`. With `reg:logistic`,
# `binary:logistic`, `binary:hinge` and `survival:cox` it writes the bare sum of the trees. For the logistic ones it also
# adds the base score, which is a probability, to the sum, so that a sigmoid behind the model does not give the right
# numbers either.
#
# Seen with onnxmltools 1.16.0, XGBoost 3.2.0 and onnxruntime 1.32.0: `binary:logistic` gives 0.104 and 0.896 in XGBoost,
# and -1.66 and 2.66 in the exported model, whose sigmoids are 0.16 and 0.93. `survival:cox` gives 57.9, and 5.06.
#
# Why it matters: the regressor with a logistic objective is a usual way to train on shares and soft labels. Behind a
# threshold of 0.5 most rows keep their class.
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


def by(objective, targets):
    model = xgboost.XGBRegressor(objective=objective, n_estimators=20, n_jobs=1).fit(numbers, targets)
    expected, exported = both(model, "predict", asked)
    return expected, exported[:, 0]


large, counts = (numbers[:, 0] > 9) + 0, numbers[:, 0] + 1
for objective in ("count:poisson", "reg:gamma", "reg:squarederror"):
    np.testing.assert_allclose(*by(objective, counts), rtol=1e-3, err_msg=objective)
logistic, hinge, cox = by("binary:logistic", large), by("binary:hinge", large), by("survival:cox", counts)
print(*logistic, *hinge, *cox, sep="\n")
logits = np.log(logistic[0] / (1 - logistic[0]))
np.testing.assert_allclose(logistic[1], logits + 0.5, rtol=1e-3, err_msg="logistic models have their sigmoid now")
np.testing.assert_array_equal(hinge[0], [0, 1])
assert hinge[1][0] < -0.5, "the hinge makes classes now"
assert cox[0][0] > 50 and cox[1][0] < 10, "the exponential of cox is there now"
PROGRAM
