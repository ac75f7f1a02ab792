#!/usr/bin/env bash
# One would guess: softplus, log(1 + exp(x)), is positive for every x.
#
# What happens: OpenVINO's CPU plugin approximates it with an absolute error of 2e-6, and for x around -20 the result is
# negative.
#
# Seen with openvino 2026.4.1: softplus(-20) is -1.9e-6 instead of 2.1e-9, also with INFERENCE_PRECISION_HINT=f32 and
# EXECUTION_MODE_HINT=ACCURACY.
#
# Why it matters: softplus is there to make a scale, a rate or a variance positive, and what follows is a division, a
# logarithm or a root. Of a negative variance that is NaN.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import openvino
from openvino import opset15

options = {"INFERENCE_PRECISION_HINT": "f32", "EXECUTION_MODE_HINT": "ACCURACY"}
array = np.linspace(-30, 5, 351, dtype=np.float32)
x = opset15.parameter(array.shape, np.float32)
model = openvino.Model([opset15.softplus(x), opset15.sqrt(opset15.softplus(x))], [x])
compiled = openvino.Core().compile_model(model, "CPU", options)
results = compiled([array])
seen, root = results[0], results[1]
wanted = np.logaddexp(0, array.astype(np.float64))
negative = array[seen < 0]
print(seen.min(), negative.min() if negative.size else None, negative.max() if negative.size else None, np.isnan(root).sum())
np.testing.assert_allclose(seen, wanted, atol=5e-6)
assert seen[100] < 0 < wanted[100] and array[100] == -20, "softplus is positive now"
assert np.isnan(root[seen < 0]).all()
PROGRAM
