#!/usr/bin/env bash
# One would guess: `trapezoid` of NumPy and `integrate` and `cumulative_integrate` of xarray, whose results are float64, give
# the area under a line through bytes, as `gradient` and `differentiate` give its slope.
#
# What happens: two neighbours are added in uint8, where the sum wraps around, and halved then. The slope is right.
#
# Seen with xarray 2026.9.0 and numpy 2.4.6: the area under [200, 200] is 72 in uint8 and 200 in float64, that under [200,
# 100, 255] is 71.5 and 327.5. With places in uint8 that fall from 100 to 0 the area under ones is 412 in place of -100.
#
# Why it matters: spectra, light curves and histograms of bytes are integrated to a single number, in which nobody sees the
# fault.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check xarray==2026.9.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import xarray


def area(heights, places, heights_type, places_type):
    places = np.array(places).astype(places_type)
    line = xarray.DataArray(np.array(heights).astype(heights_type), dims="x", coords={"x": places})
    cumulative = float(line.cumulative_integrate("x")[-1])
    assert cumulative == float(line.integrate("x"))
    return cumulative, line.differentiate("x").values.tolist()


seen = []
for heights, places, heights_type, places_type in (
    ([200, 200], [0, 1], np.uint8, np.int64),
    ([200, 100, 255], [0, 1, 2], np.uint8, np.int64),
    ([1, 1, 1], [100, 50, 0], np.float64, np.uint8),
):
    right, slope = area(heights, places, np.float64, np.float64)
    of_bytes, slope_of_bytes = area(heights, places, heights_type, places_type)
    trapezoid = np.trapezoid(np.array(heights).astype(heights_type), np.array(places).astype(places_type))
    print(heights, places, right, of_bytes, float(trapezoid), slope, slope_of_bytes)
    seen.append((right, of_bytes))
    np.testing.assert_allclose(slope, slope_of_bytes)
    np.testing.assert_allclose(slope, np.gradient(np.array(heights).astype(heights_type), places))
    assert trapezoid == of_bytes
assert [right for right, _ in seen] == [200, 327.5, -100]
assert [of_bytes for _, of_bytes in seen] == [72, 71.5, 412], "the area is computed in more bits now"
PROGRAM
