#!/usr/bin/env bash
# One would guess: `linear_fit` of Awkward Array finds the slope of a line through points that lie on it, also where the
# places are far from 0, such as seconds since 1970. Float64 has digits enough, and `numpy.polyfit` finds it.
#
# What happens: it subtracts the square of the sum of the places from their number times the sum of their squares. Two
# numbers of 1e17 leave a difference of 50, or of what is left of their rounding.
#
# Seen with awkward 2.14.0 and numpy 2.4.6: the line with slope 2 through five places from 1e8 on has slope 1.56, and
# the one from 1.8e9 on, which are seconds in 2027, slope 0.006. `var` and `corr` of the same places are right.
#
# Why it matters: drifts over time are fitted so, and a drift that is there is not seen. Nothing warns.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check awkward==2.14.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import awkward
import numpy as np

heights, seen = 2 * np.arange(5.0) + 1, {}
print("awkward", awkward.__version__)
for start in (0.0, 1e6, 1e8, 1.8e9):
    places = start + np.arange(5.0)
    seen[start] = float(awkward.linear_fit(places, heights)["slope"])
    right = np.polyfit(places, heights, 1)[0]
    print(start, "slope", seen[start], "of numpy.polyfit", round(right, 6))
    np.testing.assert_allclose(right, 2, rtol=1e-6)
    assert float(awkward.var(places)) == 2 and abs(float(awkward.corr(places, heights)) - 1) < 1e-9
assert abs(seen[0.0] - 2) < 1e-9 and abs(seen[1e6] - 2) < 1e-9
assert abs(seen[1e8] - 2) > 0.1 and abs(seen[1.8e9] - 2) > 0.1, "the mean is subtracted first now"
PROGRAM
