#!/usr/bin/env bash
# One would guess: an average pool of Keras with padding "same" averages the same numbers on each of its backends: those of
# the window that are in the image.
#
# What happens: PyTorch can pad both sides alike only. Where "same" needs one more on one side, Keras's backend of PyTorch
# repeats the numbers at the border first and averages them too. NumPy, JAX and TensorFlow leave out what is beyond it.
# Where both sides are alike, PyTorch leaves it out too.
#
# Seen with keras 3.15.1, torch 2.13.0, jax 0.10.2: windows of 4 over [1, 2, 3, 4, 5] begin with 1.75 on PyTorch and with 2
# on NumPy and JAX, and end with 4.75 instead of 4.5. Windows of 3, with steps of 3, end with 4.667 instead of 4.5.
#
# Why it matters: a Keras file is meant to move from one backend to another. A network with pools in "same" gives other
# numbers on PyTorch for some sizes of images, and the same for others.
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


def pooled(size, step):
    pool = keras.layers.AveragePooling1D(size, strides=step, padding="same")
    row = np.array([1, 2, 3, 4, 5], np.float32)[None, :, None]
    return keras.ops.convert_to_numpy(pool(row)).ravel()


backend = keras.backend.backend()
for size, step in ((4, 1), (3, 3), (3, 1)):
    print(backend, "windows of", size, "with steps of", step, pooled(size, step))
np.testing.assert_allclose(pooled(3, 1), [1.5, 2, 3, 4, 4.5])
inside = [2, 2.5, 3.5, 4, 4.5], [2, 4.5]
repeated = [1.75, 2.5, 3.5, 4.25, 4.75], [2, 14 / 3]
wide, far = repeated if backend == "torch" else inside
np.testing.assert_allclose(pooled(4, 1), wide, rtol=1e-6, err_msg="the backends agree now")
np.testing.assert_allclose(pooled(3, 3), far, rtol=1e-6, err_msg="the backends agree now")
PROGRAM
done
