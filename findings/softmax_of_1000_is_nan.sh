#!/usr/bin/env bash
# One would guess: `softmax` of Awkward Array subtracts the maximum before the exponential, as the one of every other
# library does. The softmax of [1000, 1000] is [0.5, 0.5].
#
# What happens: it divides the exponentials by their sum. The exponential of 710 is infinite in float64, and that of 89
# in float32; infinity divided by infinity is NaN. Where all numbers are far below 0 it is 0 / 0.
#
# Seen with awkward 2.14.0 and numpy 2.4.6: NaN for [1000, 1000] and [-1000, -1000] in float64, [NaN, 0] for [89, 0] in
# float32. SciPy 1.17.1 gives [0.5, 0.5] and [1, 0].
#
# Why it matters: ragged scores, of the particles of an event or the tokens of a sentence, are what the library is for,
# and attention masks with -10000 hide whole rows. NumPy warns once, and the NaN go on.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check awkward==2.14.0 scipy==1.17.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import awkward
import numpy as np
from scipy import special

print("awkward", awkward.__version__)
for data_type, scores in (
    (np.float64, [1, 2]),
    (np.float64, [1000, 1000]),
    (np.float64, [-1000, -1000]),
    (np.float32, [89, 0]),
):
    scores = np.array(scores, data_type)
    seen = np.asarray(awkward.softmax(awkward.Array(scores[None]), axis=-1))[0]
    right = special.softmax(scores.astype(np.float64))
    print(data_type.__name__, scores.tolist(), seen.tolist(), "in SciPy", right.tolist())
    if scores[1] == 2:
        np.testing.assert_allclose(seen, right)
    else:
        assert np.isnan(seen[0]) and not np.isnan(right).any(), "the maximum is subtracted now"
PROGRAM
