#!/usr/bin/env bash
# One would guess: `mean` of a float16 array of xarray is that of NumPy, which adds up in float32.
#
# What happens: to leave NaN out, xarray adds up itself and divides by the count. The sum is rounded to float16, where 65520
# is infinity. With `skipna=False` it calls NumPy's mean. A rolling mean is right, too.
#
# Seen with xarray 2026.9.0 and numpy 2.4.6: the mean of 5000 numbers of 100 in float16 is infinite, and with `skipna=False`
# it is 100, as that of NumPy.
#
# Why it matters: weather data and embeddings are stored in float16 to save space, and a mean over time or space is the first
# step. 700 numbers of 100 are enough.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check xarray==2026.9.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import xarray

hundreds = np.full(5000, 100, np.float16)
array = xarray.DataArray(hundreds, dims="x")
right = {
    "numpy": hundreds.mean(),
    "skipna=False": array.mean(skipna=False),
    "rolling": array.rolling(x=2).mean()[-1],
    "the first 600": array[:600].mean(),
}
right, seen = {name: float(mean) for name, mean in right.items()}, float(array.mean())
print(right, seen)
assert set(right.values()) == {100}
assert seen == np.inf, "sums are kept in more bits now"
PROGRAM
