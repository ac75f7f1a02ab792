#!/usr/bin/env bash
# One would guess: the exported `LinearDiscriminantAnalysis` gives the probabilities of scikit-learn.
#
# What happens: with two classes, skl2onnx applies a softmax to the score and its negative, which doubles the score.
# scikit-learn takes the sigmoid of the score. The class is the same.
#
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1 and onnxruntime 1.32.0: scores of 0.9 and 3 become 0.711 and 0.953 in
# scikit-learn, and 0.858 and 0.998 in the exported model, which are the sigmoids of 1.8 and 6.
#
# Why it matters: discriminants are chosen where probabilities are used as such: risks, thresholds, costs. A row of 91%
# counts as one of 99%. A test of the classes passes.
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
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression


def both(model, method, numbers, output=0, **options):
    """What the model gives for the numbers in scikit-learn, and as an exported model."""
    exported = to_onnx(model, numbers[:1], **options).SerializeToString()
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    result = session.run(None, {session.get_inputs()[0].name: numbers})[output]
    return getattr(model, method)(numbers).tolist(), result.tolist()


numbers, classes, asked = np.float32([[-2], [-1], [0], [0], [1], [2]]), [0, 0, 0, 1, 1, 1], np.float32([[0.3], [1]])
model = LinearDiscriminantAnalysis().fit(numbers, classes)
expected, exported = both(model, "predict_proba", asked, 1, options={"zipmap": False})
scores = model.decision_function(asked)
print(scores, expected, exported)
np.testing.assert_allclose(*both(model, "predict", asked))
regression = LogisticRegression().fit(numbers, classes)
np.testing.assert_allclose(*both(regression, "predict_proba", asked, 1, options={"zipmap": False}), rtol=1e-4)
np.testing.assert_allclose(np.array(expected)[:, 1], 1 / (1 + np.exp(-scores)), rtol=1e-4)
np.testing.assert_allclose(np.array(exported)[:, 1], 1 / (1 + np.exp(-2 * scores)), rtol=1e-4, err_msg="scores are not doubled now")
PROGRAM
