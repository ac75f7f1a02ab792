#!/usr/bin/env bash
# One would guess: an image of 16 bits in which all pixels are 60000 is 60000 everywhere after it was rotated.
#
# What happens: Pillow interpolates between the two bytes of a pixel as if they were pixels, and the results are below 256.
# `rotate` and `transform` with bilinear or bicubic filters do so in mode "I;16". The nearest filter, mode "I" and `resize`
# are right.
#
# Seen with pillow 13.0.0: the middle row of 9x9 pixels of 60000, rotated by 30 degrees, is [169, 178, 132, 215, 96, 215, 132,
# 178, 169].
#
# Why it matters: depth maps and medical images have 16 bits and are turned for augmentation. A picture of noise in the range
# of 8 bits does not raise any error on its way into the model.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
from PIL import Image


def rotated(dtype, resample):
    image = Image.fromarray(np.full((9, 9), 60000, dtype))
    return image.mode, np.asarray(image.rotate(30, resample=resample))[4].tolist()


constant = [60000] * 9
filters = (Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
seen = {resample.name: rotated(np.uint16, resample) for resample in filters}
print(seen)
assert seen["NEAREST"] == ("I;16", constant)
for resample in filters[1:]:
    assert rotated(np.int32, resample) == ("I", constant)
    assert max(rotated(np.uint16, resample)[1]) < 256, f"{resample.name} keeps the pixels now"
assert seen["BILINEAR"][1] == [169, 178, 132, 215, 96, 215, 132, 178, 169]
PROGRAM
