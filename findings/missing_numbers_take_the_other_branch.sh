#!/usr/bin/env bash
# One would guess: a decision tree that was trained with missing numbers sends them in the exported model where it sends
# them in scikit-learn.
#
# What happens: a tree of scikit-learn learns at each split to which side NaN goes. skl2onnx does not write it down,
# although ONNX has an attribute for it, and NaN fails every comparison: it goes to the right.
#
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1 and onnxruntime 1.32.0: trained with NaN as class 0 beside small numbers,
# the tree gives 0 for NaN in scikit-learn and 1 in the exported model. Where NaN was with the large numbers, both give 1.
#
# Why it matters: tables with gaps are what trees are chosen for, since they need no imputation. Rows with gaps get the
# answer of the opposite branch, and all others the right one.
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
from sklearn.tree import DecisionTreeClassifier


def both(model, method, numbers, output=0, **options):
    """What the model gives for the numbers in scikit-learn, and as an exported model."""
    exported = to_onnx(model, numbers[:1], **options).SerializeToString()
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    result = session.run(None, {session.get_inputs()[0].name: numbers})[output]
    return getattr(model, method)(numbers).tolist(), result.tolist()


numbers, asked = np.float32([[0], [1], [2], [np.nan], [4], [5]]), np.float32([[np.nan], [0], [5]])
right = both(DecisionTreeClassifier().fit(numbers, [0, 0, 0, 1, 1, 1]), "predict", asked)
left = both(DecisionTreeClassifier().fit(numbers, [0, 0, 0, 0, 1, 1]), "predict", asked)
print(right, left)
assert right == ([1, 0, 1], [1, 0, 1])
assert left == ([0, 0, 1], [1, 0, 1]), "NaN goes where it went in training now"
PROGRAM
