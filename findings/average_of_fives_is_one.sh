#!/usr/bin/env bash
# One would guess: the average of a plane of fives is 5, also in the last window, which `ceil_mode=True` lets reach beyond
# the end. PyTorch says that such a window is divided by what is there.
#
# What happens: pnnx writes the pool with the flag that counts padding, since that is PyTorch's default, and ncnn takes what
# is beyond the end for padding too.
#
# Seen with ncnn 1.0.20261020, pnnx 20261020 and torch 2.13.0: windows of 2x2 over a plane of 3x3 fives give [[5, 5], [5,
# 5]] in PyTorch and [[5, 2.5], [2.5, 1.25]] in ncnn. With count_include_pad=False both give 5.
#
# Why it matters: detectors and residual networks shrink planes in this way, and lose their right and lower border for sizes
# that the window does not divide. With the others the test passes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.13.0 ncnn==1.0.20261020 pnnx==20261020 numpy==2.4.6
cd "$folder"

"$folder/venv/bin/python" -W ignore - > "$folder/log" 2>&1 <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import ncnn
import numpy as np
import pnnx
import torch

plane = torch.full((1, 1, 3, 3), 5.0)


def both(**options):
    pool = torch.nn.AvgPool2d(2, 2, ceil_mode=True, **options).eval()
    pnnx.export(pool, "pool.pt", plane)
    net = ncnn.Net()
    assert net.load_param("pool.ncnn.param") == 0 and net.load_model("pool.ncnn.bin") == 0
    extractor = net.create_extractor()
    extractor.input("in0", ncnn.Mat(plane[0].numpy()).clone())
    return pool(plane)[0, 0].tolist(), np.array(extractor.extract("out0")[1])[0].tolist()


(expected, seen), (_, without) = both(), both(count_include_pad=False)
print("SEEN PyTorch", expected, "ncnn", seen, "with count_include_pad=False", without)
assert expected == without == [[5, 5], [5, 5]]
assert seen == [[5, 2.5], [2.5, 1.25]], "what is beyond the end does not count now"
PROGRAM
grep SEEN "$folder/log"
