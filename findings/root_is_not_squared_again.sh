#!/usr/bin/env bash
# One would guess: an objective that LightGBM trains on another scale gives numbers on the scale of the data in the
# exported model, as it does in LightGBM, or is refused.
#
# What happens: `poisson` and `gamma` have their exponential in the exported model. `reg_sqrt=True` has no square, and
# the factor `sigmoid` of classes is not there, with which LightGBM multiplies the score.
#
# Seen with onnxmltools 1.16.0, LightGBM 4.7.0 and onnxruntime 1.32.0: 150 in LightGBM is 12.2 in the exported model with
# `reg_sqrt`. A probability of 0.702 is 0.605 with `sigmoid=2`. "multiclassova" is exported with a softmax: 0.618 is
# 0.768.
#
# Why it matters: the order of the rows stays, so that rank correlation and accuracy pass. Everything that is computed
# with the number does not.
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
asked, three, waves = numbers[[3, 15]], np.arange(20) // 7, (np.sin(numbers[:, 0]) > 0) + 0
options = dict(min_child_samples=1, min_data_in_bin=1, n_jobs=1, verbose=-1)


def of_numbers(**more):
    model = lightgbm.LGBMRegressor(n_estimators=50, **more, **options).fit(numbers, 1 + 10 * numbers[:, 0])
    expected, exported = both(model, "predict", asked)
    return expected, exported[:, 0]


def of_classes(classes, **more):
    model = lightgbm.LGBMClassifier(n_estimators=5, **more, **options).fit(numbers, classes)
    return both(model, "predict_proba", asked, 1)


for agree in (
    of_numbers(),
    of_numbers(objective="poisson"),
    of_numbers(objective="gamma"),
    of_classes(waves),
    of_classes(three),
):
    np.testing.assert_allclose(*agree, rtol=1e-4)
roots, steep = of_numbers(reg_sqrt=True), of_classes(waves, sigmoid=2)
separate = of_classes(three, objective="multiclassova")
print(*roots, *steep, *separate, sep="\n")
np.testing.assert_allclose(roots[1], np.sqrt(roots[0]), rtol=1e-4, err_msg="the root is squared now")
logits = [np.log(result[:, 1] / result[:, 0]) for result in steep]
np.testing.assert_allclose(logits[1], logits[0] / 2, rtol=1e-4, err_msg="the factor is there now")
assert np.abs(separate[0] - separate[1]).max() > 0.1, "classes are separate now"
PROGRAM
