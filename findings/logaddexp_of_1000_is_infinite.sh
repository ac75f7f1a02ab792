#!/usr/bin/env bash
# One would guess: logaddexp(x, y) is computed without an exponential that overflows; that is what the function is for. That of
# 1000 and 1000 is 1000.69, as the array API standard, NumPy and every other library of arrays have it.
#
# What happens: ndonnx writes log(exp(x) + exp(y)) into the model.
#
# Seen with ndonnx 0.23.0 and onnxruntime 1.32.0: logaddexp(1000, 1000) is infinity, and logaddexp(-1000, -1000) is minus infinity.
#
# Why it matters: the arguments are logarithms of probabilities, which are far below -104 for any long sequence.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ndonnx==0.23.0 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import ndonnx
import numpy as np

x = np.array([1, 1000, -1000], np.float32)
seen, wanted = ndonnx.logaddexp(ndonnx.asarray(x), ndonnx.asarray(x)).unwrap_numpy(), np.logaddexp(x, x)
print(seen, wanted)
np.testing.assert_allclose(wanted, x + np.log(np.float32(2)), rtol=1e-6)
np.testing.assert_allclose(seen[0], wanted[0], rtol=1e-6)
np.testing.assert_array_equal(seen[1:], [np.inf, -np.inf], "the exponentials do not overflow any more")
PROGRAM
