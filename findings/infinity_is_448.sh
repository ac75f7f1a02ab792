#!/usr/bin/env bash
# One would guess: PyTorch and ml_dtypes, with which JAX and NumPy compute, agree on what a number beyond the range of
# float8_e4m3fn becomes.
#
# What happens: PyTorch takes the largest number of the type, also for infinity. ml_dtypes takes NaN. For the other float8
# types they agree: infinity in e5m2, NaN in e4m3fnuz and e5m2fnuz. In float8_e8m0fnu, which has neither sign nor zero,
# PyTorch drops the sign of -2 and makes 0 the smallest number, and ml_dtypes gives NaN for both.
#
# Seen with torch 2.14.1 and ml_dtypes 0.6.0: [500, infinity, -infinity] is [448, 448, -448] in float8_e4m3fn by PyTorch, and
# [NaN, NaN, NaN] by ml_dtypes; [-2, 0] in float8_e8m0fnu is [2, 5.9e-39], and [NaN, NaN]. ONNX's `Cast` has an attribute to
# choose.
#
# Why it matters: an overflow that one framework shows as NaN is a plausible number in the other. Weights that were quantized
# by one differ from those of the other, and a scale can change its sign.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 ml_dtypes==0.6.0 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import ml_dtypes
import numpy as np
import torch


def cast(name, numbers):
    """The numbers in the type, by PyTorch and by ml_dtypes."""
    by_torch = torch.tensor(numbers).to(getattr(torch, name)).float().numpy()
    return by_torch, np.array(numbers, np.float32).astype(getattr(ml_dtypes, name)).astype(np.float32)


beyond = [500, np.inf, -np.inf]
for name in ("float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"):
    np.testing.assert_array_equal(*cast(name, beyond))
saturated, invalid = cast("float8_e4m3fn", beyond)
positive, refused = cast("float8_e8m0fnu", [-2, 0, 4])
print(saturated, invalid, positive, refused)
assert np.isnan(invalid).all() and np.isnan(refused[:2]).all() and refused[2] == 4
assert saturated.tolist() == [448, 448, -448], "infinity is no number in PyTorch now"
assert positive.tolist() == [2, 2**-127, 4]
PROGRAM
