#!/usr/bin/env bash
# One would guess: `resize` of torchvision with bicubic interpolation limits what goes beyond the range of an image in
# uint16 to that range, as it does for uint8.
#
# What happens: the image is resized in float32 and converted back. The bounds are enforced for uint8 only. Beside an
# edge, where a cubic goes beyond both sides, the result wraps around: white turns black and black white.
#
# Seen with torchvision 0.29.1 and torch 2.14.1: an edge from 0 to 65535 in uint16, twice as large, becomes 0, 64001,
# 60929, 13311, 52223, 4606, 1534, 65535. In uint8 it is 0, 0, 0, 52, 203, 255, 255, 255. In int16 it wraps around, too.
#
# Why it matters: depth maps, X-rays and satellite images have 16 bits. The specks beside edges look like noise of the
# sensor, and with them the contrast of the whole image changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import torch
import torchvision
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

print("torchvision", torchvision.__version__)


def enlarged(white, data_type, antialias):
    edge = torch.tensor([[[0] * 3 + [white] * 3] * 6]).to(data_type)
    return resize(edge, [12, 12], InterpolationMode.BICUBIC, antialias=antialias)[0, 6].to(torch.int64)


for antialias in (True, False):
    in_bytes = enlarged(255, torch.uint8, antialias)
    right = enlarged(65535, torch.float64, antialias).clip(0, 65535)
    seen = enlarged(65535, torch.uint16, antialias)
    signed = enlarged(32767, torch.int16, antialias)
    print("antialias", antialias, in_bytes.tolist(), seen.tolist(), "in float64", right.tolist())
    assert (in_bytes.diff() >= 0).all()
    assert abs(seen[5:7] - right[5:7]).max() < 2
    assert (abs(seen - right) > 50000).sum() >= 4, "bounds are enforced for uint16 now"
    assert (signed[6:] < 0).any(), "bounds are enforced for int16 now"
PROGRAM
