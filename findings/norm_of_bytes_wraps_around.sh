#!/usr/bin/env bash
# One would guess: `dask.array.linalg.norm` gives what `numpy.linalg.norm` gives, on which it is modelled, for bytes too.
#
# What happens: dask squares the numbers in their own type, where they wrap around, and sums up the rest. NumPy makes them
# floats first. The orders 1 and infinity are right.
#
# Seen with dask 2026.8.0 and numpy 2.4.6: the norm of [200, 100, 255] in uint8 is 9.0 instead of 339.2, and its norm of
# order 3 is 6.8 instead of 294.7. The norm of [12, 0] in int8 is NaN instead of 12.
#
# Why it matters: images are bytes, and so are quantized embeddings, which are divided by their norm. dask is used where
# there are too many of them to check.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    "dask[array]==2026.8.0" numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import dask.array as da
import numpy as np

pixels, signed = np.array([200, 100, 255], np.uint8), np.array([12, 0], np.int8)


def both(numbers, order=None):
    return np.linalg.norm(numbers, order), da.linalg.norm(da.from_array(numbers, chunks=2), order).compute()


print(both(pixels), both(pixels, 3), both(signed))
for order in (1, np.inf):
    assert both(pixels, order)[0] == both(pixels, order)[1]
np.testing.assert_allclose(*both(pixels.astype(np.float64)))
np.testing.assert_allclose(both(pixels)[0], 339.15, rtol=1e-4)
assert abs(both(pixels)[1] - 9) < 1e-6, "bytes have the norm of their numbers now"
assert np.isnan(both(signed)[1]), "int8 has the norm of its numbers now"
PROGRAM
