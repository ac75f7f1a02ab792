#!/usr/bin/env bash
# One would guess: the mean of integers lies between the smallest and the largest of them. It is a float32 in MLX, which
# can hold it.
#
# What happens: MLX adds int32 up in int32, where the sum wraps around, and divides what is left. uint32 and int64 do the
# same at their ends. A variance takes the wrong mean.
#
# Seen with mlx 0.32.4 on the CPU: the mean of two 2000000000 is -147483648, and their variance 4.6e18 instead of 0. NumPy
# 2.4.6 has 2e9 and 0.
#
# Why it matters: times in seconds are near 2e9 and become int32 in MLX, whose arrays of Python integers have that type.
# Sums of pixels reach the limit, too. A mean outside of its data is not what one looks for.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "mlx[cpu]==0.32.4" numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import mlx.core as mx
import numpy as np

numbers = np.array([2_000_000_000, 2_000_000_000], np.int32)
mean, variance = mx.mean(mx.array(numbers)).item(), mx.var(mx.array(numbers)).item()
print(mean, variance, numbers.mean(), numbers.var())
assert mx.mean(mx.array(numbers)).dtype == mx.float32
assert mx.mean(mx.array(numbers).astype(mx.float32)).item() == 2e9
assert abs(mx.mean(mx.array([200] * 1000, dtype=mx.uint8)).item() - 200) < 0.01
assert abs(mean + 147483648) < 100, "the mean lies between the numbers now"
assert variance > 4e18, "the variance of equal numbers is 0 now"
PROGRAM
