#!/usr/bin/env bash
# One would guess: `np.nan_to_num` replaces NaN and infinities in an array of bfloat16, or refuses the type.
#
# What happens: it returns the array as it is. NumPy does not count the types of ml_dtypes as inexact numbers, and takes them
# for integers, which have no NaN. `np.isnan` and `np.isinf` do find them.
#
# Seen with numpy 2.4.6 and ml_dtypes 0.6.0: [NaN, infinity, -infinity, 1] stays as it is in bfloat16, float8_e5m2 and
# float8_e4m3fn (which has no infinity), also with `nan=0.0`. In float16 it becomes [0, 65504, -65504, 1].
#
# Why it matters: the call stands where results or gradients are made safe before they are added up or written. One NaN that
# is left makes each sum over it NaN.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 ml_dtypes==0.6.0

"$folder/venv/bin/python" - <<'PROGRAM'
import ml_dtypes
import numpy as np

numbers = [np.nan, np.inf, -np.inf, 1]
cleaned = np.nan_to_num(np.array(numbers, np.float16))
assert cleaned.tolist() == [0, 65504, -65504, 1]
for name in ("bfloat16", "float8_e5m2", "float8_e4m3fn"):
    array = np.array(numbers, np.float32).astype(getattr(ml_dtypes, name))
    result = np.nan_to_num(array, nan=0.0)
    print(name, array, result)
    assert np.isnan(array[0])
    assert result.tobytes() == array.tobytes(), f"NaN is replaced in {name} now"
PROGRAM
