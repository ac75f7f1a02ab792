#!/usr/bin/env bash
# One would guess: `sparse.linalg.norm` of SciPy along an axis gives the norms of the rows, as `numpy.linalg.norm` does,
# for any type of numbers.
#
# What happens: the squares are computed in the type of the matrix, wrap around, and are added up and rooted in float64.
# What comes out is a small number, or NaN if the sum is negative. The norm of the whole matrix, by the same function,
# converts first.
#
# Seen with scipy 1.17.1 and numpy 2.4.6: the row [200, 100, 255, 3] has the norm 9.49 in uint8, NaN in int16, and 339.2
# in int32. The norm of the whole matrix is 416.2 in each.
#
# Why it matters: sparse matrices of counts are kept in uint8 or int16, and are divided by the norms of their rows
# before they are compared. Word counts of 200 need no more than a long text.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scipy==1.17.1 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import numpy as np
from scipy import __version__, sparse

print("scipy", __version__)
rows, norms = np.array([[200, 100, 255, 3], [7, 90, 200, 100]]), {}
for data_type in (np.uint8, np.int16, np.int32, np.float64):
    matrix = sparse.csr_array(rows.astype(data_type))
    norms[data_type] = sparse.linalg.norm(matrix, axis=1)
    print(data_type.__name__, norms[data_type], "of the whole", sparse.linalg.norm(matrix))
    np.testing.assert_allclose(sparse.linalg.norm(matrix), np.linalg.norm(rows))
    np.testing.assert_allclose(np.linalg.norm(rows.astype(data_type), axis=1), np.linalg.norm(rows, axis=1))
for data_type in (np.int32, np.float64):
    np.testing.assert_allclose(norms[data_type], np.linalg.norm(rows, axis=1))
np.testing.assert_allclose(norms[np.uint8], [9.487, 17.117], atol=1e-3, err_msg="squares have more bits now")
assert np.isnan(norms[np.int16]).all(), "squares have more bits now"
PROGRAM
