#!/usr/bin/env bash
# One would guess: a `QuantileRegressor` of scikit-learn fits the same line to features in uint8 as to the same ones in
# float64, as the other linear models do.
#
# What happens: its linear program has each feature twice, as it is and negated, for positive and for negative weights. The
# negative of a byte wraps around, so that a feature can count with a positive weight only.
#
# Seen with scikit-learn 1.9.1 and numpy 2.4.6: the line through 50, 40, 30, 20 and 10 at the places 0, 10, 20, 30 and
# 40 is 10 everywhere for places in uint8, and right for places in int64 or float64. The rising line is right for all.
#
# Why it matters: pixels, categories and counts are bytes. Nothing warns, and the fit is plausible where all slopes are
# positive.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
from sklearn.linear_model import HuberRegressor, LinearRegression, QuantileRegressor

places, rising, seen = np.arange(0, 50, 10)[:, None], np.arange(10.0, 60, 10), {}
for model in (LinearRegression(), HuberRegressor(alpha=0), QuantileRegressor(alpha=0)):
    for name, heights in (("rising", rising), ("falling", rising[::-1])):
        for data_type in (np.float64, np.int64, np.uint8):
            line = model.fit(places.astype(data_type), heights).predict(places.astype(data_type))
            seen[type(model).__name__, name, data_type.__name__] = line, heights
for case, (line, heights) in seen.items():
    print(*case, line.round(6).tolist())
    if case != ("QuantileRegressor", "falling", "uint8"):
        np.testing.assert_allclose(line, heights, rtol=1e-6)
line, _ = seen["QuantileRegressor", "falling", "uint8"]
np.testing.assert_allclose(line, 10, err_msg="features in uint8 count with negative weights now")
PROGRAM
