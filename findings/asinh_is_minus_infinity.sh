#!/usr/bin/env bash
# One would guess: asinh is defined for every number, and asinh(-x) is -asinh(x).
#
# What happens: tinygrad computes log(x + sqrt(x * x + 1)). For a large negative x the sum is 0 and the result
# -infinity; for x above 1.8e19 the square overflows and the result is infinite, and so is that of acosh.
#
# Seen with tinygrad 0.14.0 (its device PYTHON): asinh(-10000) is -infinity instead of -9.90, asinh(1e20) is infinite
# instead of 46.7, asinh(1e-8) is 0.
#
# Why it matters: log-like scales for signed numbers (flow cytometry, astronomy) are asinh. JAX, MLX and NumPy are
# right for all of these.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tinygrad==0.14.0 numpy==2.4.6

DEV=PYTHON "$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
from tinygrad import Tensor

x = np.array([1, 100, 1e4, -1e4, 1e20, 1e-8], np.float32)
seen, wanted = Tensor(x).asinh().numpy(), np.arcsinh(x)
print(seen, wanted)
np.testing.assert_allclose(seen[:3], wanted[:3], rtol=1e-5)
assert seen[3] == -np.inf and seen[4] == np.inf and seen[5] == 0, "asinh is right for all numbers now"
assert Tensor(x[4:5]).acosh().numpy()[0] == np.inf
PROGRAM
