#!/usr/bin/env bash
# One would guess: `filtfilt`, `sosfiltfilt` and `decimate` of SciPy, which give float64, filter bytes and 16-bit
# samples as the same numbers in float64, as `lfilter`, `sosfilt` and `savgol_filter` do.
#
# What happens: a signal is continued at both ends by its mirror image around the end, 2 * x[0] - x[i], and that is
# computed in the type of the samples. Outside of it the continuation wraps around and draws the ends of the signal
# away.
#
# Seen with scipy 1.17.1 and numpy 2.4.6: the mean of two neighbours, forwards and backwards, of [200, 100, 255, ...]
# begins with 136 in uint8 and with 200 in float64. A cosine with the amplitude 30000, decimated by two, begins at 36006
# in int16 and at 29676 in float64.
#
# Why it matters: recordings are 16-bit integers and are decimated before a network sees them. The ends of each piece
# hold a click, which rings into the middle.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scipy==1.17.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
from scipy import __version__, signal

print("scipy", __version__)
samples = np.uint8([200, 100, 255, 3, 7, 90, 200, 100])
sections = signal.butter(1, 0.5, output="sos")
wave = (30000 * np.cos(np.arange(100) / 5)).astype(np.int16)
cases = {
    "filtfilt": (lambda x: signal.filtfilt([0.5, 0.5], [1], x, padlen=3), samples),
    "sosfiltfilt": (lambda x: signal.sosfiltfilt(sections, x, padlen=3), samples),
    "decimate": (lambda x: signal.decimate(x, 2), wave),
    "sosfilt": (lambda x: signal.sosfilt(sections, x), samples),
    "savgol_filter": (lambda x: signal.savgol_filter(x, 5, 2), samples),
}
first = {}
for name, (function, values) in cases.items():
    seen, right = function(values), function(values.astype(np.float64))
    first[name] = round(float(seen[0])), round(float(right[0]))
    print(name, values.dtype, "begins at", first[name][0], "in float64", first[name][1])
    assert seen.dtype == np.float64
    if name in ("sosfilt", "savgol_filter"):
        np.testing.assert_allclose(seen, right)
assert first["filtfilt"] == (136, 200) and first["sosfiltfilt"] == (136, 200), "bytes are extended in floats now"
assert first["decimate"] == (36006, 29676), "samples are extended in floats now"
PROGRAM
