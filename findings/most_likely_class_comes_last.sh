#!/usr/bin/env bash
# One would guess: `softmax` of SciPy takes scores in int8 or uint8, as a quantized model gives them, for the numbers
# they are.
#
# What happens: the maximum is subtracted in eight bits, where the difference wraps around: 5 - 250 is 11. The
# exponential is taken in float16, so that it is infinite from 12 on. What is far below the maximum counts most, or all
# is NaN.
#
# Seen with scipy 1.17.1 and numpy 2.4.6: the softmax of [0, 5, 250] in uint8 is [0.007, 0.993, 0.00002], and [0, 0, 1]
# in float64. That of [125, -125] in int8 is [0.002, 0.998]. That of [10, 20, 30] in uint8 is [NaN, NaN, 0], and
# `log_softmax` is -infinity for each. In int32 all are right, and so is `logsumexp` in all types.
#
# Why it matters: models quantized to eight bits end in such scores, and their softmax is left to the caller. The least
# likely class comes out as almost sure.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scipy==1.17.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
from scipy import __version__, special

print("scipy", __version__)
for data_type, scores, wrong in (
    (np.uint8, [0, 5, 250], [0.007, 0.993, 0]),
    (np.int8, [125, -125], [0.002, 0.998]),
    (np.uint8, [10, 20, 30], [np.nan, np.nan, 0]),
):
    right, seen = special.softmax(np.float64(scores)), special.softmax(np.array(scores, data_type))
    logarithms = special.log_softmax(np.array(scores, data_type))
    print(data_type.__name__, scores, seen, "in float64", right.round(6), "log_softmax", logarithms)
    np.testing.assert_allclose(special.softmax(np.int32(scores)), right)
    np.testing.assert_allclose(special.logsumexp(data_type(scores)), special.logsumexp(np.float64(scores)))
    assert right[np.argmax(scores)] > 0.9999
    np.testing.assert_allclose(seen, wrong, atol=1e-3, err_msg="the maximum is subtracted in more bits now")
assert np.isneginf(special.log_softmax(np.uint8([10, 20, 30]))).all()
PROGRAM
