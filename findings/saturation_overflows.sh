#!/usr/bin/env bash
# One would guess: saturate_cast gives the largest number of the type for everything beyond it. That is what it does instead of
# a cast.
#
# What happens: Keras on NumPy clips to the bounds of the integer type, written in the type of the input. As float32, the bound
# 2147483647 is 2147483648, which the cast that follows turns into the smallest int32.
#
# Seen with keras 3.15.1 on numpy 2.4.6, x86-64: saturate_cast of float32 [3e9, -3e9] to int32 is [-2147483648, -2147483648]. To
# uint8, [300, -300] is [255, 0], which is right. Keras on JAX gives [2147483647, -2147483648].
#
# Why it matters: it is used where numbers may be out of range. A large positive one becomes the most negative.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2 scipy==1.17.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import os

os.environ["KERAS_BACKEND"] = "numpy"

import keras
import numpy as np

wide = np.asarray(keras.ops.saturate_cast(np.array([3e9, -3e9], np.float32), "int32"))
narrow = np.asarray(keras.ops.saturate_cast(np.array([300, -300], np.float32), "uint8"))
print(wide, narrow)
np.testing.assert_array_equal(narrow, [255, 0])
np.testing.assert_array_equal(wide, [-(2**31), -(2**31)], "large numbers become the largest int32 now")
PROGRAM
