#!/usr/bin/env bash
# One would guess: `weighted(...).mean()` of xarray, whose result is a float, is a mean of the numbers, also if the weights
# are bytes.
#
# What happens: the sum of the weights is taken in uint8, where it wraps around, whatever the type of the numbers is. If
# the numbers are bytes, too, the products wrap around as well. `std` follows. A cast of the weights helps.
#
# Seen with xarray 2026.9.0 and numpy 2.4.6: numbers of 200, 100 and 255 with the same as weights have the mean 207.25 and
# the standard deviation 56. With weights in uint8 these are 2675 and 8868 for numbers in float64, and 1.88 and 765 for numbers
# in uint8. Three times 100 in uint8 with weights of 1 in uint8 have the mean 14.7.
#
# Why it matters: weights are counts, masks of an image, or shares in percent, for which a byte is enough. The weights of
# every larger array add up to more than 255.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check xarray==2026.9.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import xarray

seen = {}
for name, numbers, weights in (("shares", [200, 100, 255], [200, 100, 255]), ("ones", [100, 100, 100], [1, 1, 1])):
    for numbers_type in (np.float64, np.uint8):
        for weights_type in (np.float64, np.int64, np.uint8):
            array, weight = xarray.DataArray(numbers_type(numbers), dims="x"), xarray.DataArray(weights_type(weights), dims="x")
            case = name, numbers_type.__name__, weights_type.__name__
            seen[case] = float(array.weighted(weight).mean()), float(array.weighted(weight).std())
            print(*case, *seen[case])
            if weights_type != np.uint8:
                np.testing.assert_allclose(seen[case], (207.25225, 56.02742) if name == "shares" else (100, 0), rtol=1e-6)
assert seen["ones", "float64", "uint8"] == (100, 0)
for case, wrong in ((("shares", "float64"), (2675, 8867.98)), (("shares", "uint8"), (1.88372, 764.777))):
    np.testing.assert_allclose(seen[*case, "uint8"], wrong, rtol=1e-5, err_msg="bytes add up in more bits now")
np.testing.assert_allclose(seen["ones", "uint8", "uint8"][0], 44 / 3, err_msg="bytes add up in more bits now")
PROGRAM
