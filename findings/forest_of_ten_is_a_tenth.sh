#!/usr/bin/env bash
# One would guess: a random forest of LightGBM gives the average of its trees in the exported model too, for classes as
# well as for numbers.
#
# What happens: onnxmltools divides the sum of the trees by 100, whatever their number. A forest of 100 trees is right,
# and one of 10 gives a tenth. For two classes it divides the sigmoid of the sum, so that the probability of the second
# class is never above 0.01.
#
# Seen with onnxmltools 1.16.0, LightGBM 4.7.0 and onnxruntime 1.32.0: `LGBMRegressor(boosting_type="rf")` of 10 trees
# gives 30 and 150 in LightGBM, and 3 and 15 in the exported model. Probabilities of 0.110 and 0.888 are 0.000 and 0.010
# if exported, for 10 trees as for 100.
#
# Why it matters: the size of the numbers depends on a parameter that should only make them better, and a threshold on
# the probability finds nothing. Boosted trees, which are exported right, differ in one argument.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxmltools==1.16.0 lightgbm==4.7.0 skl2onnx==1.20.0 scikit-learn==1.9.1 \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import lightgbm
import numpy as np
import onnxruntime
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType


def both(model, method, numbers, output=0):
    """What the model gives for the numbers in LightGBM, and as an exported model."""
    kinds = [("x", FloatTensorType([None, numbers.shape[1]]))]
    exported = convert_lightgbm(model, initial_types=kinds, zipmap=False).SerializeToString()
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    return getattr(model, method)(numbers), session.run(None, {"x": numbers})[output].reshape(len(numbers), -1)



numbers = np.arange(20, dtype=np.float32)[:, None]
asked, large = numbers[[3, 15]], numbers[:, 0] > 7
options = dict(bagging_freq=1, bagging_fraction=0.99, min_child_samples=1, min_data_in_bin=1, n_jobs=1, verbose=-1)
for trees in (10, 100):
    for kind in ("gbdt", "rf"):
        model = lightgbm.LGBMRegressor(n_estimators=trees, boosting_type=kind, **options).fit(numbers, 10 * numbers[:, 0])
        expected, exported = both(model, "predict", asked)
        print(kind, trees, expected, exported[:, 0])
        factor = trees / 100 if kind == "rf" else 1
        np.testing.assert_allclose(exported[:, 0], factor * expected, rtol=1e-4, err_msg="forests are averaged now")
        model = lightgbm.LGBMClassifier(n_estimators=trees, boosting_type=kind, **options).fit(numbers, large + 0)
        expected, exported = (result[:, 1] for result in both(model, "predict_proba", asked, 1))
        print(kind, trees, expected, exported)
        score = trees * np.log(expected / (1 - expected))
        wanted = 0.01 / (1 + np.exp(-score)) if kind == "rf" else expected
        np.testing.assert_allclose(exported, wanted, atol=1e-4, err_msg="forests of classes are averaged now")
PROGRAM
