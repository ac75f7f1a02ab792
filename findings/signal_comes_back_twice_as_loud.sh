#!/usr/bin/env bash
# One would guess: `istft` of Keras gives back the signal that `stft` took apart, if both are called alike. window=None uses
# no window, which is the same as a window of ones.
#
# What happens: without a window, `istft` adds up frames that overlap and does not divide by their number. With a window,
# also one of ones, it does. The frames are also as long as the transform then, and not as `sequence_length`.
#
# Seen with keras 3.15.1 on NumPy and on jax 0.10.2: frames of 16 samples, 8 apart, come back doubled. With a transform of
# 32, they come back four times as loud, and a frame of ones has a sum of 32. With a window of ones all is right.
#
# Why it matters: a spectrogram is changed and turned back into sound, which is then clipped. No error is raised, and the
# sound is right but for its loudness.
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

signal = np.sin(np.arange(96) * 0.3 + 0.1).astype(np.float32)
ones = np.ones(16, np.float32)


def louder(length, window):
    """The factor by which samples in the middle come back."""
    frames = ops.stft(signal, 16, 8, length, window=window)
    factors = ops.convert_to_numpy(ops.istft(frames, 16, 8, length, window=window))[30:60] / signal[30:60]
    np.testing.assert_allclose(factors, factors[0], rtol=1e-3)
    return round(float(factors[0]), 2)


backend = keras.backend.backend()
first = {length: float(ops.stft(np.ones(96, np.float32), 16, 8, length, window=None)[0][3, 0]) for length in (16, 32)}
print(backend, "without a window", louder(16, None), louder(32, None), "with ones", louder(16, ones), louder(32, ones))
print(backend, "sums of frames", first)
assert louder(16, "hann") == louder(16, ones) == louder(32, ones) == 1
assert louder(16, None) == 2, "the signal comes back as loud as it was now"
assert louder(32, None) == 4
assert first == {16: 16, 32: 32}
PROGRAM
done
