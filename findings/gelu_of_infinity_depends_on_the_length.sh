#!/usr/bin/env bash
# One would guess: gelu of infinity is infinity, as its formula and a limit say, whether the tensor has one number or
# four, and in float64 as in float32.
#
# What happens: PyTorch on the CPU gives NaN for float32, except for a tensor of one number. In float64, and by tanh, it
# gives infinity.
#
# Seen with torch 2.14.1 on x86-64: gelu of [infinity] is infinity, and that of four of them is NaN; [infinity] * 4 in
# float64 is infinity.
#
# Why it matters: an overflow shows as infinity, which a clamp after the activation bounds. NaN passes through the clamp,
# and whether it does depends on the batch. JAX and onnxruntime give infinity.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.14.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import math

import torch

gelu = torch.nn.functional.gelu
short, long = (gelu(torch.full((length,), math.inf)) for length in (1, 32))
double = gelu(torch.full((32,), math.inf, dtype=torch.float64))
by_tanh = gelu(torch.full((32,), math.inf), approximate="tanh")
print(short, long[:4], double[:4], by_tanh[:4])
assert short.isposinf().all() and double.isposinf().all() and by_tanh.isposinf().all()
assert gelu(torch.full((32,), 1e30)).isfinite().all()
assert long.isnan().all(), "gelu of infinity is infinity now"
PROGRAM
