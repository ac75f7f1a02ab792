#!/usr/bin/env bash
# One would guess: `Normalizer(norm="max")` divides each row by its largest absolute value, in scikit-learn as well as in
# the exported model.
#
# What happens: skl2onnx writes ONNX's `Normalizer`, whose "MAX" divides by the largest value, sign and all. A row of
# negative numbers becomes positive, and a large negative number stays above 1.
#
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1 and onnxruntime 1.32.0: [-5, -1, -2] becomes [-1, -0.2, -0.4] in
# scikit-learn and [5, 1, 2] in the exported model; [1, -8, 2] becomes [0.125, -1, 0.25], and [0.5, -4, 1]. The norms "l1"
# and "l2" are right.
#
# Why it matters: features with a sign, such as differences and returns, change it row by row. Rows whose largest number
# is positive are right, and so may be all rows of a test.
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
from sklearn.preprocessing import Normalizer


def both(model, method, numbers, output=0, **options):
    """What the model gives for the numbers in scikit-learn, and as an exported model."""
    exported = to_onnx(model, numbers[:1], **options).SerializeToString()
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    result = session.run(None, {session.get_inputs()[0].name: numbers})[output]
    return getattr(model, method)(numbers).tolist(), result.tolist()


rows = np.float32([[1, -2, 4], [-5, -1, -2], [1, -8, 2]])
expected, exported = both(Normalizer("max").fit(rows), "transform", rows)
print(expected, exported)
for norm in ("l1", "l2"):
    np.testing.assert_allclose(*both(Normalizer(norm).fit(rows), "transform", rows), rtol=1e-5)
np.testing.assert_allclose(expected, [[0.25, -0.5, 1], [-1, -0.2, -0.4], [0.125, -1, 0.25]], rtol=1e-6)
np.testing.assert_allclose(exported, [[0.25, -0.5, 1], [5, 1, 2], [0.5, -4, 1]], rtol=1e-6, err_msg="signs stay now")
PROGRAM
