#!/usr/bin/env bash
# One would guess: `interpolate` of an image of bytes gives what the same image in float32 gives, rounded and cut to 0
# to 255.
#
# What happens: PyTorch enlarges in one direction, stores bytes, and enlarges these in the other. What overshoots 255 or
# 0 after the first step is cut off, and is missing in the second. mode="bilinear" has no overshoot.
#
# Seen with torch 2.14.1 on x86-64: two white pixels side by side in a black image of 4x4, enlarged to 12x12 by
# mode="bicubic", have 203 where float32 has 237. With mode="bilinear" both are equal.
#
# Why it matters: images are bytes until a step of preprocessing makes them floats, and it is a matter of taste whether
# this comes before the resize or after it. Around edges, as those of letters, the network sees other pixels than in
# training.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import torch
import torch.nn.functional as F

image = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
image[0, 0, 1, 1:3] = 255


def difference(mode):
    """The largest difference between bytes and rounded floats, and both at its place."""
    found = F.interpolate(image, size=(12, 12), mode=mode).flatten().int()
    exact = F.interpolate(image.float(), size=(12, 12), mode=mode).clamp(0, 255).round().flatten().int()
    place = (found - exact).abs().argmax()
    return abs(found - exact)[place].item(), found[place].item(), exact[place].item()


linear, cubic = difference("bilinear"), difference("bicubic")
print({"bilinear": linear, "bicubic": cubic})
assert linear[0] <= 2
assert cubic[0] > 20, "bytes are enlarged as floats are now"
PROGRAM
