#!/usr/bin/env bash
# One would guess: no byte equals 300 or -1, and a comparison with such a number says so, as NumPy's does, or raises an
# error, as torch's own `clamp` does.
#
# What happens: PyTorch takes the number modulo 256 before it compares. 300 is 44, and -1 is 255, and no byte is greater
# than that. `torch.isin` does the same. A tensor of no dimensions counts as a number, and one with a dimension is
# compared as it is.
#
# Seen with torch 2.14.1: of [44, 255, 1] in uint8, 44 == 300 and 255 == -1 are true, none is > -1, and only 1 is < 300.
# In int8, -128 < 128 is false.
#
# Why it matters: masks and labels are bytes, in which 255 stands for "not known" and -1 means the same in int64.
# `labels != -1` leaves out what is not known and `labels > -1` leaves out everything; no error is raised.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
import torch

labels = np.array([44, 255, 1], np.uint8)
there = torch.from_numpy(labels)
seen = {
    "== 300": there == 300,
    "== -1": there == -1,
    "> -1": there > -1,
    "< 300": there < 300,
    "isin 300": torch.isin(there, 300),
    "no dimensions": there == torch.tensor(300),
    "one dimension": there == torch.tensor([300]),
}
print({name: result.tolist() for name, result in seen.items()})
assert not (labels == 300).any() and not (labels == -1).any() and (labels > -1).all() and (labels < 300).all()
assert not seen["one dimension"].any()
assert seen["== 300"].tolist() == [True, False, False], "300 is no byte now"
assert seen["isin 300"].tolist() == seen["no dimensions"].tolist() == [True, False, False]
assert seen["== -1"].tolist() == [False, True, False], "-1 is no byte now"
assert seen["> -1"].tolist() == [False, False, False] and seen["< 300"].tolist() == [False, False, True]
assert (torch.tensor([-128], dtype=torch.int8) < 128).tolist() == [False]
PROGRAM
