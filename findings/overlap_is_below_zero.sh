#!/usr/bin/env bash
# One would guess: `box_iou` of torchvision, which takes boxes of integers and gives a float, is between 0 and 1.
# Smaller integers and half precision are converted to larger types for that purpose.
#
# What happens: int32 stays int32, and areas wrap around from 46341 by 46341 on. Its sum with another area may be
# negative, or 0.
#
# Seen with torchvision 0.29.1 and torch 2.14.1: the overlap of a box of 50000 by 50000 with its upper half is -0.70 in
# int32, and 0.5 in float32 and int64. For 65536 by 65536 it is -infinity. `generalized_box_iou` and `distance_box_iou`
# err as well.
#
# Why it matters: slides of pathology and satellite images have sides of 100,000 pixels, and boxes in pixels are
# integers. An overlap below 0 means that a hit counts as a miss.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import torch
import torchvision
from torchvision import ops

print("torchvision", torchvision.__version__)
for side, right in ((40000, 0.5), (50000, None), (65536, None)):
    seen = {}
    for data_type in (torch.float32, torch.int64, torch.int32):
        whole = torch.tensor([[0, 0, side, side]]).to(data_type)
        half = torch.tensor([[0, 0, side, side // 2]]).to(data_type)
        seen[data_type] = float(ops.box_iou(whole, half))
        generalized = float(ops.generalized_box_iou(whole, half))
        print(side, data_type, seen[data_type], "generalized", generalized)
        if data_type != torch.int32 or right is not None:
            assert abs(seen[data_type] - 0.5) < 1e-6 and abs(generalized - 0.5) < 1e-6
        else:
            assert not generalized >= 0, "areas have more bits now"
    assert right is not None or seen[torch.int32] < 0, "areas have more bits now"
PROGRAM
