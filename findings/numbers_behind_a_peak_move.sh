#!/usr/bin/env bash
# One would guess: a codec that keeps the differences of neighbours gives the numbers back, up to a rounding of each.
#
# What happens: `Delta` of numcodecs subtracts in the type of the numbers, where a difference to a large number loses the
# digits of the small one. Decoding adds all differences up, so that this error stays in all later numbers of the chunk. Its
# documentation warns of integers that are too small.
#
# Seen with numcodecs 0.16.6 and numpy 2.4.6: [1.5, 1e8, 1.5, 2.5] in float32 is [1.5, 1e8, 0, 1] afterwards. Behind one
# fill value of 1e20, temperatures from 19 to 21 start at 0 and stay below 2, in float32 and in float64.
#
# Why it matters: the fill value of a gap is such a number, and 1e20 is the usual one. One gap changes all the measurements
# behind it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numcodecs==0.16.6 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numcodecs
import numpy as np


def through(numbers):
    codec = numcodecs.Delta(numbers.dtype)
    return codec.decode(codec.encode(numbers))


peak = through(np.array([1.5, 1e8, 1.5, 2.5], np.float32))
degrees = 20 + np.sin(np.arange(1000) * 0.1)
with_gap = degrees.copy()
with_gap[3] = 1e20
print("behind a peak", peak)
for dtype in (np.float32, np.float64):
    without, seen = through(degrees.astype(dtype)), through(with_gap.astype(dtype))
    print(dtype.__name__, "without a gap", without[-2:], "with a gap", seen[:6])
    np.testing.assert_allclose(without, degrees, atol=1e-4)
    np.testing.assert_allclose(seen[:3], degrees[:3], rtol=1e-6)
    assert abs(seen[4:] - degrees[4:]).min() > 18, "a gap changes itself only now"
np.testing.assert_array_equal(peak, np.array([1.5, 1e8, 0, 1], np.float32))
PROGRAM
