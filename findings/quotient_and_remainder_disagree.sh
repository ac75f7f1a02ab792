#!/usr/bin/env bash
# One would guess: a // b * b + a % b is a, to the last digits: that is what the two are for. NumPy, PyTorch, JAX and
# Python take care of it.
#
# What happens: MLX rounds a / b down, after the division has rounded it up to a whole number, and takes the remainder
# from the exact quotient. `divmod` returns the pair. -1 // infinity is 0 where it should be -1.
#
# Seen with mlx 0.32.4 on the CPU: 6 // 0.1 is 60 and 6 % 0.1 is 0.0999999 in float32, which make 6.1. NumPy 2.4.6 says 59
# and 0.0999999.
#
# Why it matters: the number of a frame and the time in it, or a cell and the place in it, are such a pair. A point lands
# in the next cell, at its far end: off by a whole cell.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "mlx[cpu]==0.32.4" numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import mlx.core as mx
import numpy as np

a, b = np.float32([1, 0.5, 6]), np.float32([0.1, 0.1, 0.1])
quotients, remainders = (np.array(part) for part in mx.divmod(mx.array(a), mx.array(b)))
print(quotients, remainders, np.divmod(a, b))
np.testing.assert_array_equal(np.array(mx.array(a) // mx.array(b)), quotients)
np.testing.assert_allclose(np.floor_divide(a, b) * b + np.remainder(a, b), a, rtol=1e-6)
np.testing.assert_allclose(remainders, np.remainder(a, b), rtol=1e-6)
assert np.floor_divide(a, b).tolist() == [9, 4, 59]
assert quotients.tolist() == [10, 5, 60], "the quotients belong to the remainders now"
PROGRAM
