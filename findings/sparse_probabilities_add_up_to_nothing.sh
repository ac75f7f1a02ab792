#!/usr/bin/env bash
# One would guess: `sparsemax` gives probabilities, of which some are 0 and which add up to 1, as its paper defines it.
# Equal scores get equal shares.
#
# What happens: Keras adds up the cumulative sums of all scores above the threshold, where the definition takes the last of
# them. The threshold is right only if a single score gets everything, as in the example of its documentation.
#
# Seen with keras 3.15.1 on NumPy and on jax 0.10.2: four scores of 1 give four times 0 in place of 0.25. [0, 0.3, 0] gives
# [0.033, 0.333, 0.033] in place of [0.233, 0.533, 0.233].
#
# Why it matters: with close scores, which is where sparsemax differs from a choice of the largest, attention and gates
# become 0. A model with it trains and runs, and its layer passes nothing on.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    keras==3.15.1 jax==0.10.2 numpy==2.4.6

for backend in numpy jax; do
    KERAS_BACKEND=$backend "$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import keras
import numpy as np
from keras import ops


def defined(scores):
    """The projection onto the simplex, with the threshold found by bisection."""
    low, high = scores.min() - 1.0, scores.max()
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(scores - middle, 0).sum() > 1 else (low, middle)
    return np.maximum(scores - low, 0)


def of_keras(scores):
    return ops.convert_to_numpy(ops.sparsemax(scores))


equal, close, apart = (np.array(x, np.float32) for x in ([1, 1, 1, 1], [0, 0.3, 0], [-1, 0, 1]))
for scores in (equal, close, apart):
    print(keras.backend.backend(), scores, of_keras(scores), "by definition", defined(scores).round(3))
np.testing.assert_allclose(defined(equal), [0.25] * 4, atol=1e-6)
np.testing.assert_allclose(of_keras(apart), defined(apart), atol=1e-6)
assert of_keras(equal).sum() == 0, "equal scores share the probability now"
np.testing.assert_allclose(of_keras(close), [0.1 / 3, 1 / 3, 0.1 / 3], atol=1e-6)
PROGRAM
done
