#!/usr/bin/env bash
# One would guess: `threshold` of PyWavelets gives the same numbers for integers as for floats. The modes "soft" and
# "hard" do, and "garrote" gives float64 as well.
#
# What happens: with "garrote" the square of each coefficient is computed in its own type, where it wraps around.
#
# Seen with PyWavelets 1.9.0 and numpy 2.4.6: of [-300, 200, 100] and the threshold 150, 376 comes out for 200 and -24
# for -300 in int16, and 87.5 and -225 in float64. In uint8, 200 becomes 0, as if it were noise.
#
# Why it matters: images and recordings are integers, and integer wavelets keep their coefficients so. The coefficients
# that the filter is to keep are those that it changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check PyWavelets==1.9.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
from importlib.metadata import version

import numpy as np
import pywt

print("PyWavelets", version("PyWavelets"))
for data_type, values, wrong in ((np.int16, [-300, 200, 100], [-24.084, 376.222, 0]), (np.uint8, [200, 100], [0, 0])):
    for mode in ("soft", "hard", "garrote"):
        seen = pywt.threshold(np.array(values, data_type), 150, mode)
        right = pywt.threshold(np.array(values, np.float64), 150, mode)
        print(data_type.__name__, mode, values, seen.tolist(), "in float64", right.tolist())
        if mode != "garrote":
            np.testing.assert_array_equal(seen, right)
        else:
            assert seen.dtype == np.float64 and abs(right).max() > 87
            np.testing.assert_allclose(seen, wrong, atol=1e-3, err_msg="squares have more bits now")
PROGRAM
