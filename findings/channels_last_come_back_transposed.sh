#!/usr/bin/env bash
# One would guess: images that `FixedShapeTensorArray.from_numpy_ndarray` takes come back from `to_numpy_ndarray` as they
# were.
#
# What happens: a view whose axes are in another order than the memory is kept with a permutation. For three axes in a circle,
# as between channels first and channels last, reading applies the inverse permutation: the array comes back with another
# shape. Images upside down, a view with a negative stride, come back in the right shape with their pixels in other places.
#
# Seen with pyarrow 26.0.1: the view [1, 3, 4, 2] of an array [1, 2, 3, 4] comes back as [1, 4, 2, 3]. [[0, 1, 2], [3, 4, 5]]
# upside down comes back as [[3, 5, 1], [4, 0, 2]]. Swapping two axes works.
#
# Why it matters: batches of images go through Arrow between the workers of a data pipeline. Decoders give channels last,
# networks want channels first, and both flips and transpositions are views in NumPy.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import pyarrow as pa


def back(images):
    return pa.FixedShapeTensorArray.from_numpy_ndarray(images).to_numpy_ndarray()


first = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
last = first.transpose(0, 2, 3, 1)
swapped = first.transpose(0, 1, 3, 2)
image = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
flipped = image[:, ::-1]
print({"channels last": back(last).shape, "upside down": back(flipped).tolist()})
for images in (first, swapped, image, np.ascontiguousarray(last), flipped.copy()):
    np.testing.assert_array_equal(back(images), images)
assert last.shape == (1, 3, 4, 2)
assert back(last).shape == (1, 4, 2, 3), "channels last come back as they were now"
assert back(flipped)[0].tolist() == [[3, 5, 1], [4, 0, 2]], "flipped images come back as they were now"
PROGRAM
