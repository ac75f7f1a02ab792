#!/usr/bin/env bash
# One would guess: scalers with `clip=True` clip in the exported model too, or are refused.
#
# What happens: `MinMaxScaler` does. `MaxAbsScaler` is exported as a plain division.
#
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1 and onnxruntime 1.32.0: fitted to [-2, 4], 8 and -10 become 1 and -1 in
# scikit-learn, and 2 and -2.5 in the exported model.
#
# Why it matters: the clip is there for rows unlike those of the training. A test with the training data passes.
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
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler


def both(model, method, numbers, output=0, **options):
    """What the model gives for the numbers in scikit-learn, and as an exported model."""
    exported = to_onnx(model, numbers[:1], **options).SerializeToString()
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    result = session.run(None, {session.get_inputs()[0].name: numbers})[output]
    return getattr(model, method)(numbers).tolist(), result.tolist()


numbers, asked = np.float32([[-2], [4]]), np.float32([[3], [8], [-10]])
by_range = both(MinMaxScaler((-1, 1), clip=True).fit(numbers), "transform", asked)
by_maximum = both(MaxAbsScaler(clip=True).fit(numbers), "transform", asked)
print(by_range, by_maximum)
np.testing.assert_allclose(*by_range, rtol=1e-6)
assert by_maximum[0] == [[0.75], [1], [-1]]
assert by_maximum[1] == [[0.75], [2], [-2.5]], "the other scaler clips now"
PROGRAM
