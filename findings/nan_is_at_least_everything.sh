#!/usr/bin/env bash
# One would guess: comparisons with NaN are false, as IEEE 754 has it: NaN >= 1 and NaN <= 1 both.
#
# What happens: tinygrad computes x >= y as "not x < y". So both are true wherever one of the two is NaN; also in models
# that it runs from ONNX files (GreaterOrEqual and LessOrEqual).
#
# Seen with tinygrad 0.14.0 (its device PYTHON): NaN >= 1, NaN <= 1 and 1 >= NaN are true; NaN > 1, NaN < 1 and NaN == NaN
# are false.
#
# Why it matters: missing values are NaN. A mask such as x >= 0, meant to leave them out, keeps them.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tinygrad==0.14.0 numpy==2.4.6

DEV=PYTHON "$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
from tinygrad import Tensor

a = np.array([np.nan, 1, np.nan, 2, 1], np.float32)
b = np.array([1, np.nan, np.nan, 1, 2], np.float32)
x, y = Tensor(a), Tensor(b)
for name, seen, wanted in (
    (">=", x >= y, a >= b),
    ("<=", x <= y, a <= b),
    (">", x > y, a > b),
    ("<", x < y, a < b),
    ("==", x == y, a == b),
):
    print(name, seen.numpy(), wanted)
    np.testing.assert_array_equal(seen.numpy()[3:], wanted[3:])
    assert not wanted[:3].any()
    assert seen.numpy()[:3].all() == (name in {">=", "<="}), f"NaN {name} 1 is otherwise now"
PROGRAM
