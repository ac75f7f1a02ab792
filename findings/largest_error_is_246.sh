#!/usr/bin/env bash
# One would guess: `max_error` of scikit-learn, applied to bytes, is the largest difference of two bytes, as the other
# metrics of regression give the mean or the median of the differences.
#
# What happens: it subtracts as the arrays come, and a difference of bytes below 0 wraps around. The other metrics convert
# to float64 before.
#
# Seen with scikit-learn 1.9.1 and numpy 2.4.6: of [0, 200, 10] and [100, 100, 20] the largest error is 246 in uint8 and 100
# in float64. The mean error is 70 and the median 100 in both types. Of int8 [-100] and [100] it is 56.
#
# Why it matters: it is the bound that says whether two images, or a quantized model and its original, agree. A single step
# down counts as 255, and a fall of 255 as 1.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
from sklearn import metrics

expected, given, seen = np.uint8([0, 200, 10]), np.uint8([100, 100, 20]), {}
for name in ("mean_absolute_error", "median_absolute_error", "mean_squared_error", "r2_score", "max_error"):
    metric = getattr(metrics, name)
    seen[name] = float(metric(expected, given)), float(metric(expected.astype(float), given.astype(float)))
    print(name, *seen[name])
largest, signed = seen.pop("max_error"), float(metrics.max_error(np.int8([-100]), np.int8([100])))
print("max_error in int8", signed)
assert all(of_bytes == of_floats for of_bytes, of_floats in seen.values())
assert largest[1] == 100
assert largest[0] == 246 and signed == 56, "the largest error is computed in more bits now"
PROGRAM
