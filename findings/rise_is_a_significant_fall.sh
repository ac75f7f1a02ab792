#!/usr/bin/env bash
# One would guess: `scipy.stats.ttest_rel(before, after)` gives a negative statistic if all numbers rise, whatever type
# they have, and `tmean` without limits is the mean.
#
# What happens: `ttest_rel` subtracts in the type of the arrays, where 200 - 210 is 246 in uint8, and `tmean` adds up in
# it. `ttest_ind` converts first.
#
# Seen with scipy 1.17.1 and numpy 2.4.6: from [200, 100, 50, 30] to [210, 120, 80, 35], t is 43.2 with p = 0.00003 in
# uint8, and -2.93 with p = 0.06 in float64. `tmean` of [200, 100] is 22 in uint8.
#
# Why it matters: scores from 0 to 100 and pixels are kept as bytes. The paired test says the opposite of what is there,
# and is sure of it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scipy==1.17.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
from scipy import stats

before, after = np.array([200, 100, 50, 30], np.uint8), np.array([210, 120, 80, 35], np.uint8)
exact = stats.ttest_rel(before.astype(float), after.astype(float))
found = stats.ttest_rel(before, after)
mean = float(stats.tmean(before[:2]))
print(exact.statistic, exact.pvalue, found.statistic, found.pvalue, mean)
others = stats.ttest_ind(before, after), stats.ttest_ind(before.astype(float), after.astype(float))
assert np.isclose(others[0].statistic, others[1].statistic)
assert abs(exact.statistic + 2.93) < 0.01 and abs(exact.pvalue - 0.06) < 0.01
assert abs(found.statistic - 43.25) < 0.01 and found.pvalue < 0.001, "the test of bytes is right now"
assert mean == 22, "the mean of bytes is right now"
PROGRAM
