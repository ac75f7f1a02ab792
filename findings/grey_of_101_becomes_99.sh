#!/usr/bin/env bash
# One would guess: smoothing an image that is 101 everywhere leaves it as it is, in any type, as `Mean`, `BinomialBlur`
# and `SmoothingRecursiveGaussian` do.
#
# What happens: `DiscreteGaussian` of SimpleITK computes in floats, and cuts off the fraction along each axis if the
# image holds integers. Weights that add up to 0.9999999 make 100.9999 of 101, and 100 of that, and 99 along the next
# axis.
#
# Seen with SimpleITK 2.5.7: 101 becomes 99 in uint8 and int16, and stays 101 in float32. A ramp from 0 to 255 loses
# 0.99 on the average, and one from 0 to -255 gains 0.99.
#
# Why it matters: scans are 16-bit integers, and are smoothed before they are made smaller for a network. All values
# move towards 0: water, which is 0, stays, air rises and bone sinks.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check SimpleITK==2.5.7 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import SimpleITK as sitk

print("SimpleITK", sitk.Version_VersionString())
ramp = np.tile(np.arange(256), (16, 1))
for data_type in (np.float32, np.int16, np.uint8):
    constant = sitk.GetImageFromArray(np.full((16, 16), 101, data_type))
    smoothed = np.unique(sitk.GetArrayFromImage(sitk.DiscreteGaussian(constant, 1.0)))
    for smooth in (sitk.BinomialBlur, sitk.SmoothingRecursiveGaussian, lambda x: sitk.Mean(x, [1, 1])):
        np.testing.assert_allclose(sitk.GetArrayFromImage(smooth(constant)), 101, atol=1e-3)
    shifts = []
    for values in (ramp, -ramp)[: 1 if data_type == np.uint8 else 2]:
        image = sitk.GetImageFromArray(values.astype(data_type))
        seen = sitk.GetArrayFromImage(sitk.DiscreteGaussian(image, 1.0)).astype(np.float64)
        shifts.append(round(float((seen - values)[:, 8:-8].mean()), 3))
    print(data_type.__name__, "101 becomes", smoothed, "ramps move by", shifts)
    if data_type == np.float32:
        np.testing.assert_allclose(smoothed, 101, atol=1e-3)
        np.testing.assert_allclose(shifts, 0, atol=1e-3)
    else:
        assert smoothed.tolist() == [99], "integers are rounded now"
        np.testing.assert_allclose(np.abs(shifts), 0.99, atol=0.1, err_msg="integers are rounded now")
PROGRAM
