#!/usr/bin/env bash
# One would guess: `max(a)` and `min(a)` in NumExpr give NaN if `a` has one, as NumPy's do and as NumExpr's own
# `maximum(a, b)` does for its elements, and as `sum(a)` does.
#
# What happens: the reductions overlook NaN, unless there is nothing else.
#
# Seen with numexpr 2.14.2: the maximum of [1, NaN, 3] is 3 and its minimum 1; `maximum(a, 2)` is [2, NaN, 3] and
# `sum(a)` NaN. Of [NaN] alone, the maximum is NaN.
#
# Why it matters: an expression is moved from NumPy to NumExpr to make it faster. A check for NaN by the maximum passes
# from then on, and a range for a scale is taken from what is left.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numexpr==2.14.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numexpr
import numpy as np


def reduced(expression, *numbers):
    return numexpr.evaluate(expression, {"a": np.array(numbers)}).tolist()


nan = np.nan
largest = [reduced("max(a)", *numbers) for numbers in ((1, nan, 3), (nan, 1, 3), (1, 3, nan))]
least = [reduced("min(a)", *numbers) for numbers in ((1, nan, 3), (nan, 1, 3), (1, 3, nan))]
others = reduced("maximum(a, 2)", 1, nan, 3), reduced("sum(a)", 1, nan, 3), reduced("max(a)", nan)
print(largest, least, others)
np.testing.assert_array_equal(others[0], [2, nan, 3])
assert np.isnan(others[1]) and np.isnan(others[2]) and np.isnan(np.max([1, nan, 3]))
assert largest == [3, 3, 3], "the maximum sees NaN now"
assert least == [1, 1, 1], "the minimum sees NaN now"
PROGRAM
