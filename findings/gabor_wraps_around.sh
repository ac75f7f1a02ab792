#!/usr/bin/env bash
# One would guess: `filters.gabor` of scikit-image gives the response of an image of bytes in floats, as its other filters do,
# since a Gabor filter gives numbers on both sides of 0.
#
# What happens: the response has the type of the image. What is below 0 wraps around. `sobel`, `laplace` and
# `gaussian` convert bytes to floats between 0 and 1.
#
# Seen with scikit-image 0.26.0 and numpy 2.4.6: across a black stripe on a ground of 200, the real part of the response
# is [-0.7, -5.5, -2.9, 13.3, 18.1, -7.9, -28.1] up to the stripe in float64, and [0, 251, 254, 13, 18, 249, 228] in uint8.
#
# Why it matters: the magnitude of the response is how textures are told apart, and images are read as bytes. It is largest
# where the response is just below 0.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scikit-image==0.26.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
from skimage import filters

image = np.full((15, 15), 200, np.uint8)
image[:, 7] = 0
of_bytes, of_floats = (filters.gabor(x, frequency=0.2)[0] for x in (image, image.astype(np.float64)))
print(of_bytes.dtype, of_bytes[7].tolist())
print(of_floats.dtype, of_floats[7].round(1).tolist())
for name in ("sobel", "laplace", "gaussian"):
    first, second = (getattr(filters, name)(x) for x in (image, image / 255))
    assert first.dtype == np.float64
    np.testing.assert_allclose(first, second, atol=1e-12)
assert of_floats.dtype == np.float64 and abs(of_floats[7, 7] + 28.1) < 0.1
assert of_bytes.dtype == np.uint8 and of_bytes[7, 7] == 228, "the response is in floats now"
PROGRAM
