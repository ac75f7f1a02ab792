#!/usr/bin/env bash
# One would guess: `grid_sample` with padding_mode="reflection" reflects a place as often as it takes to be in the image, as
# PyTorch documents it, also in a model that pnnx converts.
#
# What happens: ncnn reflects once at each end, and takes what is still outside to the border.
#
# Seen with ncnn 1.0.20261020, pnnx 20261020 and torch 2.13.0: in the row [1, 2, 3, 4], the places -3, 2.5, 3.4 and 5 of a
# grid are [4, 1.5, 1.3, 4] in PyTorch and [4, 1.5, 1, 1] in ncnn. Places from -3 to 3 agree.
#
# Why it matters: optical flow and warps of whole images go further than the width of a small feature map. The far part
# becomes a stripe of one colour, where it was a picture.
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

row = torch.tensor([[[[1.0, 2, 3, 4]]]])
grid = torch.tensor([[[[x, 0.0] for x in (-3.0, 2.5, 3.4, 5.0)]]])


class Sampled(torch.nn.Module):
    def forward(self, image, places):
        return torch.nn.functional.grid_sample(image, places, padding_mode="reflection", align_corners=False)


pnnx.export(Sampled().eval(), "sampled.pt", (row, grid))
net = ncnn.Net()
assert net.load_param("sampled.ncnn.param") == 0 and net.load_model("sampled.ncnn.bin") == 0
extractor = net.create_extractor()
extractor.input("in0", ncnn.Mat(row[0].numpy()).clone())
extractor.input("in1", ncnn.Mat(grid[0].numpy()).clone())
expected, seen = Sampled()(row, grid).numpy().ravel(), np.array(extractor.extract("out0")[1]).ravel()
print("SEEN PyTorch", expected, "ncnn", seen)
np.testing.assert_allclose(expected, [4, 1.5, 1.3, 4], rtol=1e-5)
np.testing.assert_allclose(seen, [4, 1.5, 1, 1], rtol=1e-5, err_msg="places are reflected as often as needed now")
PROGRAM
grep SEEN "$folder/log"
