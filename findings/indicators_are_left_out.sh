#!/usr/bin/env bash
# One would guess: a `SimpleImputer` with add_indicator=True is exported with the columns that say where a number was
# missing, or is refused.
#
# What happens: skl2onnx fills in the numbers and leaves these columns out. The result has fewer columns than in
# scikit-learn.
#
# Seen with skl2onnx 1.20.0, scikit-learn 1.9.1 and onnxruntime 1.32.0: of two columns, one of which had a gap, three are
# left in scikit-learn and two in the exported model.
#
# Why it matters: that a number is missing often says more than the number, and a model that was trained on the wider
# table gets too few columns.
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
from sklearn.impute import SimpleImputer


def both(model, method, numbers, output=0, **options):
    """What the model gives for the numbers in scikit-learn, and as an exported model."""
    exported = to_onnx(model, numbers[:1], **options).SerializeToString()
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    result = session.run(None, {session.get_inputs()[0].name: numbers})[output]
    return getattr(model, method)(numbers).tolist(), result.tolist()


numbers, asked = np.float32([[1, 2], [3, np.nan]]), np.float32([[1, np.nan], [1, 2]])
assert both(SimpleImputer().fit(numbers), "transform", asked) == ([[1, 2], [1, 2]], [[1, 2], [1, 2]])
expected, exported = both(SimpleImputer(add_indicator=True).fit(numbers), "transform", asked)
print(expected, exported)
assert expected == [[1, 2, 1], [1, 2, 0]]
assert exported == [[1, 2], [1, 2]], "the exported model has indicators now"
PROGRAM
