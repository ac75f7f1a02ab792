#!/usr/bin/env bash
# One would guess: a window of `lp_pool1d` that holds nothing but a 5 has the norm 5.
#
# What happens: with ceil_mode=True, the last window may reach beyond the end. PyTorch computes the average of the
# powers over what is there and multiplies it by the size of the whole window: the numbers at the border are counted
# several times.
#
# Seen with torch 2.14.1: of [3, 4, 3, 4, 5] in windows of two, the norms are [5, 5, 7.07]. Of a plane of 3x3 values of
# 5 in windows of 2x2, all four are 10, also that of the corner, which holds one of them.
#
# Why it matters: the last row and the last column of a feature map are too large by a factor of up to two, for sizes
# that the window does not divide.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import math

import torch
import torch.nn.functional as F

row = torch.tensor([[[3.0, 4, 3, 4, 5]]])
norms = F.lp_pool1d(row, 2, 2, ceil_mode=True)[0, 0].tolist()
plane = F.lp_pool2d(torch.full((1, 1, 3, 3), 5.0), 2, 2, ceil_mode=True)[0, 0].tolist()
padded = F.lp_pool1d(F.pad(row, (0, 1)), 2, 2)[0, 0].tolist()
print(norms, plane, padded)
assert padded == [5, 5, 5] and norms[:2] == [5, 5]
assert math.isclose(norms[2], math.sqrt(50), rel_tol=1e-5), "the norm of the last window is right now"
assert plane == [[10, 10], [10, 10]], "the norms at the border are right now"
PROGRAM
