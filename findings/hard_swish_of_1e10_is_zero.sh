#!/usr/bin/env bash
# One would guess: hardswish(x) is x for every x from 3 on.
#
# What happens: tinygrad computes relu6(x) as relu(x) - relu(x - 6). For large x the two round to the same number, and the
# difference is 0, or another multiple of the distance between neighbouring numbers.
#
# Seen with tinygrad 0.14.0 (its device PYTHON): relu6(1e10) is 0 and relu6(1e8) is 8 instead of 6; hardswish(1e10) is 0,
# hardswish(2e7) is 2.67e7.
#
# Why it matters: MobileNetV3 consists of hard swishes. Their input is rarely that large, but sums and squares of pixels are,
# and numbers that grow without bound then disappear in silence instead of being seen.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tinygrad==0.14.0 numpy==2.4.6

DEV=PYTHON "$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
from tinygrad import Tensor

x = np.array([-4, 1, 5, 1000, 2e7, 1e8, 1e10], np.float32)
clipped, swished = Tensor(x).relu6().numpy(), Tensor(x).hardswish().numpy()
wanted = x * np.clip(x + np.float32(3), 0, 6) / np.float32(6)
print(clipped, np.clip(x, 0, 6), swished, wanted, sep="\n")
np.testing.assert_allclose(swished[:3], wanted[:3], rtol=1e-6)
assert clipped[5] == 8 and clipped[6] == 0, "relu6 of large numbers is 6 now"
assert swished[6] == 0 and swished[4] > 1.3 * wanted[4], "hardswish of large numbers is right now"
PROGRAM
