#!/usr/bin/env bash
# One would guess: `a % b`, `remainder` and `round` of Blosc2 are those of NumPy and of the array API standard, which
# its documentation refers to: a remainder has the sign of the divisor, and halves are rounded to even numbers.
#
# What happens: they are computed as by `fmod` and `round` of C. A remainder has the sign of the dividend, and halves
# are rounded away from 0. `//` rounds down, as in NumPy, so that a quotient and its remainder do not fit together.
#
# Seen with blosc2 4.14.1 and numpy 2.4.6: -7 % 3 is -1 for int32, int64 and float64, and 2 in NumPy; -7 // 3 is -3 in
# both, and -3 * 3 - 1 is -10. `round` of [0.5, 1.5, 2.5] is [1, 2, 3], and [0, 2, 2] in NumPy.
#
# Why it matters: angles, hours and positions in a ring are wrapped by a remainder, and the negative ones stay negative.
# Rounding halves up moves the mean of quantized numbers.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check blosc2==4.14.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import blosc2
import numpy as np

print("blosc2", blosc2.__version__)
for data_type in (np.int32, np.int64, np.float64):
    first, second = np.array([-7, 7], data_type), np.array([3, -3], data_type)
    arrays = blosc2.asarray(first), blosc2.asarray(second)
    remainders = [(arrays[0] % arrays[1])[:].tolist(), blosc2.remainder(*arrays)[:].tolist()]
    quotients = (arrays[0] // arrays[1])[:].tolist()
    print(data_type.__name__, remainders, quotients, "in NumPy", first % second, first // second)
    assert (first % second).tolist() == [2, -2]
    assert quotients == (first // second).tolist() == [-3, -3]
    assert remainders == [[-1, 1], [-1, 1]], "the remainder has the sign of the divisor now"
halves = np.array([0.5, 1.5, 2.5])
rounded = blosc2.round(blosc2.asarray(halves))[:].tolist()
print("round", halves.tolist(), rounded, "in NumPy", np.round(halves).tolist())
assert np.round(halves).tolist() == [0, 2, 2]
assert rounded == [1, 2, 3], "halves are rounded to even numbers now"
PROGRAM
