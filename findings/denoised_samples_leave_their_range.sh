#!/usr/bin/env bash
# One would guess: `signal.wiener` of SciPy smooths samples in int16 and bytes as the same numbers in float64. It gives
# float64.
#
# What happens: the local variance is the mean of the squares less the square of the mean, and the squares are taken in
# the type of the samples, where they wrap around. The local mean is computed in float64, so that the variance may be
# anything.
#
# Seen with scipy 1.17.1 and numpy 2.4.6: a sine with the amplitude 10000 in int16 is smoothed to 26768 where it is 0,
# and to 1598 in float64. A constant signal of 1000 ends at 385 in place of 889, and one of 100 in uint8 at 39 in place
# of 89.
#
# Why it matters: it is the filter against noise for recordings and images, which are integers of 16 and 8 bits. The
# result is in float64 and within sight of the signal, so that nothing looks wrapped.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scipy==1.17.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
from scipy import __version__, signal

print("scipy", __version__)
wave = (10000 * np.sin(np.arange(12) / 2)).astype(np.int16)
seen, right = signal.wiener(wave, 3), signal.wiener(wave.astype(np.float64), 3)
print(wave.tolist(), seen.round().tolist(), "in float64", right.round().tolist())
assert seen.dtype == np.float64 and abs(right).max() < 10000
assert abs(seen[0] - 26768) < 1 and abs(right[0] - 1598) < 1, "squares are taken in more bits now"
for value, data_type, wrong, expected in ((1000, np.int16, 384.5, 888.9), (100, np.uint8, 38.8, 88.9)):
    constant = np.full(6, value, data_type)
    seen, right = signal.wiener(constant, 3), signal.wiener(constant.astype(np.float64), 3)
    print(constant.tolist(), data_type.__name__, seen.round(1).tolist(), "in float64", right.round(1).tolist())
    np.testing.assert_allclose(seen[1:-1], value)
    assert abs(right[0] - expected) < 0.1
    assert abs(seen[0] - wrong) < 0.1, "squares are taken in more bits now"
PROGRAM
