#!/usr/bin/env bash
# One would guess: `to_dtype(image, torch.uint8, scale=True)` of torchvision makes 1.0, which is white, 255, from any
# type of floats.
#
# What happens: it multiplies by 255.999 and cuts off the fraction. In float16 and bfloat16 255.999 is 256, which wraps
# around to 0. In float32 the same happens to uint16, where 65535.999 is 65536. There is a check for int32 and int64,
# for float32 alone.
#
# Seen with torchvision 0.29.1 and torch 2.14.1: 1.0 becomes 0 in uint8 and -128 in int8 from float16 and bfloat16, 0 in
# uint16 from float32, and the smallest int32 from float16, as 0.25 does. 0.99 is 253. `to_pil_image` and `save_image`
# give 255. `convert_image_dtype` is the same.
#
# Why it matters: models give images in half precision, and `to_dtype` is the way back to bytes. Only what is fully
# white is wrong, and it is black.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import torch
import torchvision
from torchvision.transforms.functional import convert_image_dtype
from torchvision.transforms.v2.functional import to_dtype

print("torchvision", torchvision.__version__)
for source, target, white in (
    (torch.float32, torch.uint8, 255),
    (torch.float64, torch.uint16, 65535),
    (torch.float16, torch.uint8, 0),
    (torch.bfloat16, torch.uint8, 0),
    (torch.float16, torch.int8, -128),
    (torch.float32, torch.uint16, 0),
    (torch.float16, torch.int32, -(2**31)),
):
    shades = torch.tensor([0.0, 0.5, 0.99, 1.0], dtype=source)
    seen = to_dtype(shades, target, scale=True).tolist()
    print(source, target, seen)
    assert convert_image_dtype(shades, target).tolist() == seen
    assert seen[-1] == white, "white stays white now"
    assert target == torch.int32 or 0.98 < seen[2] / torch.iinfo(target).max < 1
try:
    to_dtype(torch.ones(1), torch.int32, scale=True)
except RuntimeError as error:
    print("float32 to int32:", error)
else:
    raise AssertionError("float32 is converted to int32 now")
PROGRAM
