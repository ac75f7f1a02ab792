#!/usr/bin/env bash
# One would guess: `cumulative_prod` of ndonnx multiplies the numbers, so that a product of integers is an integer, and one
# of negative numbers has a sign.
#
# What happens: ONNX has no such operator, so ndonnx adds up logarithms and takes the exponential of the sums. Integers are
# cut, and the logarithm of a negative number is NaN, which is the smallest integer as an integer.
#
# Seen with ndonnx 0.23.0 and onnxruntime 1.32.0: of 1, 2, 3, 4, 5 the products are 1, 2, 6, 23, 119, and those of 3, 5, 7 are
# 2, 14, 104. Of 2, -3, 4 in float32 they are 2, NaN, NaN. `prod` is right.
#
# Why it matters: ndonnx runs code for arrays eagerly and exports it as a model with the same operators. Strides, and sizes of
# what is left after some axes, are cumulative products of a shape, and one less than the size is an error or a lost row.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    ndonnx==0.23.0 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import ndonnx
import numpy as np


def both(numbers):
    """The products in ndonnx and in NumPy, and the last one by itself in ndonnx."""
    x = ndonnx.asarray(numbers)
    seen, whole = ndonnx.cumulative_prod(x).unwrap_numpy(), ndonnx.prod(x).unwrap_numpy()
    expected = np.cumulative_prod(numbers)
    print(numbers.dtype, numbers.tolist(), seen.tolist(), "in NumPy", expected.tolist(), "and at once", whole.item())
    assert whole == expected[-1]
    return seen.tolist(), expected.tolist()


for numbers, wrong in (([1, 2, 3, 4, 5], [1, 2, 6, 23, 119]), ([3, 5, 7], [2, 14, 104])):
    seen, expected = both(np.array(numbers))
    assert seen != expected and seen == wrong, "integers are multiplied now"
seen, expected = both(np.float32([2, -3, 4]))
assert expected == [2, -6, -24]
assert seen[0] == 2 and np.isnan(seen[1:]).all(), "negative numbers have products now"
np.testing.assert_allclose(*both(np.float32([2, 0.5, 4])), rtol=1e-6)
PROGRAM
