#!/usr/bin/env bash
# One would guess: `ImageStat.Stat` gives the mean of an image in the unit of its pixels.
#
# What happens: it sums up the histogram, which has 256 bins for every mode. For images of floats and of 32-bit integers these
# lie between the smallest and the largest pixel, but count as 0 to 255. `mean`, `median`, `rms`, `sum` and `stddev` come from
# them.
#
# Seen with pillow 13.0.0: the mean of [0.1, 0.3] in mode "F" is 127.5, and so is that of [1000, 3000] in mode "I". `extrema`
# is right.
#
# Why it matters: images are normalized with these numbers before inference. For pixels of 8 bits they are right, so that the
# error comes with the first image of another kind.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
from PIL import Image, ImageStat

seen = {}
for pixels in (np.array([[10, 30]], np.uint8), np.array([[0.1, 0.3]], np.float32), np.array([[1000, 3000]], np.int32)):
    image = Image.fromarray(pixels)
    statistics = ImageStat.Stat(image)
    seen[image.mode] = (pixels.mean().item(), statistics.mean[0])
    np.testing.assert_allclose(image.getextrema(), (pixels.min(), pixels.max()))
print(seen)
assert seen["L"] == (20, 20)
assert seen["F"][1] == seen["I"][1] == 127.5, "the mean is that of the pixels now"
PROGRAM
