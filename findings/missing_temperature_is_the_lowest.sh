#!/usr/bin/env bash
# One would guess: a missing number, NaN, is still NaN when it is read from an HDF5 file whose filter keeps two digits
# behind the point.
#
# What happens: the filter "scaleoffset" keeps the distance to the smallest number of a chunk as an integer, and that of NaN
# becomes 0: it comes back as the smallest. h5py says of the filter that it loses digits, and nothing of NaN. A fill value
# of NaN changes nothing.
#
# Seen with h5py 3.16.0: [20.5, NaN, 21.25, 19.75] comes back as [20.5, 19.75, 21.25, 19.75], in float32 and float64. With
# the other filters NaN stays.
#
# Why it matters: measurements have gaps, and data sets of them are stored so since it saves most of the space. Their gaps
# become plausible numbers, which a model is trained with.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check h5py==3.16.0 numpy==2.4.6

FOLDER="$folder" "$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import os

import h5py
import numpy as np

path = os.environ["FOLDER"] + "/measured.h5"


def read_back(dtype, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("degrees", data=np.array([20.5, np.nan, 21.25, 19.75], dtype), chunks=(4,), **options)
    with h5py.File(path) as file:
        return file["degrees"][:]


for dtype in ("float32", "float64"):
    for options in ({"scaleoffset": 2}, {"scaleoffset": 2, "fillvalue": np.nan}):
        seen = read_back(dtype, **options)
        print(dtype, options, seen)
        np.testing.assert_allclose(seen[[0, 2, 3]], [20.5, 21.25, 19.75], atol=0.006)
        assert abs(seen[1] - 19.75) < 0.006, "NaN is kept now"
    for options in ({"shuffle": True}, {"compression": "gzip"}, {"fletcher32": True}):
        np.testing.assert_array_equal(read_back(dtype, **options), np.array([20.5, np.nan, 21.25, 19.75], dtype))
PROGRAM
