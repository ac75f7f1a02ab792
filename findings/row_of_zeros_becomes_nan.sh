#!/usr/bin/env bash
# One would guess: a `Normalizer` of scikit-learn that hummingbird converts to PyTorch leaves a row of zeros as it is, as
# scikit-learn does.
#
# What happens: the converted one divides 0 by 0, for each of the three norms.
#
# Seen with hummingbird-ml 0.4.12, scikit-learn 1.9.1 and torch 2.14.1: [0, 0] is [0, 0] in scikit-learn, and [NaN, NaN]
# in the converted model. [3, 4] is right.
#
# Why it matters: a text without a known word and an empty basket are rows of zeros. All scores of a model that follows
# are NaN.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    hummingbird-ml==0.4.12 torch==2.14.1 scikit-learn==1.9.1 setuptools==80.9.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import hummingbird.ml
import numpy as np
from sklearn.preprocessing import Normalizer

rows = np.float32([[3, 4], [0, 0]])
for norm in ("l1", "l2", "max"):
    model = Normalizer(norm).fit(rows)
    expected, converted = model.transform(rows), hummingbird.ml.convert(model, "torch", rows).transform(rows)
    print(norm, expected, converted)
    np.testing.assert_allclose(converted[0], expected[0], rtol=1e-6)
    assert expected[1].tolist() == [0, 0]
    assert np.isnan(converted[1]).all(), "zeros stay zeros now"
PROGRAM
