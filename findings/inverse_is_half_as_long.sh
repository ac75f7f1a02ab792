#!/usr/bin/env bash
# One would guess: `istft` of JAX with noverlap=0 puts frames side by side, as `stft` with noverlap=0 has cut them, and
# gives the signal back.
#
# What happens: `istft` takes 0 for not given, and uses the default, which is half a frame. `stft`, `welch` and `csd` take 0
# for 0.
#
# Seen with jax 0.10.2 and scipy 1.17.1: from six frames of 16 samples, JAX makes 56 samples in place of 96. From the ninth
# to the last but eight, each is the mean of two that were 8 apart or more. An overlap of 4 or 8 is right, and SciPy's
# `istft` gives the signal back for 0 too.
#
# Why it matters: frames without an overlap are the shortest spectrogram, and what codecs use. No error is raised, and the
# result is noise of half the length.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 scipy==1.17.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import jax.scipy.signal
import numpy as np
import scipy.signal

signal = np.sin(np.arange(96) * 0.3).astype(np.float32)


def there_and_back(library, overlap):
    options = {"nperseg": 16, "noverlap": overlap, "window": "boxcar"}
    frames = np.asarray(library.stft(signal, boundary=None, padded=False, **options)[2])
    return frames.shape[-1], np.asarray(library.istft(frames, boundary=None, **options)[1])


for overlap in (8, 0):
    (count, theirs), (_, seen) = (there_and_back(library, overlap) for library in (scipy.signal, jax.scipy.signal))
    print("overlap", overlap, "frames", count, "samples of SciPy", len(theirs), "of JAX", len(seen))
    np.testing.assert_allclose(theirs, signal, atol=1e-5)
    if overlap:
        np.testing.assert_allclose(seen, signal, atol=1e-5)
assert count == 6 and len(seen) == 56, "JAX takes an overlap of 0 now"
np.testing.assert_allclose(seen[8:16], (signal[8:16] + signal[16:24]) / 2, atol=1e-5)
PROGRAM
