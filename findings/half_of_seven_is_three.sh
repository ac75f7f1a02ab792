#!/usr/bin/env bash
# One would guess: `a / b` of two arrays of Blosc2 is that of NumPy, also for integers. The result says that it is
# float64.
#
# What happens: the quotient is computed in integers and made a float64 afterwards: 7 / 2 is 3.0. `divide` does the
# same. A quotient of two int32 is float32. `a / 2` and a quotient of floats are right.
#
# Seen with blosc2 4.14.1 and numpy 2.4.6: [7, 1, -7] / [2, 2, 2] is [3, 0, -3] in float64, and [3.5, 0.5, -3.5] in
# NumPy. In uint8, [255, 200] / [2, 255] is [127, 0]. The mean of a ramp divided by its maximum is 0.001 in place of
# 0.5.
#
# Why it matters: Blosc2 is where arrays too large for memory are prepared, and dividing pixels or counts by their
# maximum is the first step. All numbers below 1 become 0, in a type that looks right.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check blosc2==4.14.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import blosc2
import numpy as np

print("blosc2", blosc2.__version__)
for data_type, dividends, divisors, wrong in (
    (np.int64, [7, 1, -7], [2, 2, 2], [3, 0, -3]),
    (np.int32, [7, 1, -7], [2, 2, 2], [3, 0, -3]),
    (np.uint8, [255, 200], [2, 255], [127, 0]),
    (np.float64, [7, 1, -7], [2, 2, 2], [3.5, 0.5, -3.5]),
):
    first, second = (np.array(values, data_type) for values in (dividends, divisors))
    right = (first / second).tolist()
    for name, quotient in (
        ("/", blosc2.asarray(first) / blosc2.asarray(second)),
        ("divide", blosc2.divide(blosc2.asarray(first), blosc2.asarray(second))),
    ):
        print(name, data_type.__name__, quotient.dtype, quotient[:], "in NumPy", right)
        assert np.dtype(quotient.dtype).kind == "f"
        assert quotient[:].tolist() == wrong, "integers are divided as floats now"
by_a_number = (blosc2.asarray(np.int64([7, 1, -7])) / 2)[:].tolist()
assert by_a_number == [3.5, 0.5, -3.5]

ramp, largest = np.arange(1000), np.full(1000, 999)
mean = float((blosc2.asarray(ramp) / blosc2.asarray(largest))[:].mean())
print("mean of a ramp from 0 to 1:", mean, "in NumPy", (ramp / largest).mean())
assert mean == 0.001
PROGRAM
