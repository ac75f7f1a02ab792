#!/usr/bin/env bash
# One would guess: `pad` of Keras in mode "symmetric", which its documentation lists for PyTorch too, mirrors the numbers at
# the border, as NumPy's mode of that name does.
#
# What happens: on PyTorch, Keras takes "replicate" for it: the last number is repeated. Both are equal for a padding of 1.
#
# Seen with keras 3.15.1 and torch 2.13.0: [1, 2, 3] padded by 2 is [1, 1, 1, 2, 3, 3, 3] on PyTorch, and [2, 1, 1, 2, 3, 3,
# 2] on NumPy and with jax 0.10.2. The mode "reflect" and a padding of 1 agree.
#
# Why it matters: images and signals are padded so before large filters. A test with a filter of 3x3 passes, and one of 7x7
# gives other borders than the backend that the model was trained with.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    keras==3.15.1 jax==0.10.2 torch==2.13.0 numpy==2.4.6

for backend in numpy jax torch; do
    KERAS_BACKEND=$backend "$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import keras
import numpy as np
from keras import ops

row = np.array([1, 2, 3], np.float32)


def padded(size, mode):
    return ops.convert_to_numpy(ops.pad(row, ((size, size),), mode=mode)).tolist()


backend = keras.backend.backend()
print(backend, padded(2, "symmetric"), "padded by 1", padded(1, "symmetric"), "reflected", padded(2, "reflect"))
assert padded(1, "symmetric") == [1, 1, 2, 3, 3] and padded(2, "reflect") == [3, 2, 1, 2, 3, 2, 1]
mirrored, repeated = np.pad(row, 2, mode="symmetric").tolist(), np.pad(row, 2, mode="edge").tolist()
assert mirrored == [2, 1, 1, 2, 3, 3, 2] and repeated == [1, 1, 1, 2, 3, 3, 3]
assert padded(2, "symmetric") == (repeated if backend == "torch" else mirrored), "PyTorch mirrors now"
PROGRAM
done
