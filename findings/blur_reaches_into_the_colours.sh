#!/usr/bin/env bash
# One would guess: `gaussian_blur` of Keras smooths an image along its height and its width, and leaves the colours apart.
# Its documentation calls it without `data_format` for images whose channels come last, which is Keras's default.
#
# What happens: where `data_format` is not given, the backends of JAX and PyTorch take the height for the channels. They
# blur along the width and across the colours, with zeros beyond the first and the last of them. Those of NumPy and
# TensorFlow are right.
#
# Seen with keras 3.15.1, jax 0.10.2, torch 2.14.1: a red pixel on black, blurred over 3x3, stays in its row and is 0.124
# green. A white image becomes 0.726 in red and blue. With data_format="channels_last" all three backends agree.
#
# Why it matters: it is a step of augmentation and of preprocessing, and the image still looks blurred. A model sees other
# colours than it was trained with as soon as the backend changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    keras==3.15.1 jax==0.10.2 torch==2.14.1 numpy==2.4.6

for backend in numpy jax torch; do
    KERAS_BACKEND=$backend "$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import keras
import numpy as np
from keras import ops

pixel = np.zeros((5, 5, 3), np.float32)
pixel[2, 2, 0] = 1
white = np.ones((5, 5, 3), np.float32)


def blurred(image, **options):
    return ops.convert_to_numpy(ops.image.gaussian_blur(image, (3, 3), (1.0, 1.0), **options))


asked, default = (blurred(pixel, **options) for options in ({"data_format": "channels_last"}, {}))
print(keras.backend.backend(), "red above the pixel", default[1, 2, 0], "green at the pixel", default[2, 2, 1])
print("middle of a white image", blurred(white)[2, 2])
assert keras.config.image_data_format() == "channels_last"
np.testing.assert_allclose(asked[1:4, 2, 0], [0.124, 0.204, 0.124], atol=1e-3)
assert not asked[..., 1:].any()
if keras.backend.backend() == "numpy":
    np.testing.assert_array_equal(default, asked)
else:
    assert default[1, 2, 0] == 0 and abs(default[2, 2, 1] - 0.124) < 1e-3, "the default is channels last now"
    np.testing.assert_allclose(blurred(white)[2, 2], [0.726, 1, 0.726], atol=1e-3)
PROGRAM
done
