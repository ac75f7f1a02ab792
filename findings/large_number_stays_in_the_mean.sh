#!/usr/bin/env bash
# One would guess: a moving mean over two numbers depends on these two.
#
# What happens: bottleneck keeps a running sum, from which it subtracts what leaves the window. A number that is large
# enough takes the digits of the others with it, and an infinity leaves NaN behind. The moving maximum forgets as it
# should.
#
# Seen with bottleneck 1.6.0: the moving means of [1e17, 1, 2, 3, 4] over two are [5e16, 0, 1, 2] and all later ones are
# as far off, where pandas 3.1.1 gives [5e16, 1.5, 2.5, 3.5]. In float32, 30000 is enough to make 0.15 0.1494. Behind an
# infinity, all are NaN.
#
# Why it matters: a sensor that sends one wrong value, or a loss that is infinite once, spoils the smoothed series to
# its end, and not for the length of a window.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check bottleneck==1.6.0 pandas==3.1.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import bottleneck
import numpy as np
import pandas as pd


def moved(*numbers, dtype=np.float64):
    return bottleneck.move_mean(np.array(numbers, dtype), 2)[1:]


large, small, infinite = moved(1e17, 1, 2, 3, 4), moved(3e4, 0.1, 0.2, 0.3, dtype=np.float32), moved(np.inf, 1, 2, 3)
series = pd.Series([1e17, 1, 2, 3, 4]).rolling(2).mean()[1:]
print(large, small, infinite, series.tolist())
np.testing.assert_array_equal(series, [5e16, 1.5, 2.5, 3.5])
np.testing.assert_array_equal(moved(0, 1, 2, 3, 4), [0.5, 1.5, 2.5, 3.5])
np.testing.assert_array_equal(bottleneck.move_max(np.array([np.inf, 1, 2, 3]), 2)[1:], [np.inf, 2, 3])
assert large.tolist() == [5e16, 0, 1, 2], "a large number is forgotten now"
assert 1e-4 < abs(small[1] - 0.15) < 1e-2 and 1e-4 < abs(small[2] - 0.25) < 1e-2
np.testing.assert_array_equal(infinite, [np.inf, np.nan, np.nan], err_msg="infinity is forgotten now")
PROGRAM
