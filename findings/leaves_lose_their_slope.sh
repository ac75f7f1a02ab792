#!/usr/bin/env bash
# One would guess: a model of LightGBM with `linear_tree=True`, whose leaves hold a linear function each, is exported as
# that, or is refused, since a leaf of ONNX holds a number.
#
# What happens: onnxmltools writes the constant that each leaf has beside its function, without a word.
#
# Seen with onnxmltools 1.16.0, LightGBM 4.7.0 and onnxruntime 1.32.0: trained with y = 10 x for x below 200, the model
# gives 80, 1015 and 2895 for 3.5, 100.25 and 300 in LightGBM, and 181, 953 and 1842 in the exported model. Without
# linear trees both are the same.
#
# Why it matters: such trees are chosen to follow a trend beyond the data. The exported model does not follow it, and is
# off within the data as well.
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



numbers, asked = np.arange(200, dtype=np.float32)[:, None], np.float32([[3.5], [100.25], [300]])
seen = {}
for linear in (False, True):
    model = lightgbm.LGBMRegressor(n_estimators=30, linear_tree=linear, n_jobs=1, verbose=-1)
    expected, exported = both(model.fit(numbers, 10 * numbers[:, 0]), "predict", asked)
    seen[linear] = expected.round().tolist(), exported[:, 0].round().tolist()
print(seen)
np.testing.assert_allclose(*seen[False], atol=1)
np.testing.assert_allclose(seen[True][0], [80, 1015, 2895], rtol=0.02)
np.testing.assert_allclose(seen[True][1], [181, 953, 1842], rtol=0.02, err_msg="leaves have their function now")
PROGRAM
