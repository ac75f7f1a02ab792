#!/usr/bin/env bash
# One would guess: probabilities that were calibrated with `method="isotonic"` are, in the exported model, those of
# scikit-learn, which interpolates between the points of the calibration.
#
# What happens: skl2onnx takes the value of the nearest point. The curve becomes a staircase with as many steps as there
# are points. With `method="sigmoid"` the probabilities agree.
#
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1 and onnxruntime 1.32.0: nine rows between two points, with the
# probabilities 0 and 1, have seven different probabilities between 0.1 and 0.9 in scikit-learn, and the exported model
# says 0 or 1.
#
# Why it matters: this calibration is asked for where the probability itself is used. The exported one jumps, is the same
# for rows that differ, and makes the doubtful ones certain.
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
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression


def both(model, method, numbers, output=0, **options):
    """What the model gives for the numbers in scikit-learn, and as an exported model."""
    exported = to_onnx(model, numbers[:1], **options).SerializeToString()
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    result = session.run(None, {session.get_inputs()[0].name: numbers})[output]
    return getattr(model, method)(numbers).tolist(), result.tolist()


numbers, classes = np.float32([[-2], [-1], [1], [2]] * 2), [0, 0, 1, 1] * 2
asked = np.linspace(-0.8, 0.8, 9, dtype=np.float32)[:, None]
seen = {}
for method in ("sigmoid", "isotonic"):
    model = CalibratedClassifierCV(LogisticRegression(), method=method, cv=2, ensemble=False).fit(numbers, classes)
    expected, exported = both(model, "predict_proba", asked, 1, options={"zipmap": False})
    seen[method] = np.array(expected)[:, 1], np.array(exported)[:, 1]
    print(method, *(result.round(3).tolist() for result in seen[method]))
np.testing.assert_allclose(*seen["sigmoid"], atol=1e-5)
expected, exported = seen["isotonic"]
np.testing.assert_allclose(expected[1:8], np.linspace(0.1, 0.9, 7), atol=1e-3)
assert set(exported) == {0, 1}, "the exported model interpolates now"
PROGRAM
