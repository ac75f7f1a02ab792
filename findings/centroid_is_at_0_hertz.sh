#!/usr/bin/env bash
# One would guess: `spectral_centroid` and `spectral_bandwidth` of librosa, which take a spectrogram, take one of
# integers for the numbers it holds, or refuse it, as librosa refuses sound in integers.
#
# What happens: each column is divided by its sum, and the quotients are cut off to the type of the spectrogram. All are
# 0. The same holds for `util.normalize`. `amplitude_to_db` squares in that type, where 256 squared is 0.
#
# Seen with librosa 0.11.0 and numpy 2.4.6: a spectrum with its maximum at 1000 Hz has a centroid of 0 Hz in uint8 and
# of 1134 Hz in float64. `util.normalize` of [100, -200] in int16 is [0, -1]. Amplitudes of 256 are -100 dB in int16, and
# 48 dB in float64.
#
# Why it matters: spectrograms are stored as images of 8 or 16 bits. A feature that is 0 everywhere is a column of zeros
# for the model, and is normalized away.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check librosa==0.11.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import librosa
import numpy as np

print("librosa", librosa.__version__)
spectrum = np.array([[10], [200], [30], [5], [1]])
frequencies = np.arange(5) * 1000
right = float((frequencies[:, None] * spectrum).sum() / spectrum.sum())
for data_type in (np.float64, np.uint8, np.int16):
    centroid, bandwidth = (
        float(feature(S=spectrum.astype(data_type), sr=8000, n_fft=8)[0, 0])
        for feature in (librosa.feature.spectral_centroid, librosa.feature.spectral_bandwidth)
    )
    normalized = librosa.util.normalize(np.array([100, -200]).astype(data_type)) if data_type != np.uint8 else None
    decibels = float(librosa.amplitude_to_db(np.array([256]).astype(data_type), top_db=None)[0])
    print(data_type.__name__, centroid, "Hz +-", bandwidth, "normalized", normalized, "256 is", decibels, "dB")
    if data_type == np.float64:
        assert abs(centroid - right) < 1e-6 and right > 1000 and bandwidth > 500
        assert normalized.tolist() == [0.5, -1] and abs(decibels - 48.16) < 0.01
    else:
        assert centroid == 0 and bandwidth == 0, "integers are divided in floats now"
        assert normalized is None or normalized.tolist() == [0, -1], "integers are divided in floats now"
        assert decibels < 0, "integers are squared in floats now"
PROGRAM
