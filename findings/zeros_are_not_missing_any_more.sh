#!/usr/bin/env bash
# One would guess: a model of LightGBM that was trained with `zero_as_missing=True` treats 0 as missing in the exported
# model too, as it treats NaN.
#
# What happens: onnxmltools writes the comparison and the side for NaN. 0 is compared as any other number.
#
# Seen with onnxmltools 1.16.0, LightGBM 4.7.0 and onnxruntime 1.32.0: trained with 9 for rows of 0 and with y = x for
# others, the model gives 9 for 0 and for NaN in LightGBM, and -1 for 0 and 9 for NaN in the exported model.
#
# Why it matters: sparse tables, which do not hold zeros, are what the option is for, so that 0 is the most frequent
# number of the input.
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



numbers = np.float32([0, 0, 0, -3, -2, -1, 1, 2, 3, 4])[:, None]
targets = np.where(numbers[:, 0] == 0, 9, numbers[:, 0])
seen = {}
for missing in (False, True):
    options = dict(n_estimators=100, zero_as_missing=missing, min_child_samples=1, min_data_in_bin=1, n_jobs=1, verbose=-1)
    model = lightgbm.LGBMRegressor(**options).fit(numbers, targets)
    expected, exported = both(model, "predict", np.float32([[0], [-1], [1], [np.nan]]))
    seen[missing] = expected.round(2).tolist(), exported[:, 0].round(2).tolist()
print(seen)
for expected, exported in seen.values():
    np.testing.assert_allclose(expected, [9, -1, 1, 9], atol=0.01)
    np.testing.assert_allclose(exported[1:], expected[1:], atol=0.01)
assert abs(seen[False][1][0] - 9) < 0.01
assert abs(seen[True][1][0] + 1) < 0.01, "0 is missing in the exported model now"
PROGRAM
