#!/usr/bin/env bash
# One would guess: np.sort puts NaN last, as its documentation says, and sorts all other numbers.
#
# What happens: in the types of ml_dtypes, NaN stays where it is, and the numbers before it and behind it are sorted apart from
# each other. A comparison with NaN is false, and the sort takes that for "in order".
#
# Seen with ml_dtypes 0.6.0 and numpy 2.4.6: [5, 2, NaN, 3, 1, 4] becomes [2, 5, NaN, 1, 3, 4] in bfloat16 and float8_e4m3fn, and
# [1, 2, 3, 4, 5, NaN] in float16.
#
# Why it matters: unique, argsort, partition and percentiles of an array with one NaN are wrong without a sign, and so is a
# binary search in the result.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ml_dtypes==0.6.0 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import ml_dtypes
import numpy as np

numbers = np.array([5, 2, np.nan, 3, 1, 4], np.float32)
seen = {
    np.dtype(dtype).name: np.sort(numbers.astype(dtype)).astype(np.float32).tolist()
    for dtype in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, np.float16)
}
print(seen)
np.testing.assert_array_equal(seen["float16"], [1, 2, 3, 4, 5, np.nan])
np.testing.assert_array_equal(seen["bfloat16"], [2, 5, np.nan, 1, 3, 4], "bfloat16 is sorted now")
np.testing.assert_array_equal(seen["float8_e4m3fn"], [2, 5, np.nan, 1, 3, 4], "float8 is sorted now")
PROGRAM
