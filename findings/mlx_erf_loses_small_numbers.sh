#!/usr/bin/env bash
# One would guess: erf(x) of a small x is 1.128 * x, to within a few units in the last place.
#
# What happens: MLX's erf on the CPU is accurate to 1e-7 of 1 and no more. Results near 0 keep few digits or none.
#
# Seen with mlx 0.32.4 on the CPU of Linux: erf(1e-8) is 0, and erf(1e-4) is 1.1289e-4 instead of 1.1284e-4. JAX and
# onnxruntime give all digits.
#
# Why it matters: the exact GELU is built on erf, where the factor x hides it; an erf that is divided by x, or whose
# logarithm is taken, is 0/0 or infinite.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mlx==0.32.4 mlx-cpu==0.32.4 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import math

import mlx.core as mx
import numpy as np

x = np.array([1e-8, 1e-4, 0.3, 2], np.float32)
seen = np.array(mx.erf(mx.array(x)))
wanted = np.array([math.erf(value) for value in x.tolist()])
print(seen, wanted, np.abs(seen / wanted - 1))
np.testing.assert_allclose(seen, wanted, atol=2e-7)
assert seen[0] == 0, "erf keeps the digits of small numbers now"
assert abs(seen[1] / wanted[1] - 1) > 1e-4
PROGRAM
