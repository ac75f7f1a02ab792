#!/usr/bin/env bash
# One would guess: the Jensen-Shannon distance of [1, 0] and [0, 1] is the largest one there is, the root of ln 2, as in
# SciPy. It is made for distributions with zeros: the Kullback-Leibler divergence is infinite there, and it is not.
#
# What happens: `jensenshannon` of NumKong, by the author of simsimd, gives 0. Where one of the two has a zero, the
# whole term is left out, and with it what the other one contributes. Distributions without zeros have the right
# distance.
#
# Seen with numkong 7.8.6, in float64 and float32: 0 for [1, 0] and [0, 1], where SciPy 1.17.1 gives 0.8326; 0 for [0.5,
# 0.5, 0] and [0, 0.5, 0.5] (0.5887); 0.206 for [1, 0] and [0.5, 0.5] (0.4645).
#
# Why it matters: it compares histograms, topics and class probabilities, most of which hold zeros. What has nothing in
# common is found to be the same, and comes first in a search.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numkong==7.8.6 scipy==1.17.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numkong
import numpy as np
from scipy.spatial.distance import jensenshannon

CASES = (
    ([0.9, 0.1], [0.5, 0.5], None),
    ([1, 0], [0, 1], 0),
    ([0.5, 0.5, 0], [0, 0.5, 0.5], 0),
    ([1, 0], [0.5, 0.5], 0.2061),
)
print("numkong", numkong.__version__)
for first, second, wrong in CASES:
    right = jensenshannon(first, second)
    for data_type in (np.float64, np.float32):
        seen = float(numkong.jensenshannon(data_type(first), data_type(second)))
        print(first, second, data_type.__name__, round(seen, 4), "in SciPy", round(right, 4))
        expected = right if wrong is None else wrong
        assert abs(seen - expected) < 1e-3, "zeros count now"
        assert wrong is None or right > 0.46
PROGRAM
