#!/usr/bin/env bash
# One would guess: the 50th percentile of two numbers lies between them, whatever type they have.
#
# What happens: NumPy takes the difference of the neighbours in the type of the array. In int8, 127 - (-128) is -1, so that
# the percentile is 127 + 0.5. `np.quantile` and `np.nanpercentile` do the same, and a row of a larger array gets no warning.
#
# Seen with numpy 2.4.6: percentiles of [-128, 127] in int8 are 127.5 in the middle; quantiles of [-30000, 30000] in int16 are
# [-31384, 32768, 31384] at 1/4, 1/2 and 3/4. `np.median` is right, and so are both in float64.
#
# Why it matters: ranges for quantization are percentiles of activations and weights, which are int8 or int16 where a model
# was quantized before. The scale that comes out is finite and wrong.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np

rows = np.array([[-128, 127], [-3, 3]], np.int8)
middle = np.percentile(rows, 50, axis=1)
wide = np.array([[-30000, 30000]], np.int16)
quarters = np.quantile(wide, [0.25, 0.5, 0.75], axis=1)[:, 0]
print({"middle": middle.tolist(), "median": np.median(rows, axis=1).tolist(), "quarters": quarters.tolist()})
np.testing.assert_array_equal(np.median(rows, axis=1), [-0.5, 0])
np.testing.assert_array_equal(np.percentile(rows.astype(float), 50, axis=1), [-0.5, 0])
assert middle.tolist() == [127.5, 0], "the percentile lies between the numbers now"
assert quarters.tolist() == [-31384, 32768, 31384]
PROGRAM
