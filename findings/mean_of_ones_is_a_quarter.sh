#!/usr/bin/env bash
# One would guess: a mean of small types is computed in a larger one, as NumPy's mean of float16 and of int8 is.
#
# What happens: NumPy knows nothing of the types of ml_dtypes, and adds each number up in the type itself. A sum of bfloat16 ones
# stops at 256, and a sum of int4 wraps around.
#
# Seen with ml_dtypes 0.6.0 and numpy 2.4.6: the mean of 1000 ones is 0.256 in bfloat16, 0.0156 in float8_e4m3fn, and 1 in
# float16. The mean of ten 7s is 0 in int4, and 7 in int8. mean(dtype=np.float32) is right.
#
# Why it matters: bfloat16 and int4 arrays are the weights of models. Their means, norms and scales are the first that one
# computes of them.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ml_dtypes==0.6.0 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import ml_dtypes
import numpy as np

ones, sevens = np.ones(1000), np.full(10, 7)
means = {name: float(ones.astype(name).mean()) for name in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, np.float16)}
whole = {name: float(sevens.astype(name).mean()) for name in (ml_dtypes.int4, np.int8)}
print({np.dtype(name).name: mean for name, mean in {**means, **whole}.items()})
assert means[np.float16] == 1 and whole[np.int8] == 7
assert ones.astype(ml_dtypes.bfloat16).mean(dtype=np.float32) == 1
assert abs(means[ml_dtypes.bfloat16] - 0.256) < 0.001, "the mean of bfloat16 is right now"
assert means[ml_dtypes.float8_e4m3fn] < 0.02, "the mean of float8 is right now"
assert whole[ml_dtypes.int4] == 0, "the mean of int4 is right now"
PROGRAM
