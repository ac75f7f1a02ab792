#!/usr/bin/env bash
# One would guess: CatBoost's own export to ONNX computes what `predict` computes, or refuses the objective.
#
# What happens: `predict` of a model for counts gives the exponential of the sum of the trees, and the exported model the
# sum. Classes one against all, whose probabilities are sigmoids, are exported with a softmax.
#
# Seen with CatBoost 1.2.10 and onnxruntime 1.32.0: with "Poisson", 1.93 and 7.20 are 0.656 and 1.974 in the exported
# model; with "Tweedie", 1.59 and 2.44 are 0.463 and 0.894. "MultiClassOneVsAll" gives [0.574, 0.426, 0.424], and [0.477,
# 0.263, 0.260]. "RMSE", "MAE" and "MultiClass" agree.
#
# Why it matters: rates and amounts of insurance, sales and traffic are trained so. The order of the rows is kept, and a
# total is off by any factor.
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

numbers = np.arange(20, dtype=np.float32)[:, None]
asked = numbers[[3, 15]]
options = dict(iterations=20, verbose=0, thread_count=1, allow_writing_files=False)


def exported(model, output):
    model.save_model(path := os.environ["FOLDER"] + "/model.onnx", format="onnx")
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"features": asked})[output]


for objective in ("RMSE", "MAE", "Poisson", "Tweedie:variance_power=1.5"):
    model = catboost.CatBoostRegressor(loss_function=objective, **options).fit(numbers, numbers[:, 0] + 1)
    expected, seen = model.predict(asked), exported(model, 0)[:, 0]
    print(objective, expected, seen)
    as_logarithms = objective in ("Poisson", "Tweedie:variance_power=1.5")
    wanted = np.log(expected) if as_logarithms else expected
    np.testing.assert_allclose(seen, wanted, rtol=1e-4, err_msg="counts are exported as counts now")
for objective in ("MultiClass", "MultiClassOneVsAll"):
    model = catboost.CatBoostClassifier(loss_function=objective, **options).fit(numbers, np.arange(20) // 7)
    expected, seen = model.predict_proba(asked), np.array([[row[i] for i in range(3)] for row in exported(model, 1)])
    print(objective, expected, seen, sep="\n")
    separate = objective == "MultiClassOneVsAll"
    assert (np.abs(expected.sum(1) - 1).max() > 0.4) == separate
    np.testing.assert_allclose(seen.sum(1), 1, rtol=1e-5, err_msg="classes are separate now")
    assert separate or np.allclose(seen, expected, rtol=1e-4)
PROGRAM
