#!/usr/bin/env bash
# One would guess: `dask.array.pad` makes an array of the size that was asked for, as `numpy.pad` does, or raises an
# error.
#
# What happens: with the modes "reflect", "symmetric" and "wrap", dask pads by as many elements as the array has, and no
# more. NumPy reflects again. The shape is smaller than asked for, and nothing is said.
#
# Seen with dask 2026.8.0 and numpy 2.4.6: [0, 1, 2] padded by 7 behind has 10 elements in NumPy in all modes, and 5 with
# "reflect" and 6 with the two others in dask.
#
# Why it matters: the last window of a recording, or the tile in the corner of an image, is short and is padded to the
# length of the others. What comes out has another shape, and its place in a batch is elsewhere.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "dask[array]==2026.8.0" numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import dask.array as da
import numpy as np

lengths = {}
for mode in ("edge", "reflect", "symmetric", "wrap"):
    numbers = np.arange(3.0)
    chunks = da.from_array(numbers, chunks=2)
    np.testing.assert_array_equal(da.pad(chunks, (0, 2), mode=mode).compute(), np.pad(numbers, (0, 2), mode=mode))
    assert len(np.pad(numbers, (0, 7), mode=mode)) == 10
    lengths[mode] = len(da.pad(chunks, (0, 7), mode=mode).compute())
print(lengths)
assert lengths.pop("edge") == 10
assert lengths == {"reflect": 5, "symmetric": 6, "wrap": 6}, "the padding is as long as asked for now"
PROGRAM
