#!/usr/bin/env bash
# One would guess: a model of nearest neighbours with weights="distance" that skl2onnx exports weighs near neighbours
# more, or is refused.
#
# What happens: skl2onnx writes a plain average over the neighbours, for classes as well as for numbers, without a word.
# It refuses metrics that it does not know, and weights that are a function.
#
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1 and onnxruntime 1.32.0: between 0 at 0 and 8 at 4, the place 1 has the
# value 2 in scikit-learn and 4 in the exported model, and so has the place 0, where the value is known to be 0.
#
# Why it matters: weights by distance make the model pass through its data. The exported one is off in the very rows that
# it was made from, by as much as the neighbours differ.
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
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor


def both(model, method, numbers, output=0, **options):
    """What the model gives for the numbers in scikit-learn, and as an exported model."""
    exported = to_onnx(model, numbers[:1], **options).SerializeToString()
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    result = session.run(None, {session.get_inputs()[0].name: numbers})[output]
    return getattr(model, method)(numbers).tolist(), result.tolist()


places, asked = np.float32([[0], [4], [50]]), np.float32([[1], [0], [2]])
average = KNeighborsRegressor(2).fit(places, np.float32([0, 8, 9]))
weighted = KNeighborsRegressor(2, weights="distance").fit(places, np.float32([0, 8, 9]))
classes = KNeighborsClassifier(2, weights="distance").fit(places, [0, 1, 1])
expected, exported = both(weighted, "predict", asked)
expected_classes, exported_classes = both(classes, "predict_proba", asked, 1, options={"zipmap": False})
print(expected, exported, expected_classes, exported_classes)
assert both(average, "predict", asked) == ([4, 4, 4], [[4], [4], [4]])
assert expected == [2, 0, 4] and expected_classes == [[0.75, 0.25], [1, 0], [0.5, 0.5]]
assert exported == [[4], [4], [4]], "near neighbours weigh more now"
assert exported_classes == [[0.5, 0.5]] * 3, "near neighbours weigh more in classes now"
PROGRAM
