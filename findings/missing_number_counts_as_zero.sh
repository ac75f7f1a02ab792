#!/usr/bin/env bash
# One would guess: a scaler that passes NaN on does so in the exported model, or all of them are exported in another way.
#
# What happens: `PowerTransformer` of the method "yeo-johnson", which is the default, takes NaN for 0 when exported. The
# method "box-cox" and five other scalers pass NaN on, as scikit-learn does.
#
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1 and onnxruntime 1.32.0: of NaN, 0 and 8, scikit-learn makes NaN, -2.73
# and 0.48, and the exported model -2.73, -2.73 and 0.48.
#
# Why it matters: NaN is passed on for what comes behind: an imputer, or trees that know missing numbers. They get a
# plausible number instead, here one below all that the transformer was fitted to.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    skl2onnx==1.20.0 scikit-learn==1.9.1 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)


def both(model, method, numbers, output=0, **options):
    """What the model gives for the numbers in scikit-learn, and as an exported model."""
    exported = to_onnx(model, numbers[:1], **options).SerializeToString()
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    result = session.run(None, {session.get_inputs()[0].name: numbers})[output]
    return getattr(model, method)(numbers).tolist(), result.tolist()


numbers, asked = np.float32([[1], [2], [4], [8], [100]]), np.float32([[np.nan], [8]])
others = [StandardScaler(), RobustScaler(), MinMaxScaler(), MaxAbsScaler(), QuantileTransformer(n_quantiles=5)]
for scaler in [*others, PowerTransformer("box-cox")]:
    expected, exported = both(scaler.fit(numbers), "transform", asked)
    np.testing.assert_allclose(expected, exported, rtol=1e-4, err_msg=type(scaler).__name__)
    assert np.isnan(expected[0])
with_zero = np.concatenate([asked, [[0]]], dtype=np.float32)
expected, exported = np.array(both(PowerTransformer().fit(numbers), "transform", with_zero))[..., 0]
print(expected, exported)
assert np.isnan(expected[0])
np.testing.assert_allclose(expected[1:], exported[1:], rtol=1e-4)
assert exported[0] == exported[2], "NaN is passed on now"
PROGRAM
